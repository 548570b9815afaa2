"""The programs that are measured: how they are built, started, loaded and stopped."""
import contextlib
import json
import os
import re
import resource
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
OUT = Path(os.environ.get("CARGO_TARGET_DIR", HERE / "target")).resolve()
RESULTS = HERE / "results"
PYTHON = os.environ.get("PYTHON", "python3.13")
PYTHON_HERE = str(OUT / "py313/bin/python")
PORT = int(os.environ.get("PEERS_PORT", 7700))
ENVIRONMENT = {**os.environ, "GOMAXPROCS": "1"}
LOADGEN = str(OUT / "release/loadgen")


@dataclass(frozen=True)
class Peer:
    """`flags` come behind the workload. `only` are the workloads it is there for, if not all, and
    `never` those that it does not end.

    Where a number of operations may be smaller, it is divided by `divisor`."""

    command: tuple
    flags: tuple = ()
    only: frozenset = frozenset()
    divisor: int = 1
    never: frozenset = frozenset()


def rust(name, *flags, only=(), never=()):
    command = (str(OUT / f"release/{name}_peer"),)
    return Peer(command, flags, frozenset(only), never=frozenset(never))


def python(name, *flags, only=(), divisor=10):
    command = (PYTHON_HERE, str(HERE / f"py/{name}_peer.py"))
    return Peer(command, flags, frozenset(only), divisor)


PEERS = {
    "raw": rust("raw"),
    "stackio": rust("stackio"),
    "stackio-protocol": rust("stackio", "--style", "protocol", only={"echo", "http", "redis"}),
    "stackio-streams": rust("stackio", "--style", "streams", only={"echo", "http", "redis"}),
    "tokio": rust("tokio"),
    "tokio-wake": rust("tokio", "--style", "wake", only={"yield"}),
    "smol": rust("smol"),
    # Each of its stacks takes mappings, which end before 100,000 tasks do.
    "may": rust("may", never={"timers", "parked"}),
    "go": Peer((str(OUT / "go_peer"),)),
    "uvloop": python("asyncio", "--loop", "uvloop"),
    "uvloop-proto": python("asyncio", "--loop", "uvloop", "--style", "protocol", only={"echo"}),
    "asyncio": python("asyncio"),
    "aiohttp": python("asyncio", "--loop", "uvloop", "--style", "aiohttp", only={"http"}),
    "gevent": python("gevent", divisor=20),
    "redis": Peer(("redis-server",), only=frozenset({"redis"})),
}


class Unsupported(Exception):
    """The peer does not do this workload."""


class Failed(Exception):
    """The peer has failed; the text says how."""


def build(names=PEERS):
    """Builds what the peers of these names need, with what of it is installed."""
    OUT.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "CARGO_TARGET_DIR": str(OUT), "GOCACHE": str(OUT / "gocache")}

    def call(*command, cwd=HERE):
        subprocess.run(["nice", *command], cwd=cwd, env=environment, check=True)

    commands = {PEERS[name].command[0] for name in names}
    binaries = sorted(c.rsplit("/", 1)[1] for c in commands if c.startswith(str(OUT / "release/")))
    chosen = [word for name in (*binaries, "loadgen") for word in ("--bin", name)]
    call("cargo", "build", "--release", "--quiet", *chosen)
    if str(OUT / "go_peer") in commands and shutil.which("go"):
        call("go", "build", "-o", str(OUT / "go_peer"), ".", cwd=HERE / "go")
    if PYTHON_HERE in commands and not Path(PYTHON_HERE).exists():
        call(PYTHON, "-m", "venv", str(OUT / "py313"))
        call(PYTHON_HERE, "-m", "pip", "install", "-q", "uvloop", "gevent", "aiohttp")


def words(flags):
    return [str(word) for key, value in flags.items() for word in (f"--{key}", value)]


def command(name, workload, flags, wrap=()):
    """The command line, on the first CPU, run by the command `wrap`."""
    peer = PEERS[name]
    if peer.command[0] == "redis-server":
        own = ["redis-server", "--port", str(PORT), "--save", "", "--appendonly", "no"]
    else:
        own = [*peer.command, workload, *peer.flags, *words(flags)]
    return ["taskset", "-c", "0", *wrap, *own]


