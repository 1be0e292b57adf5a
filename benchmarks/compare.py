"""A benchmark on two trees in turn, and how the times of one are to the other's: python benchmarks/compare.py --help

    git worktree add ../before COMMIT
    python benchmarks/compare.py groups scan pairs --before ../before --rounds 5

The benchmark's file is this tree's; the package is each tree's own.
"""

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROW = re.compile(r"^ *(\S.*?)  +([\d.]+)  +[\d.]+$")


def times(benchmark: str, tree: Path) -> dict[str, float]:
    """Milliseconds of each entry of a benchmark, by its table's title and its name."""
    done = subprocess.run(
        [sys.executable, HERE / f"{benchmark}.py"],
        env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        check=True,
    )
    found, title = {}, ""
    for before, line in zip(["", *done.stdout.splitlines()], done.stdout.splitlines(), strict=False):
        if line.endswith("x floor"):
            title = before
        elif row := ROW.match(line):
            found[f"{title}: {row[1]}"] = float(row[2])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Ratios of two trees' times; each is the least of its rounds.")
    parser.add_argument("benchmarks", nargs="+", help="names of files here, such as groups")
    parser.add_argument("--before", type=Path, required=True, help="a checkout of an earlier commit")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    for benchmark in options.benchmarks:
        least: list[dict[str, float]] = [{}, {}]
        for _ in range(options.rounds):
            for best, tree in zip(least, (options.before.resolve(), HERE.parent), strict=True):
                for name, taken in times(benchmark, tree).items():
                    best[name] = min(taken, best.get(name, taken))
        before, after = least
        print(f"\n{benchmark:<64} before ms  after ms  ratio")
        for name, taken in after.items():
            print(f"{name:<64}  {before[name]:8.3f}  {taken:8.3f}  {taken / before[name]:5.2f}", flush=True)


if __name__ == "__main__":
    main()
