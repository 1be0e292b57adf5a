"""The page docs/benchmarks.md and its picture, made of what was measured."""

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..core.palette import panels
from .measure import Found
from .targets import outcomes
from .works import Cell

__all__ = ["cell", "markdown", "picture"]

_HEAD = """# Benchmarks

This page is made by `advantages bench --page docs/benchmarks.md` (`make bench`); nothing on it is edited by hand.

**Speed is a reason not to worry, not a reason to come.** An advantage is about 0.1% of a training step: at most 0.13%
of a PPO step with GAE on an H100, by rl-triton's own account (arXiv 2608.17641), so that even an estimator that takes
no time changes a run's duration by nothing that could be measured. What decides a run is whether the numbers are right.

{machine}

Not measured on a GPU. The kernels of Triton for tensors on a GPU (`pip install "rl-advantages[gpu]"`: the recurrence of
GAE and of returns, the statistics of groups, and the pairwise sums of LamPO and LambdaPO) are tested in Triton's
interpreter on a CPU, and compiled for GPUs that were not there; no time is claimed for them.

Ours, the naive lines and the other packages run in turns in one process on the same inputs.
Each was compared with its formula in float64 on fresh random inputs before it was timed: with ours, or, where a
package computes something else (most names say what, in brackets), with our convention of that package. *error* is the
largest distance from that formula, in units of its largest number. *F* is one read-and-write pass over the first input
by numpy on one thread, its output reused; *x ours* above 1 is slower than ours; *memory* is how much the process grew
by at most during a call. Lines of TRL, OpenRLHF and slime that are part of a longer method are restated; tests hold
TRL's and OpenRLHF's against the packages.{missing}

![Time of every way to do a work, as a multiple of ours]({picture})

{alternative}
"""


_MISSED_ELSEWHERE = """\
Missed, too, but not timed here. On an accelerator without Triton, LamPO asks for 40 operations in small blocks, 11 of
which are views (25 wanted), and for 132 in large groups whose ids lie on the device and were made groups of by nobody,
for those are sorted there (120 wanted). Without compiled kernels REINFORCE++ takes 55 to 60 F (45 wanted): numpy goes
over the batch once for every operation. On a GPU nothing was measured.
"""


def markdown(
    machine: Mapping[str, Any],
    found: Sequence[Found],
    cells: Sequence[Cell],
    missing: Mapping[str, str],
    picture: str | None = None,
) -> str:
    """The page, with a link to its picture and with its text alternative."""
    absent = "".join(f"\n- {name}: {said}" for name, said in missing.items())
    parts = [
        _HEAD.format(
            machine=_machine(machine),
            missing=f"\n\nNot timed:\n{absent}" if absent else "",
            picture=picture,
            alternative=_alternative(found),
        )
    ]
    for work in dict.fromkeys(one.work for one in found):
        rows = [
            (
                one.name,
                _number(one.median_ms),
                _number(one.best_ms),
                f"{one.times_ours:.2f}",
                _number(one.times_floor),
                "-" if one.peak_mib is None else f"{one.peak_mib:.0f}",
                f"{one.error:.0e}",
            )
            for one in found
            if one.work == work
        ]
        head = ("", "median ms", "best ms", "x ours", "x F", "memory MiB", "error")
        parts += [f"## {work}\n", _table(head, rows)]
    parts += _targets(found)
    if cells:
        parts += [
            "## Never slower than the naive line\n",
            "Each cell is the median time of ours in units of the naive line's, for groups of neighbouring rows. "
            "Ours may take 1.5 times as long below 4,096 rewards, where a call costs more than the arithmetic, and as "
            "long from there on; what takes longer is lost, and in bold. The line sums in float32; ours sums in double "
            "precision, looks whether all numbers are finite, and gives equal rewards exactly zero.\n",
        ]
    for compiled in (True, False):
        if some := [one for one in cells if one.compiled == compiled]:
            parts += _grid(some, compiled)
    return "\n".join(parts)


def _targets(found: Sequence[Found]) -> Iterator[str]:
    """What we set out to reach, where that was measured."""
    if not (made := list(outcomes(found))):
        return
    missed = sum(not one.met for one in made)
    yield "## What we set out to reach\n"
    yield f"Targets are for medians, with compiled kernels. **{missed} of {len(made)} are missed.**\n"
    rows = [
        (one.work, one.wanted, one.found if one.met else f"**{one.found}**", "" if one.met else one.why) for one in made
    ]
    yield _table(("", "wanted", "found", "why it is missed"), rows, texts=(0, 1, 3))
    yield _MISSED_ELSEWHERE