def does(name, workload):
    peer = PEERS[name]
    return workload not in peer.never and (not peer.only or workload in peer.only)


def run_batch(name, workload, flags, wrap=(), limit=120):
    """Runs a workload that ends; gives its report."""
    line = command(name, workload, flags, wrap)
    try:
        ended = subprocess.run(line, env=ENVIRONMENT, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        raise Failed("timed out") from None
    except FileNotFoundError as error:
        raise Failed(str(error)) from None
    if ended.returncode == 3:
        raise Unsupported(name)
    if ended.returncode:
        raise Failed((ended.stderr.strip() or f"exit {ended.returncode}").splitlines()[-1][:120])
    return json.loads(ended.stdout.splitlines()[-1])


def wait_until_ready(process):
    for line in process.stdout:
        if '"ready"' in line or "Ready to accept" in line:
            return
    if process.wait() == 3:
        raise Unsupported
    raise Failed(f"exit {process.returncode}")


@contextlib.contextmanager
def serving(name, workload, wrap=()):
    """A server that listens, as long as the block runs; gives its process."""
    line = command(name, workload, {"port": PORT}, wrap)
    process = subprocess.Popen(
        line, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        wait_until_ready(process)
        yield process
    finally:
        # A tool around it writes its report at a polite end only.
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def on_client_cpu(line, limit=60):
    line = ["taskset", "-c", "1", *(str(word) for word in line)]
    try:
        ended = subprocess.run(line, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        raise Failed("the client timed out") from None
    if ended.returncode:
        raise Failed((ended.stderr.strip().splitlines() or ["the client failed"])[-1][:200])
    return ended.stdout


def redis_benchmark(test, depth, requests, conns=50, limit=60):
    """Loads a server that speaks RESP; gives what was printed. What is asked for is there."""
    line = ["redis-benchmark", "-p", PORT, "--csv", "-t"]
    if test == "get":
        on_client_cpu([*line, "set", "-c", 1, "-n", 1], limit)
    return on_client_cpu([*line, test, "-c", conns, "-P", depth, "-n", requests], limit)


def load(kind, pid=0, limit=60, **flags):
    """Loads the server by our own client; gives its report."""
    flags = {"port": PORT, "pid": pid, **flags}
    return json.loads(on_client_cpu([LOADGEN, kind, *words(flags)], limit))


def cpu_ns(pid):
    """CPU time of all threads of a process."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)


def memory(pid):
    """Resident memory and page tables of a process, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return [int(re.search(rf"{key}:\s+(\d+)", status)[1]) * 1024 for key in ("VmRSS", "VmPTE")]


def allow_files(count):
    """Raises the limit of open files, which the servers inherit; whether that is enough."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = most if most != resource.RLIM_INFINITY else max(count, 1 << 20)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, most))
    return allowed >= count


def tool_version(*line):
    try:
        text = subprocess.run(line, capture_output=True, text=True).stdout.strip()
    except FileNotFoundError:
        return "missing"
    return text.splitlines()[0] if text else "?"


def machine():
    """What the figures depend on."""
    cpu = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    lock = (HERE / "Cargo.lock").read_text()
    version = lambda name: re.search(rf'name = "{name}"\nversion = "(.*?)"', lock)[1]
    crates = "tokio", "may", "smol", "hyper", "corosensei", "mio"
    return {
        "date": time.strftime("%Y-%m-%d"),
        "cpu": cpu[1] if cpu else "?",
        "cpus": os.cpu_count(),
        "kernel": os.uname().release,
        "rust": tool_version("rustc", "--version"),
        "go": tool_version("go", "version"),
        "python": tool_version(PYTHON_HERE, "--version"),
        "redis": tool_version("redis-server", "--version").split(" sha")[0],
        **{name: version(name) for name in crates},
    }


def save(part, figures):
    """Merges figures into `results/PART.json`."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{part}.json"
    kept = json.loads(path.read_text()) if path.exists() else {}
    for key, rows in figures.items():
        kept.setdefault(key, {}).update(rows)
    kept["machine"] = machine()
    text = json.dumps(kept, indent=1, sort_keys=True)
    # An error may name a file.
    path.write_text(text.replace(str(OUT), "target").replace(str(Path.home()), "~") + "\n")
