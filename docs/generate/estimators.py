"""A page per estimator, made from its file: formula, picture, promises, who ships it, paper, bias and variance."""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from formulas import latex
from pictures import GROUPS, Shown, picture, shown
from prose import described

from advantages import estimators, laboratory
from advantages.catalogue import bibtex, promised
from advantages.conventions.table import ships
from advantages.core.definition import Definition, definition_of
from advantages.core.promises import Promises
from advantages.lab.bandit import updates
from advantages.testing import CHECKS

__all__ = ["KEPT_BY", "pages"]

KEPT_BY = {
    "zero_sum": "sums_to_zero_in_a_group",
    "shift_invariant": "ignores_a_shift_of_rewards",
    "scale": "scales_with_the_rewards",
    "monotone": "never_ranks_a_better_response_lower",
    "bound": "keeps_its_bound",
    "gap_bound": "keeps_its_bound",
    "unbiased": "points_along_the_true_gradient",
}
"""The check that keeps a promise."""

STARTS = {
    "undecided, 1 of 4 right": ([0.25, 0.25, 0.25, 0.25], [1.0, 0.0, 0.0, 0.0]),
    "mostly right": ([0.6, 0.2, 0.15, 0.05], [1.0, 0.0, 0.0, 0.0]),
    "mostly wrong, the right one rare": ([0.6, 0.2, 0.15, 0.05], [0.0, 0.0, 0.0, 1.0]),
}
"""Policies over four answers, and the rewards of these; those of `benchmarks/lampo/bandit.py`."""


def pages() -> Iterator[tuple[str, str]]:
    """The name and the text of each page."""
    for name in estimators.__all__:
        function = getattr(estimators, name)
        yield name, _page(name, function, definition_of(function))


