"""Benchmarks on two trees in turn, and how the times of one are to the other's: python benchmarks/compare.py --help

    git worktree add ../before COMMIT
    python benchmarks/compare.py groups scan pairs --before ../before --rounds 5 > benchmarks/compared.md

The benchmark's file is this tree's; the package is each tree's own. In every round both trees run, one after the
other, and the next round starts with the other one; a ratio is the median of the rounds' own ratios, so that a
machine that is busy for a while meets both.
"""

import argparse
import datetime
import os
import platform
import re
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROW = re.compile(r"^ *(\S.*?)  +([\d.]+)  +[\d.]+$")
SLOWER = 1.05
"""Ratios above this are pointed out."""


def times(benchmark: str, tree: Path) -> dict[str, float]:
    """Milliseconds of each entry of a benchmark, by its table's title and its name."""
    done = subprocess.run(
        [sys.executable, HERE / f"{benchmark}.py"],
        env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"{benchmark} fails with the package of {tree}:\n{done.stderr}")
    found, title = {}, ""
    for before, line in zip(["", *done.stdout.splitlines()], done.stdout.splitlines(), strict=False):
        if line.endswith("x floor"):
            title = before
        elif row := ROW.match(line):
            found[f"{title}: {row[1]}"] = float(row[2])
    return found


def commit_of(tree: Path) -> str:
    """Short name of a tree's commit, marked where files differ from it."""
    command = ["git", "-C", tree, "describe", "--always", "--dirty", "--exclude=*"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description="Ratios of two trees' times, as a table in Markdown.")
    parser.add_argument("benchmarks", nargs="+", help="names of files here, such as groups")
    parser.add_argument("--before", type=Path, required=True, help="a checkout of an earlier commit")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    trees = (options.before.resolve(), HERE.parent)
    before, after = map(commit_of, trees)
    threads = os.environ.get("OMP_NUM_THREADS", "not set")
    compiled = "off" if os.environ.get("ADVANTAGES_COMPILED") == "0" else "where numba is installed"
    print(
        f"{after} against {before}: {options.rounds} rounds on {datetime.date.today()}; compiled kernels: {compiled}; "
        f"Python {platform.python_version()}, {os.cpu_count()} cores, OMP_NUM_THREADS {threads}."
    )
    slower, cells = [], 0
    for benchmark in options.benchmarks:
        loads = []
        rounds: list[tuple[dict[str, float], dict[str, float]]] = []
        for number in range(options.rounds):
            loads.append(os.getloadavg()[0])
            order = trees if number % 2 == 0 else trees[::-1]
            found = {tree: times(benchmark, tree) for tree in order}
            rounds.append((found[trees[0]], found[trees[1]]))
        print(f"\n## {benchmark}\n\nLoad at the start of each round: {', '.join(f'{load:.1f}' for load in loads)}.\n")
        print("| | before, ms | after, ms | ratio | of single rounds |\n|---|---:|---:|---:|---:|")
        for name in rounds[0][1]:
            own = statistics.median(one[1][name] for one in rounds)
            if name not in rounds[0][0]:
                print(f"| {name} | | {own:.3f} | | |", flush=True)
                continue
            ratios = [one[1][name] / one[0][name] for one in rounds]
            earlier, ratio = statistics.median(one[0][name] for one in rounds), statistics.median(ratios)
            spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
            print(f"| {name} | {earlier:.3f} | {own:.3f} | {ratio:.2f} | {spread} |", flush=True)
            cells += 1
            if ratio > SLOWER:
                slower.append(f"{name} ({ratio:.2f}; {spread})")
    print(f"\n## Slower than {SLOWER} times\n\n{len(slower)} of {cells}:\n")
    print("\n".join(f"- {one}" for one in slower) or "None.")


if __name__ == "__main__":
    main()