def _grid(cells: Sequence[Cell], compiled: bool) -> Iterator[str]:
    """The cells with compiled kernels, or those without, a table for each estimator."""
    lost = sum(one.lost for one in cells)
    with_ = 'With compiled kernels (`pip install "rl-advantages[fast]"`)'
    why = " A sum in double precision takes half as many numbers at a time as the line's in single." if lost else ""
    if not compiled:
        with_ = "Without compiled kernels"
        why = " Numpy takes four passes in double precision where the line takes two in single."
    yield f"### {with_}\n"
    yield f"**{lost} of {len(cells)} cells are lost.**{why}\n"
    for name in dict.fromkeys(one.estimator for one in cells):
        mine = [one for one in cells if one.estimator == name]
        sizes = list(dict.fromkeys(one.size for one in mine))
        table = []
        for rows in dict.fromkeys(one.rows for one in mine):
            here = {one.size: one for one in mine if one.rows == rows}
            table.append((f"{rows:,}", *(cell(here[size]) if size in here else "" for size in sizes)))
        yield _table((f"{name}, rewards", *(f"groups of {size:,}" for size in sizes)), table)


def cell(one: Cell) -> str:
    """A cell of the grid: the ratio, in bold where it is lost, and both times."""
    ratio = f"{one.ours_us / one.naive_us:.2f}"
    return f"{f'**{ratio}**' if one.lost else ratio} ({one.ours_us:,.0f}/{one.naive_us:,.0f} us)"


def _machine(facts: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items() if number)
    load = facts["load"]
    busy = ""
    if load is not None and load > facts["cores"] / 2:
        busy = " **Other processes were running: ratios are fairer than times, and both are noisy.**"
    return (
        f"Measured on {facts['date']} on {facts['processor']}, {facts['cores']} cores, load {load} at the start;{busy} "
        f"threads of torch: {facts['threads']}, OMP_NUM_THREADS {facts['omp_num_threads'] or 'not set'}; allocator: "
        f"{facts['allocator']}; compiled kernels {facts['kernels']}; Python {facts['python']}, {versions}."
    )


def _alternative(found: Sequence[Found]) -> str:
    """What the picture shows, in words."""
    if not found:
        return ""
    said = []
    for work in dict.fromkeys(one.work for one in found):
        others = [one for one in found if one.work == work and one.kind != "ours"]
        if others:
            said.append(f"- {work}: " + ", ".join(f"{one.name} {one.times_ours:.1f}" for one in others))
    return "\n".join(["The picture in words, times as multiples of ours:", "", *said])


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], *, texts: Sequence[int] = (0,)) -> str:
    lines = [head, ["---" if column in texts else "---:" for column in range(len(head))], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _number(x: float) -> str:
    return f"{x:,.0f}" if x >= 100 else f"{x:.1f}" if x >= 10 else f"{x:.2f}" if x >= 1 else f"{x:.3f}"


def picture(found: Sequence[Found]) -> str:
    """An SVG: for each work a row of points, at each way's time as a multiple of ours, on a logarithmic axis."""
    works = list(dict.fromkeys(one.work for one in found))
    figure, (axes,) = panels(8.5, 0.9 + 0.36 * len(works), grid="x")
    looks = {"ours": ("#4269d0", "o"), "naive": ("#9498a0", "s"), "peer": ("#e8743b", "^")}
    for kind, (color, marker) in looks.items():
        points = [(one.times_ours, works.index(one.work)) for one in found if one.kind == kind]
        names = {"ours": "advantages", "naive": "the naive line", "peer": "another package"}
        if points:
            x, y = zip(*points, strict=True)
            axes.scatter(x, y, c=color, marker=marker, s=34, label=names[kind], zorder=3)
    axes.axvline(1, color="#4269d0", linewidth=1, alpha=0.5)
    axes.set_xscale("log")
    axes.set_yticks(range(len(works)), works)
    axes.invert_yaxis()
    axes.set_xlabel("time as a multiple of ours: right of the line, slower than ours")
    figure.legend(frameon=False, loc="outside upper right", ncols=3)
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Title": "Time as a multiple of ours"})
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"
