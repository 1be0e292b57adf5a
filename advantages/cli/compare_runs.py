"""`advantages compare-runs`: recorded runs beside each other, as tables, a page and numbers on disk."""

import argparse
from contextlib import nullcontext
from pathlib import Path

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `advantages compare-runs`."""
    parser.add_argument(
        "folders", nargs="+", type=Path, metavar="FOLDER", help="of a run, of an experiment, or one that holds several"
    )
    parser.add_argument("--baseline", metavar="NAME", help="what the others are compared with (default: the first)")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="where compare.html and compare.json go (default: the folder, where one is given; else the first free "
        "one of runs/compare-1, runs/compare-2 ...)",
    )
    parser.add_argument("--finished-only", action="store_true", help="leave out runs that are not finished")
    parser.add_argument(
        "--different-tasks", action="store_true", help="compare runs of different tasks or models all the same"
    )


def run(options: argparse.Namespace) -> int:
    """Compare recorded runs; the exit status."""
    from rich.console import Console

    from ..files import claim_free
    from ..reports.comparison import write_comparison
    from ..reports.tables import tables
    from ..runs.select import compare_records, read_records

    try:
        records, unfinished = read_records(options.folders, finished_only=options.finished_only)
        compared = compare_records(
            records, baseline=options.baseline, different_tasks=options.different_tasks, unfinished=unfinished
        )
    except ValueError as error:
        raise SystemExit(f"advantages compare-runs: {error}") from None
    alone = options.folders[0] if len(options.folders) == 1 else None
    chosen = options.out or alone
    with nullcontext(chosen) if chosen else claim_free(Path("runs"), "compare") as folder:
        paths = write_comparison(compared, folder)
    console = Console(highlight=False)
    for table in tables(compared.comparison):
        console.print(table)
        console.print()
    for name, whole in compared.legend.items():
        console.print(f"{name} is {whole}", markup=False, soft_wrap=True)
    for note in compared.notes:
        console.print(note, markup=False, soft_wrap=True)
    for name, path in paths.items():
        console.print(f"{name:<8} {path}", markup=False, soft_wrap=True)
    return 0
