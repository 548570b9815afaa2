#!/usr/bin/env python3
"""Counts user-space instructions and system calls per operation.

    instructions.py                                        servers and batch workloads
    instructions.py -w echo64,spawn -p raw,tokio,stackio   some
    instructions.py -w echo64 -p stackio --top 30          and the functions they are spent in

Each program runs twice, with few and with many operations; what the second run takes more,
divided by the operations it does more, is the cost of one, free of the start and the end. The
counts are cachegrind's and strace's (both must be installed): they hardly depend on what else the
machine does, and say nothing of caches and of the kernel.

In a server loaded by 64 connections all are ready whenever it looks, since the tools slow it down:
fewer polls per request than in earnest. `-c 1` measures the opposite.
"""
import argparse
import re
import tempfile
import time
from collections import Counter
from pathlib import Path

import peers
from peers import Failed, Unsupported

# name: (the peer's workload, the client's kind, the size of a message, few and many requests)
SERVERS = {
    "echo64": ("echo", "echo", 64, (2_000, 12_000)),
    "echo16k": ("echo", "echo", 16384, (1_000, 5_000)),
    "http": ("http", "http", 0, (2_000, 12_000)),
    "churn": ("echo", "churn", 64, (500, 2_500)),
    "redis_get1": ("redis", ("get", 1), 0, (2_000, 12_000)),
    "redis_get16": ("redis", ("get", 16), 0, (10_000, 50_000)),
}

# name: (the peer's workload, its flags, few and many `n`, operations for each `n`)
BATCH = {
    "spawn": ("spawn", {"batch": 1000}, (10_000, 40_000), 1),
    "spawn1": ("spawn", {"batch": 1}, (10_000, 40_000), 1),
    "spawn_y": ("spawn", {"batch": 1000, "yields": 1}, (10_000, 40_000), 1),
    "yield": ("yield", {"tasks": 2}, (50_000, 200_000), 2),
    "yield10k": ("yield", {"tasks": 10_000}, (10, 50), 10_000),
    "pingpong": ("pingpong", {}, (20_000, 80_000), 2),
    "queue": ("queue", {"cap": 128}, (50_000, 200_000), 1),
    "timers": ("timers", {"ms": 200}, (5_000, 20_000), 1),
    "cancel": ("cancel", {"tasks": 1000}, (10_000, 50_000), 1),
    "parked": ("parked", {}, (5_000, 20_000), 1),
}

PEERS = ["raw", "stackio", "stackio-protocol", "stackio-streams", "tokio", "may"]


class Count:
    """Runs a program under a tool that writes what it has counted into a file."""

    def __init__(self, place):
        self.path = Path(place) / "counted"

    def run_batch(self, name, workload, flags):
        self.path.unlink(missing_ok=True)
        peers.run_batch(name, workload, flags, self.wrap(), limit=300)
        return self.counted()

    def run_server(self, name, workload, kind, size, conns, requests):
        """What was counted, and how many requests there were."""
        self.path.unlink(missing_ok=True)
        with peers.serving(name, workload, self.wrap()) as process:
            done = drive(kind, size, conns, requests)
            self.stop(process)
        return self.counted(), done

    def stop(self, process):
        process.terminate()
        process.wait()


class Instructions(Count):
    def wrap(self):
        return ("valgrind", "-q", "--tool=cachegrind", "--cache-sim=no",
                f"--cachegrind-out-file={self.path}")

    def counted(self):
        """Instructions by function."""
        counts, function = Counter(), "?"
        for line in self.path.read_text(errors="replace").splitlines():
            if line.startswith("fn="):
                function = line[3:]
            elif line[:1].isdigit():
                counts[function] += int(line.split()[1])
        return counts


class SystemCalls(Count):
    def wrap(self):
        # -D: the tracer is the grandchild, the process that we know is the server.
        return ("strace", "-D", "-f", "-qq", "-c", "-o", str(self.path))

    def counted(self):
        """System calls by name."""
        row = re.compile(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", re.M)
        return Counter({name: int(n) for n, name in row.findall(self.wait_for_table()) if name != "total"})

    def wait_for_table(self):
        for _ in range(100):
            text = self.path.read_text() if self.path.exists() else ""
            if " total" in text:
                return text
            time.sleep(0.05)
        raise Failed("strace has written nothing")


def drive(kind, size, conns, requests):
    """Sends that many requests; gives how many were answered."""
    if isinstance(kind, tuple):
        command, depth = kind
        peers.redis_benchmark(command, depth, requests, min(conns, 50), limit=300)
        return requests
    return peers.load(kind, limit=300, conns=conns, size=size, requests=requests)["n"]


def slope(few, many, operations):
    """What is spent for one operation, by name."""
    spent = Counter(many)
    spent.subtract(few)
    return Counter({key: n / operations for key, n in spent.items()})


def measure(tool, name, workload, conns):
    if workload in SERVERS:
        program, kind, size, requests = SERVERS[workload]
        (few, n), (many, m) = (tool.run_server(name, program, kind, size, conns, r) for r in requests)
        return slope(few, many, m - n)
    program, flags, sizes, each = BATCH[workload]
    few, many = (tool.run_batch(name, program, {"n": n, **flags}) for n in sizes)
    return slope(few, many, (sizes[1] - sizes[0]) * each)


def show_top(counts, most):
    for function, count in counts.most_common(most):
        print(f"    {count:9.1f}  {function[:110]}")


def measure_row(tools, name, workload, a):
    """The figures of one peer, printed as well; None if it does not do that."""
    try:
        instructions, calls = (measure(tool, name, workload, a.conns) for tool in tools)
    except Unsupported:
        return None
    except Failed as error:
        print(f"{workload:12} {name:18} {error}", flush=True)
        return None
    often = {call: round(n, 3) for call, n in calls.most_common() if n >= 0.005}
    row = {"instructions": sum(instructions.values()), "calls": sum(calls.values()), "by_call": often}
    listed = ", ".join(f"{call} {n:.2f}" for call, n in list(often.items())[:5])
    print(f"{workload:12} {name:18} {row['instructions']:9.0f} {row['calls']:7.2f}  {listed}", flush=True)
    show_top(instructions, a.top)
    return row


def supported(name, workload):
    program = SERVERS[workload][0] if workload in SERVERS else BATCH[workload][0]
    return peers.does(name, program)


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-w", "--workloads", default=",".join([*SERVERS, *BATCH]))
    parser.add_argument("-p", "--peers", default=",".join([*PEERS, "redis"]))
    parser.add_argument("-c", "--conns", type=int, default=64)
    parser.add_argument("--top", type=int, default=0, help="so many functions for each")
    parser.add_argument("--no-build", action="store_true")
    parser.add_argument("--no-save", action="store_true", help="leave results/ as it is")
    return parser.parse_args()


def main():
    a = arguments()
    names = a.peers.split(",")
    if not a.no_build:
        peers.build(names)
    figures = {}
    print(f"{'workload':12} {'peer':18} {'instr.':>9} {'calls':>7}  per operation")
    with tempfile.TemporaryDirectory() as place:
        tools = Instructions(place), SystemCalls(place)
        for workload in a.workloads.split(","):
            for name in names:
                row = measure_row(tools, name, workload, a) if supported(name, workload) else None
                if row:
                    figures.setdefault(workload, {})[name] = row
    if not a.no_save and a.conns == 64:
        peers.save("instructions", figures)


if __name__ == "__main__":
    main()
