#!/usr/bin/env python3
"""Writes the tables of BENCHMARKS.md from `results/`: what stands between its marks.

A mark is `<!-- table: NAME -->`, and `<!-- end -->` behind the table.
"""
import json
import re

import growth
import instructions
import peers
import run

PAGE = peers.HERE.parent.parent / "BENCHMARKS.md"
STYLES = ["stackio", "stackio-protocol", "stackio-streams"]
BATCH_PEERS = ["raw", "stackio", "tokio", "tokio-wake", "smol", "may", "go", "uvloop", "asyncio",
               "gevent"]
SERVER_PEERS = ["raw", *STYLES, "tokio", "may", "smol", "go", "uvloop-proto", "uvloop", "gevent",
                "asyncio", "aiohttp", "redis"]
FAST_PEERS = ["raw", *STYLES, "tokio", "may", "redis"]


def figures(part):
    path = peers.RESULTS / f"{part}.json"
    return json.loads(path.read_text()) if path.exists() else {}


def number(value):
    """Three digits that count."""
    if value is None:
        return "-"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def table(heads, rows):
    lines = [heads, ["---"] + ["---:"] * (len(heads) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def present(names, rows):
    return [name for name in names if any(name in row for row in rows)]


def value(rows, name, key="value"):
    return rows.get(name, {}).get(key)


def ratio(rows, name, base):
    mine, other = value(rows, name), value(rows, base)
    return f"{mine / other:.2f}" if mine and other else "-"


def best_other(rows):
    others = {name: row["value"] for name, row in rows.items()
              if "value" in row and name != "raw" and name not in STYLES}
    return min(others, key=others.get, default=None)


def batch():
    kept = figures("side_by_side")
    rows = {name: kept[name] for name in run.BATCH if name in kept}
    names = present(BATCH_PEERS, rows.values())
    lines = []
    for workload, row in rows.items():
        other = best_other(row)
        against = f"{ratio(row, 'stackio', other)} {other}" if other else "-"
        lines.append([workload, *(number(value(row, name)) for name in names),
                      ratio(row, "stackio", "raw"), against])
    return table(["ns", *names, "x raw", "x best other"], lines)


def parked():
    row = figures("side_by_side").get("parked1m", {})
    keys = ["rss_per_task", "pte_per_task", "spawn_ns", "wake_ns"]
    lines = [[name, *(number(row[name][key]) for key in keys)]
             for name in BATCH_PEERS if name in row and "value" in row[name]]
    return table(["a million tasks", "bytes each", "page tables", "spawn, ns", "wake, ns"], lines)


def servers():
    kept = figures("side_by_side")
    rows = {name: kept[name] for name in run.SERVER if name in kept}
    names = present(SERVER_PEERS, rows.values())
    lines = [[workload, *(number(value(row, name)) for name in names)]
             for workload, row in rows.items()]
    return table(["us per request", *names], lines)


def server_ratios():
    kept = figures("side_by_side")
    lines = []
    for workload in run.SERVER:
        row = kept.get(workload, {})
        base = "raw" if value(row, "raw") else "redis"
        if value(row, base):
            names = [*STYLES, "tokio"]
            lines.append([f"{workload}, to {base}", *(ratio(row, name, base) for name in names)])
    return table(["CPU per request", *STYLES, "tokio"], lines)


def counted(workloads):
    kept = figures("instructions")
    rows = {name: kept[name] for name in workloads if name in kept}
    names = present(FAST_PEERS, rows.values())
    def cell(row):
        return f"{row['instructions']:,.0f} / {row['calls']:.2f}" if row else "-"
    lines = [[workload, *(cell(row.get(name)) for name in names)] for workload, row in rows.items()]
    return table(["instructions / system calls", *names], lines)


def grown(titles):
    kept, parts = figures("growth"), []
    for title in titles:
        rows = kept.get(title)
        if not rows:
            continue
        sizes = sorted({size for row in rows.values() for size in row}, key=int)
        lines = [[name, *(number(rows[name].get(size)) for size in sizes)]
                 for name in growth.PEERS if name in rows]
        heads = [f"{title.removesuffix('_n')}, ns", *(f"{int(size):,}" for size in sizes)]
        parts.append(table(heads, lines))
    return "\n\n".join(parts)


def mib(count):
    return f"{count / 2**20:.1f}"


def idle():
    rows = figures("memory").get("idle", {})
    lines = [[name, f"{rows[name]['bytes']:,}", f"{rows[name]['page_tables']:,}",
              *(mib(rows[name][key]) for key in ("before", "during", "after"))]
             for name in SERVER_PEERS if name in rows]
    heads = ["idle connections", "bytes each", "page tables", "before, MiB", "with them", "after"]
    return table(heads, lines)


def burst():
    rows = figures("memory").get("burst", {})
    keys = ["before", "during", "after_100ms", "after_1s", "after_3s"]
    lines = [[name, *(mib(rows[name][key]) for key in keys),
              f"{100 * (rows[name]['after_3s'] / rows[name]['before'] - 1):+.0f} %"]
             for name in BATCH_PEERS if name in rows]
    return table(["MiB", "before", "with them", "0.1 s after", "1 s", "3 s", "kept"], lines)


def machine():
    parts = figures("side_by_side").get("machine", {})
    return table(["what", "which"], [[key, str(word)] for key, word in parts.items()])


TABLES = {
    "machine": machine,
    "batch": batch,
    "parked": parked,
    "servers": servers,
    "server ratios": server_ratios,
    "instructions of servers": lambda: counted(instructions.SERVERS),
    "instructions of tasks": lambda: counted(instructions.BATCH),
    "growth at a time": lambda: grown([*growth.AT_A_TIME, "connections"]),
    "growth in a row": lambda: grown(growth.IN_A_ROW),
    "idle": idle,
    "burst": burst,
}


def filled(match):
    return f"<!-- table: {match[1]} -->\n\n{TABLES[match[1]]()}\n\n<!-- end -->"


def main():
    page = PAGE.read_text()
    mark = re.compile(r"<!-- table: (.*?) -->.*?<!-- end -->", re.S)
    PAGE.write_text(mark.sub(filled, page))


if __name__ == "__main__":
    main()
