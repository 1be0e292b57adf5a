"""The estimators as a table: what each needs and promises, and where it was published, as it declares them."""

from collections.abc import Callable, Iterable
from textwrap import wrap
from typing import Any, NamedTuple

from . import estimators
from .core.definition import Paper, Unit, definition_of
from .core.objectives import MEAN
from .core.promises import Bound, Promises
from .core.vocabulary import INPUTS

__all__ = ["Row", "bibtex", "markdown", "promised", "row", "rows", "table", "words"]


class Row(NamedTuple):
    """What is said of one estimator."""

    name: str
    unit: Unit
    """What there is one advantage of."""
    needs: tuple[str, ...]
    """Words of the vocabulary that must be passed."""
    promises: tuple[str, ...]
    """Beyond what all estimators promise, for the default settings; n is the scored responses in a group."""
    paper: Paper | None

    def record(self) -> dict[str, Any]:
        """The same as JSON has it."""
        return {**self._asdict(), "paper": self.paper and self.paper._asdict()}


def row(function: Callable[..., Any]) -> Row:
    """What an estimator declares."""
    d = definition_of(function)
    return Row(d.name, d.unit, d.needed, promised(d.promises), d.paper)


def rows(needs: Iterable[str] = (), unit: Unit | None = None) -> list[Row]:
    """The estimators of `advantages` by name: those that need all these words, and that have this unit.

    >>> [row.name for row in rows(needs=["rewards", "baselines"])]
    ['baselined']
    """
    every = (row(getattr(estimators, name)) for name in estimators.__all__)
    return [r for r in every if set(needs) <= set(r.needs) and unit in (None, r.unit)]


def promised(promises: Promises) -> tuple[str, ...]:
    """The promises in words.

    >>> promised(Promises(zero_sum=True, bound=Bound("sqrt(n - 1)", lambda n: (n - 1) ** 0.5)))
    ('zero-sum', 'at most sqrt(n - 1)')
    """
    p = promises
    said = [word for word, holds in (("zero-sum", p.zero_sum), ("shift-invariant", p.shift_invariant)) if holds]
    said += [f"scale-{p.scale}"] if p.scale else []
    said += ["monotone"] if p.monotone else []
    said += [f"at most {_formula(p.bound)}"] if p.bound else []
    said += [f"at most {_times(p.gap_bound, ' of ')}the largest gap"] if p.gap_bound else []
    climbs = "" if p.objective is MEAN else f" for {p.objective}"
    said += [f"unbiased{_times(p.unbiased, '', ' times ')}{climbs}"] if p.unbiased else []
    said += [f"made{climbs}"] if climbs and not p.unbiased else []
    said += [] if p.equals_get_zero else ["pushes groups of equals"]
    said += ["statistics of the batch"] if p.spans_batch else []
    return tuple(said)


def _formula(bound: Callable[[int], float]) -> str:
    return str(bound) if isinstance(bound, Bound) else f"{bound(8):.3g} for n = 8"


def _times(factor: Callable[[int], float], after: str, before: str = "") -> str:
    """The factor in words, and nothing where it is 1."""
    return "" if _formula(factor) == "1" else before + _formula(factor) + after


# In print

_KEPT = "\N{NO-BREAK SPACE}"


def table(found: Iterable[Row], width: int = 100) -> str:
    """The rows as text: name, unit and needs in columns, and below them the promises and the paper."""
    found = list(found)
    names = max((len(r.name) for r in found), default=0)
    units = max((len(r.unit) for r in found), default=0)
    indent = " " * (names + 2)
    lines = []
    for r in found:
        first = f"{r.name:<{names}}  {r.unit:<{units}}  "
        lines += wrap(", ".join(r.needs), width, initial_indent=first, subsequent_indent=" " * len(first))
        whole = (promise.replace(" ", _KEPT) for promise in r.promises)  # no formula is broken
        for cell in (", ".join(whole) or "nothing beyond what all promise", str(r.paper or "unpublished")):
            wrapped = wrap(cell, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
            lines += [line.replace(_KEPT, " ") for line in wrapped]
    return "\n".join(lines)


def markdown(names: Iterable[str] | None = None) -> str:
    """The table of the documentation: of all estimators, or of some."""
    some = None if names is None else set(names)
    lines = ["| estimator | unit | needs | promises | paper |", "|---|---|---|---|---|"]
    for r in rows():
        if some is not None and r.name not in some:
            continue
        needs = ", ".join(f"`{word}`" for word in r.needs)
        promises = ", ".join(r.promises) or "none beyond all"
        lines.append(f"| `{r.name}` | {r.unit} | {needs} | {promises} | {_linked(r.paper)} |")
    return "\n".join(lines)


def words() -> str:
    """The table of the vocabulary: what an estimator may ask for."""
    lines = ["| word | shape | kind | meaning |", "|---|---|---|---|"]
    for name, word in INPUTS.items():
        shape = f"({', '.join(word.shape)}{',' if len(word.shape) == 1 else ''})"
        lines.append(f"| `{name}` | {shape} | {word.kind} | {word.meaning} |")
    return "\n".join(lines)


def _linked(paper: Paper | None) -> str:
    if paper is None or paper.arxiv is None:
        return str(paper or "")
    return str(paper).replace(f"arXiv:{paper.arxiv}", f"[arXiv:{paper.arxiv}](https://arxiv.org/abs/{paper.arxiv})")


_SPECIAL = str.maketrans({letter: f"\\{letter}" for letter in "&%$#_"})


def bibtex(name: str, paper: Paper) -> str:
    """The entry of an estimator's paper, for a list of references.

    >>> print(bibtex("dr_grpo", Paper("R1-Zero", "Liu et al.", 2025, "2503.20783")))
    @misc{dr_grpo,
      title = {{R1-Zero}},
      author = {Liu and others},
      year = {2025},
      eprint = {2503.20783},
      archivePrefix = {arXiv}
    }
    """
    fields = {"title": f"{{{paper.title}}}"}
    if paper.authors != "unknown":
        fields["author"] = paper.authors.replace(" et al.", " and others").replace(", ", " and ")
    fields["year"] = str(paper.year)
    if paper.arxiv:
        fields |= {"eprint": paper.arxiv, "archivePrefix": "arXiv"}
    elif paper.venue:
        fields["howpublished"] = paper.venue
    if paper.note:
        fields["note"] = paper.note
    inside = ",\n".join(f"  {key} = {{{value.translate(_SPECIAL)}}}" for key, value in fields.items())
    return f"@misc{{{name},\n{inside}\n}}"
