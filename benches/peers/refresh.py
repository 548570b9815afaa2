#!/usr/bin/env python3
"""Measures everything anew and writes BENCHMARKS.md: about 20 minutes on a quiet machine.

    refresh.py          all of it
    refresh.py --draw   the tables and the pictures alone, from what is in results/
"""
import shutil
import subprocess
import sys
import time

import peers

# The peers that a ratio is made of take turns five times, the others are looked at once.
CLOSE = "raw,stackio,stackio-protocol,stackio-streams,tokio,redis"
OTHERS = ",".join(name for name in peers.PEERS if name not in CLOSE.split(","))

MEASURE = [
    ["run.py", "-p", CLOSE, "-k", "5", "--ms", "700", "--tries", "2"],
    ["run.py", "-p", OTHERS, "-k", "1", "--ms", "700", "--tries", "2"],
    ["growth.py", "--no-build"],
    ["memory.py", "--no-build"],
    ["instructions.py", "--no-build"],
]
WRITE = [["draw.py"], ["report.py"]]


def step(script, *words):
    began = time.time()
    print(f"==> {script}", *words, flush=True)
    subprocess.run([sys.executable, str(peers.HERE / script), *words], check=True)
    print(f"    {time.time() - began:.0f} s", flush=True)


def main():
    if "--draw" not in sys.argv:
        # What is measured now is not to stand beside what was measured on another day.
        shutil.rmtree(peers.RESULTS, ignore_errors=True)
        for line in MEASURE:
            step(*line)
    for line in WRITE:
        step(*line)


if __name__ == "__main__":
    main()
