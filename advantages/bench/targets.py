"""What we set out to reach, beside what was found: a target that is missed is shown as missed, with the reason."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from .measure import Found

__all__ = ["Outcome", "outcomes"]

_SCAN = "a recurrence in double precision waits for itself at every token, and fresh memory costs 1.4 F"
_SUMS = "sums are in double precision, and every number is looked at"


class _Target(NamedTuple):
    work: str
    of: str
    """What the limit is of: ours in "F" or "ms", at most; another entry's time as a multiple of ours, at least; or
    "one / other", the one's time as a multiple of the other's, at most."""
    limit: float
    why: str
    """Why it is missed where it is."""


_TARGETS = (
    _Target("GAE, holes and padding, (256, 32768)", "F", 12.0, _SCAN),
    _Target("GAE, holes and padding, (256, 32768)", "verl (whitens, too)", 150.0, _SCAN),
    _Target("GAE, holes and padding, (256, 32768)", "advantages, jax.jit / rlax, jit (without a mask)", 1.5, _SCAN),
    _Target("GAE, dense, (256, 32768)", "F", 7.0, _SCAN),
    _Target("GAE, holes and padding, (1024, 8192)", "F", 10.0, _SCAN),
    _Target("GAE, holes and padding, (1024, 8192)", "verl (whitens, too)", 50.0, _SCAN),
    _Target("GAE, holes and padding, (1024, 8192)", "advantages, jax.jit / rlax, jit (without a mask)", 1.5, _SCAN),
    _Target("whitening, holes and padding, (256, 32768)", "F", 8.0, _SUMS),
    _Target("whitening, holes and padding, (256, 32768)", "verl (also outside the mask)", 6.0, _SUMS),
    _Target("REINFORCE++, holes and padding, (256, 32768)", "F", 9.0, _SCAN),
    _Target("grpo, 16,384 rewards in blocks of 8", "ms", 0.1, _SUMS),
    _Target("grpo, 16,384 rewards in blocks of 8", "TRL's lines, restated", 3.0, _SUMS),
    _Target("grpo, 16,384 rewards in blocks of 8", "OpenRLHF's lines, restated", 3.0, _SUMS),
    _Target("grpo, 16,384 rewards in interleaved groups of 8", "ms", 0.3, _SUMS),
    _Target("rloo, 16,384 rewards in blocks of 8", "ms", 0.1, _SUMS),
    _Target("rloo, 16,384 rewards in blocks of 8", "TRL's lines, restated", 3.0, _SUMS),
    _Target("rloo, 16,384 rewards in blocks of 8", "OpenRLHF's lines, restated", 3.0, _SUMS),
    _Target("rloo, 16,384 rewards in interleaved groups of 8", "ms", 0.3, _SUMS),
    _Target("LamPO, 16,384 responses in blocks of 16", "ms", 0.3, "every pair needs a sigmoid in double precision"),
    _Target("LamPO, 16,384 responses in blocks of 1,024", "ms", 1.0, "14 polynomials a response, in double precision"),
    _Target("LamPO, 16,384 responses in blocks of 4,096", "ms", 1.0, "14 polynomials a response, in double precision"),
    _Target("LamPO, 16,384 responses in blocks of 16,384", "ms", 1.0, "14 polynomials a response, in double precision"),
    _Target("16,384 UUID strings to slots, interleaved", "np.unique", 5.0, "a dictionary looks at every string"),
)


class Outcome(NamedTuple):
    """A target, and what was found."""

    work: str
    wanted: str
    found: str
    met: bool
    why: str


def outcomes(found: Sequence[Found]) -> Iterator[Outcome]:
    """Of the targets whose entries were measured."""
    for target in _TARGETS:
        here = {one.name: one for one in found if one.work == target.work}
        if not here:
            continue
        ours, limit = next(iter(here.values())), f"{target.limit:g}"
        first, _, second = target.of.partition(" / ")
        if target.of in ("F", "ms"):
            number = ours.times_floor if target.of == "F" else ours.median_ms
            wanted, said = f"at most {limit} {target.of}", f"{number:.3g} {target.of}"
        elif target.of in here:
            number = here[target.of].times_ours
            wanted, said = f"{target.of}: at least {limit} times ours", f"{number:.1f}"
        elif first in here and second in here:
            number = here[first].median_ms / here[second].median_ms
            wanted, said = f"{first}: at most {limit} times {second}", f"{number:.2f}"
        else:
            continue
        met = number >= target.limit if target.of in here else number <= target.limit
        yield Outcome(target.work, wanted, said, met, target.why)