def _page(name: str, function: Callable[..., Any], d: Definition) -> str:
    said = described(function)
    groups = shown(d, function)
    parts = [
        f"# {name}",
        said.summary,
        *(f"```{{math}}\n{latex(line)}\n```" for line in said.formulas),
        re.sub(r"docs/(\w+)\.md", r"[the page on \1](../\1.md)", said.prose),
        _about(d),
        "## In code",
        f"```pycon\n>>> from advantages import {name}\n{said.example}\n```",
        "## What it does",
        _what_it_does(name, d, groups),
        "## What it promises",
        _promises(d),
        *_exact(d, function),
        "## Who ships it",
        _ships(name),
        "## Paper",
        _paper(name, d),
        "## Arguments",
        f"```{{eval-rst}}\n.. autofunction:: advantages.{name}\n```",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _about(d: Definition) -> str:
    needs = ", ".join(f"`{word}`" for word in d.needed)
    optional = [word for word in d.own_inputs if word not in d.needed]
    more = f" It takes {', '.join(f'`{word}`' for word in optional)}, too." if optional else ""
    return f"One advantage per **{d.unit}**; needs {needs}.{more}"


def _what_it_does(name: str, d: Definition, groups: list[Shown]) -> str:
    left_out = [group for group in GROUPS if group not in [one.name for one in groups]]
    each = "a bar per token" if d.per_token else "a bar per response"
    notes = [f"Rewards above, advantages below, {each}: up in blue, down in orange; defaults, all groups in one batch."]
    if left_out:
        notes.append(f"It refuses the rewards of {' and '.join(f'“{group}”' for group in left_out)}.")
    if d.by_component:
        notes.append("The second component, hollow, pays short responses.")
    rest = [word for word in d.needed if word not in ("rewards", "groups", "mask", "lengths")]
    if rest:
        notes.append(f"Beside the rewards it gets plain, made-up {', '.join(f'`{word}`' for word in rest)}.")
    rows = ["| group | rewards | advantages |", "|---|---|---|"]
    rows += [f"| {g.name} | {_numbers(g.rewards)} | {_numbers(g.advantages)} |" for g in groups]
    table = "\n".join(rows)
    return (
        f'```{{raw}} html\n<figure class="picture">{picture(name, groups)}</figure>\n```\n\n{" ".join(notes)}\n\n'
        f":::{{dropdown}} The numbers\n{table}\n:::"
    )


def _numbers(x: Any) -> str:
    """Numbers of responses after each other; those of one response's tokens or components in brackets."""
    if x.ndim == 2:
        return ", ".join(f"({' '.join(_short(value) for value in row if not np.isnan(value))})" for row in x)
    return ", ".join(map(_short, x))


def _short(x: float) -> str:
    return f"{x:.3f}".rstrip("0").rstrip(".").replace("-0", "-0" if abs(x) >= 0.0005 else "0") or "0"


def _promises(d: Definition) -> str:
    """What it declares, with the check that keeps it."""
    names = {check.name: check for check in CHECKS}
    rows = ["| promise | kept by the test | why it matters |", "|---|---|---|"]
    for field, check in KEPT_BY.items():
        value = getattr(d.promises, field)
        if value is None or value is False:
            continue
        objective = {"objective": d.promises.objective} if field == "unbiased" else {}
        (words,) = promised(Promises(**{field: value}, **objective))
        test = names[check]
        rows.append(f"| {words} | `test_{d.name}[{test.sentence}]` | {test.why} |")
    notes = []
    if d.promises.spans_batch:
        notes.append("Its statistics span the batch: other prompts matter, and on several ranks `across` is needed.")
    if not d.promises.equals_get_zero:
        notes.append("It pushes groups of equal rewards on purpose, where others give them exactly zero.")
    beyond = "\n".join(rows) if len(rows) > 2 else "Nothing beyond what all estimators promise."
    every = "Tests: `tests/estimators/test_estimators.py`. What all promise: [the properties](../properties.md)."
    return "\n\n".join([beyond, *notes, every])


def _exact(d: Definition, function: Callable[..., Any]) -> Iterator[str]:
    """Bias and variance by enumeration: in a bandit what it can supply, and in the laboratory's worlds the others."""
    yield "## Bias and variance, exactly"
    found: Mapping[str, laboratory.Measures | None]
    if not d.by_component and not d.per_token and {"rewards"} <= set(d.needed) <= {"rewards", "groups", "logprobs"}:
        where = "policy"
        found = {start: laboratory.measured(updates(function, *world, 8)) for start, world in STARTS.items()}
        yield (
            "A softmax policy over four answers, groups of eight, every group that can be drawn, weighed by its "
            "probability: the expected update beside the gradient of the expected reward, and its length over the "
            "deviation of one group's update."
        )
    else:
        where = "world"
        (row,) = laboratory.rows([d.name])
        found = row.measures
        yield (
            "Five answers of one or two tokens, groups of four, every group that can be drawn, weighed by its "
            f"probability: the expected update beside the gradient of {row.objective}, and its length over the "
            "deviation of one group's update. [The laboratory](../laboratory.md) has these worlds, and all estimators "
            "in them."
        )
    head = f"| {where} | cosine with the gradient | length, to the gradient's | signal to noise |"
    lines = [head, "|---|---|---|---|"]
    for name, measures in found.items():
        cells = (laboratory.number(x, 3) for x in measures or [None] * 3)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    yield "\n".join(lines)


def _ships(name: str) -> str:
    found = ships(name)
    if not found:
        return "None of the frameworks whose [conventions](../conventions.md) are stated here."
    rows = [
        "| in `advantages.conventions` | version | how it is known | differs from our default in |",
        "|---|---|---|---|",
    ]
    for function, made in found.items():
        how = "run beside it in the tests" if made.executed else "from source"
        differs = "; ".join(f"`{key}` = `{x!r}`: {why}" for key, (x, why) in made.deviations.items()) or "nothing"
        rows.append(f"| `{function}` | {made.version} | {how} | {differs} |")
    return "\n".join(rows)


def _paper(name: str, d: Definition) -> str:
    if d.paper is None:
        return "Unpublished."
    link = f", [arXiv:{d.paper.arxiv}](https://arxiv.org/abs/{d.paper.arxiv})" if d.paper.arxiv else ""
    where = f" {d.paper.venue}." if d.paper.venue and not d.paper.arxiv else ""
    note = f" **Note:** {d.paper.note}." if d.paper.note else ""
    cited = f"*{d.paper.title}*, {d.paper.authors}, {d.paper.year}{link}.{where}{note}"
    source = inspect.getsourcefile(inspect.unwrap(d.function)) or ""
    file = f"advantages/estimators/{source.rpartition('/')[2]}"
    return f"{cited}\n\n```bibtex\n{bibtex(name, d.paper)}\n```\n\nThe spec in numpy and the function: `{file}`."
