#!/usr/bin/env python3
"""Measures how the cost of one operation grows with how many there are.

    growth.py                              everything: about 6 minutes when quiet
    growth.py -e yield,connections -p raw,stackio,tokio

Two kinds of experiments: more at a time (tasks, timers and timeouts up to a million, connections
up to 10,000), and more in a row (each workload at 1, 10 and 100 times a size). A straight line is
what one wants. `draw.py` draws the figures.
"""
import argparse
from dataclasses import dataclass
from typing import Callable

import peers
from peers import Failed, Unsupported

PEERS = ["raw", "stackio", "stackio-protocol", "stackio-streams", "tokio", "uvloop", "asyncio"]
MOST = {"may": 1_000, "uvloop": 1_000, "asyncio": 1_000}  # the most at a time
SLOW = {"uvloop": 1_000_000, "asyncio": 1_000_000}  # the most in a row
CONNECTIONS = [1, 10, 100, 1_000, 10_000]


@dataclass(frozen=True)
class Experiment:
    """`flags(size, total)` are those of a run with about so many operations in total.

    With `difference`, the figure is what a run three times as long takes more, so that what it
    takes to make and to end the tasks is left out."""

    workload: str
    sizes: list
    flags: Callable
    total: int = 1
    figure: str = "ns_per_op"
    difference: bool = False


def sizes(least, most):
    return [10**power for power in range(len(str(least)) - 1, len(str(most)))]


def spawn(size, total):
    return {"batch": size, "n": max(size, total)}


def yields(size, total):
    return {"tasks": size, "n": max(5, total // size)}


def timeouts(size, total):
    return {"tasks": size, "n": max(2 * size, total)}


def timers(size, _):
    return {"n": size, "ms": 500}


MILLION = sizes(1, 1_000_000)

AT_A_TIME = {
    "spawn": Experiment("spawn", MILLION, spawn, 200_000),
    "yield": Experiment("yield", MILLION, yields, 1_000_000, difference=True),
    "cancel": Experiment("cancel", MILLION, timeouts, 500_000, difference=True),
    "timers": Experiment("timers", MILLION, timers, figure="cpu_ns_per_op"),
    "parked": Experiment("parked", MILLION, lambda size, _: {"n": size}),
}

# name: the workload, its fixed flags, the operations for each `n`
ROWS = {
    "spawn_n": ("spawn", {"batch": 10_000}, 1),
    "spawn1_n": ("spawn", {"batch": 1}, 1),
    "spawn_y_n": ("spawn", {"batch": 10_000, "yields": 1}, 1),
    "yield_n": ("yield", {"tasks": 2}, 2),
    "pingpong_n": ("pingpong", {}, 2),
    "queue_n": ("queue", {"cap": 128}, 1),
    "cancel_n": ("cancel", {"tasks": 1_000}, 1),
}


def in_a_row(workload, fixed, each):
    flags = lambda size, _: {"n": size // each, **fixed}
    return Experiment(workload, sizes(100_000, 10_000_000), flags)


IN_A_ROW = {name: in_a_row(*row) for name, row in ROWS.items()}
EXPERIMENTS = {**AT_A_TIME, **IN_A_ROW}


def best(runs, measure):
    """The least of some runs: what disturbs only ever adds."""
    return min(measure() for _ in range(runs))


def measure_batch(name, experiment, size):
    total = experiment.total // peers.PEERS[name].divisor
    flags = experiment.flags(size, total)
    short = peers.run_batch(name, experiment.workload, flags)
    if not experiment.difference:
        return short[experiment.figure]
    long = peers.run_batch(name, experiment.workload, {**flags, "n": 3 * flags["n"]})
    took = [report[experiment.figure] * report["n"] for report in (short, long)]
    return (took[1] - took[0]) / (long["n"] - short["n"])


def batch_points(name, experiment, runs):
    """The figure for each size, as far as the peer gets."""
    in_a_row = experiment in IN_A_ROW.values()
    most = (SLOW if in_a_row else MOST).get(name, experiment.sizes[-1])
    points = {}
    for size in experiment.sizes:
        if size > most:
            break
        try:
            points[str(size)] = round(best(runs, lambda: measure_batch(name, experiment, size)), 1)
        except Failed as error:
            print(f"    {name} at {size}: {error}", flush=True)
            break
    return points


def connection_points(name, runs, ms):
    """Nanoseconds of the server's CPU for a request, for each number of connections."""
    def measure(conns):
        with peers.serving(name, "echo") as process:
            extra = peers.load("echo", process.pid, conns=conns, size=64, ms=ms)["extra"]
        return extra["server_cpu_us"] * 1000

    points = {}
    for conns in CONNECTIONS:
        if conns > MOST.get(name, 10_000):
            break
        if not peers.allow_files(conns + 100):
            print(f"    the limit of open files forbids {conns} connections", flush=True)
            break
        try:
            points[str(conns)] = round(best(runs, lambda: measure(conns)), 1)
        except Failed as error:
            print(f"    {name} at {conns}: {error}", flush=True)
            break
    return points


def points_of(name, title, a):
    try:
        if title == "connections":
            return connection_points(name, a.k, a.ms) if peers.does(name, "echo") else {}
        experiment = EXPERIMENTS[title]
        return batch_points(name, experiment, a.k) if peers.does(name, experiment.workload) else {}
    except Unsupported:
        return {}


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-e", "--experiments", default="", metavar="NAME,..",
                        help=", ".join(["connections", *EXPERIMENTS]))
    parser.add_argument("-p", "--peers", default=",".join(PEERS))
    parser.add_argument("-k", type=int, default=1, help="runs of each, of which the best counts")
    parser.add_argument("--ms", type=int, default=500, help="measured window of each server run")
    parser.add_argument("--no-build", action="store_true")
    parser.add_argument("--no-save", action="store_true", help="leave results/ as it is")
    return parser.parse_args()


def main():
    a = arguments()
    titles = a.experiments.split(",") if a.experiments else [*AT_A_TIME, "connections", *IN_A_ROW]
    names = a.peers.split(",")
    if not a.no_build:
        peers.build(names)
    for title in titles:
        print(f"\n## {title}  [ns per operation]", flush=True)
        rows = {}
        for name in names:
            points = points_of(name, title, a)
            if points:
                rows[name] = points
                print(f"{name:18}", *(f"{size}: {value:<10}" for size, value in points.items()), flush=True)
        if rows and not a.no_save:
            peers.save("growth", {title: rows})


if __name__ == "__main__":
    main()
