#!/usr/bin/env python3
"""Measures what waiting costs in memory, and whether it is given back.

    memory.py                            idle connections, parked tasks, a burst
    memory.py -p raw,stackio -n 10000

`idle`: an echo server with many connections that have each sent one message and now wait.
`burst`: many tasks that have each touched 8 KiB of their stacks and wait; then all are gone. What
is resident while they wait, and 0.1, 1 and 3 seconds after, while the loop has nothing to do.
Bytes of the process; what the kernel keeps for a socket is the same for all.
"""
import argparse
import contextlib
import socket
import time

import peers
from peers import Failed, Unsupported

PEERS = ["raw", "stackio", "stackio-protocol", "stackio-streams", "tokio", "may", "go", "uvloop",
         "uvloop-proto", "asyncio"]


def greet(place):
    """A connection that has sent a message and heard it."""
    guest = place.enter_context(socket.create_connection(("127.0.0.1", peers.PORT)))
    guest.sendall(b"x" * 64)
    heard = 0
    while heard < 64:
        heard += len(guest.recv(64))
    return guest


def settled(pid, pause):
    """Memory after a while in which nothing happens."""
    time.sleep(pause)
    return peers.memory(pid)


def idle(name, connections):
    """Bytes for each idle connection, and how the process stands before, with, and after them."""
    with peers.serving(name, "echo") as process, contextlib.ExitStack() as place:
        with contextlib.ExitStack() as first:
            greet(first)
        before = settled(process.pid, 0.3)
        for _ in range(connections):
            greet(place)
        during = settled(process.pid, 0.5)
        place.close()
        after = settled(process.pid, 2)
    each = [(many - few) / connections for many, few in zip(during, before)]
    return {"bytes": round(each[0]), "page_tables": round(each[1]), "before": before[0],
            "during": during[0], "after": after[0]}


def burst(name, tasks):
    return peers.run_batch(name, "burst", {"n": tasks})["extra"]


def mib(count):
    return f"{count / 2**20:9.1f}"


def show_idle(name, row):
    print(f"{name:18}{row['bytes']:9}{row['page_tables']:9}",
          *(mib(row[key]) for key in ("before", "during", "after")), flush=True)


def show_burst(name, row):
    kept = 100 * (row["after_3s"] / row["before"] - 1)
    print(f"{name:18}{row['bytes_per_task']:9.0f}{kept:8.1f}%",
          *(mib(row[key]) for key in ("before", "during", "after_100ms", "after_1s", "after_3s")),
          flush=True)


def rows_of(names, workload, measure, show):
    rows = {}
    for name in names:
        if not peers.does(name, workload):
            continue
        try:
            rows[name] = measure(name)
            show(name, rows[name])
        except Unsupported:
            continue
        except Failed as error:
            print(f"{name:18} {error}", flush=True)
    return rows


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-p", "--peers", default=",".join(PEERS))
    parser.add_argument("-n", "--connections", type=int, default=10_000)
    parser.add_argument("-t", "--tasks", type=int, default=100_000)
    parser.add_argument("--no-build", action="store_true")
    parser.add_argument("--no-save", action="store_true", help="leave results/ as it is")
    return parser.parse_args()


def main():
    a = arguments()
    names = a.peers.split(",")
    if not peers.allow_files(a.connections + 100):
        print(f"the limit of open files forbids {a.connections} connections (ulimit -Hn)")
        return
    if not a.no_build:
        peers.build(names)
    print(f"## {a.connections} idle connections  [bytes each; MiB of the process]")
    print(f"{'peer':18}{'bytes':>9}{'tables':>9}    before    during     after")
    figures = {"idle": rows_of(names, "echo", lambda name: idle(name, a.connections), show_idle)}
    print(f"\n## a burst of {a.tasks} tasks  [bytes each, more than before in the end; MiB]")
    print(f"{'peer':18}{'bytes':>9}{'kept':>9}    before    during     0.1 s       1 s       3 s")
    figures["burst"] = rows_of(names, "burst", lambda name: burst(name, a.tasks), show_burst)
    if not a.no_save:
        peers.save("memory", figures)


if __name__ == "__main__":
    main()
