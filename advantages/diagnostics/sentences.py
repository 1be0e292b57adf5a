"""What a diagnosis says to a person: a sentence each, where the numbers support it."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .diagnosis import Diagnosis

__all__ = ["SENTENCES", "share"]

_FEW = 16
"""Responses below which a share or a correlation says nothing."""

_CAUSES = (
    "no advantage is above 0",
    "its reward is alone in its group: a rare outcome",
    "the rewards of its group are as good as tied, and were divided by their small deviation",
    "its reward is the farthest from its group",
    "its group is no cause: the batch's statistics or the estimator's settings are",
)


def share(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else part / whole


def _groups_that(d: "Diagnosis", count: int) -> str:
    return f"{count} of {d.groups} groups {'is' if count == 1 else 'are'}"


def _holds(count: int) -> str:
    return "holds" if count == 1 else "hold"


def _no_signal(d: "Diagnosis") -> str | None:
    if not d.responses:
        return "There are no responses in the batch."
    if not d.informative:
        return "No group has two scored responses whose rewards differ: a group estimator learns nothing here."
    return None


def _all_wrong(d: "Diagnosis") -> str | None:
    if d.all_wrong * 4 < d.groups or not d.all_wrong:
        return None
    return f"{_groups_that(d, d.all_wrong)} all wrong: easier prompts, a higher temperature, or a dense reward."


def _all_right(d: "Diagnosis") -> str | None:
    if d.all_right * 4 < d.groups or not d.all_right:
        return None
    return f"{_groups_that(d, d.all_right)} all right: harder prompts, or leave out those that are solved."


def _tied(d: "Diagnosis") -> str | None:
    if d.tied * 4 < d.groups or not d.tied:
        return None
    return f"{_groups_that(d, d.tied)} tied between wrong and right: see whether the reward can tell responses apart."


def _collapse(d: "Diagnosis") -> str | None:
    if d.collapse is None or d.cliff is None or not d.dead:
        return None
    if d.dead * 4 < d.groups and d.collapse * 10 < d.groups:  # some prompts are always solved, or never
        return None
    said = []
    if d.cliff:
        said.append(f"{d.cliff} {_holds(d.cliff)} different responses: more samples may find a difference")
    if d.collapse:
        what = "one response every time: resampling is useless; raise temperature or entropy"
        said.append(f"{d.collapse} {_holds(d.collapse)} {what}")
    return f"Of {d.dead} groups of equal rewards, {', and '.join(said)}."


def _unscored(d: "Diagnosis") -> str | None:
    if not d.unscored:
        return None
    return f"{d.unscored} of {d.responses} responses are unscored: see why the reward function gave no finite number."


def _invalid(d: "Diagnosis") -> str | None:
    return f"{d.invalid} of {d.responses} responses are not valid, and teach nothing." if d.invalid else None


def _small(d: "Diagnosis") -> str | None:
    if not d.small:
        return None
    return f"{_groups_that(d, d.small)} small, with too few scored responses to compare: see the ids of groups."


def _nonfinite(d: "Diagnosis") -> str | None:
    return f"{d.nonfinite} advantages are not finite: do not train on them." if d.nonfinite else None


def _zero(d: "Diagnosis") -> str | None:
    if not d.informative or d.zero_informative * 2 < d.in_informative:
        return None
    return (
        f"{d.zero_informative} of {d.in_informative} responses in informative groups have advantage 0: see the groups "
        "that the estimator was given, its mask and its clipping."
    )


def _heaviest(d: "Diagnosis") -> str | None:
    if d.responses < 2 * _FEW or d.heaviest**2 < d.squares / 4 or not d.squares:
        return None
    return f"One advantage, of size {d.heaviest:.3g}, outweighs the batch: {_CAUSES[d.heaviest_cause]}."


def _effective(d: "Diagnosis") -> str | None:
    size = d.effective_sample_size
    if size is None or d.responses < _FEW or size * 10 > d.responses:
        return None
    return f"The effective sample size of |A| is {size:.1f} of {d.responses} responses: few of them decide the update."


def _mass(d: "Diagnosis") -> str | None:
    if not d.absolute or d.responses < _FEW:
        return None
    share = d.positive / d.absolute
    if 0.05 <= share <= 0.95:
        return None
    sign, part = ("positive", share) if share > 0.5 else ("negative", 1 - share)
    return f"{part:.0%} of the mass of advantages is {sign}: the update pushes one way alone; see the baseline."


def _dominated(d: "Diagnosis") -> str | None:
    whole = sum(d.component_squares)
    if len(d.components) < 2 or not whole:
        return None
    share, name = max((x / whole, name) for x, name in zip(d.component_squares, d.components, strict=True))
    if share < 0.95:
        return None
    return f"The component {name!r} makes {share:.1%} of the variation within groups: the others have no say."


def _cancelled(d: "Diagnosis") -> str | None:
    if not d.cancelled or d.cancelled * 10 < d.groups:
        return None
    return f"In {d.cancelled} of {d.groups} groups the components differ but cancel in the total: see their weights."


def _penalty(d: "Diagnosis") -> str | None:
    if d.penalty_squares is None or d.raw_squares is None or not d.penalty_squares:
        return None
    if d.penalty_only and d.penalty_only * 10 >= d.groups:
        return f"{d.penalty_only} of {d.groups} groups differ through the penalty alone: their rewards are tied."
    if d.penalty_squares > d.raw_squares:
        return "The penalty varies more within groups than the reward: it decides the advantages."
    return None


def _twice(d: "Diagnosis") -> str | None:
    what = d.normalised_twice
    if what == "rewards":
        return (
            "The rewards have mean 0 and deviation 1 in every informative group: they look normalised already, and an "
            "estimator that divides by the deviation normalises twice."
        )
    if what == "advantages":
        return (
            "The advantages have one deviation above 1 in every informative group and 1 over the batch: they look "
            "normalised by group and whitened again, which grows as groups die."
        )
    return None


def _length(d: "Diagnosis") -> str | None:
    found = d.correlation(0, 2)
    if found is None or d.count < _FEW or abs(found) < 0.5:
        return None
    return (
        f"Advantages and lengths correlate at {found:+.2f}: "
        f"{'longer' if found > 0 else 'shorter'} responses are what is reinforced."
    )


def _saturated(d: "Diagnosis") -> str | None:
    if not d.pairs or not d.saturated or d.saturated * 2 < d.pairs:
        return None
    return (
        f"{d.saturated} of {d.pairs} pairs have a LamPO weight below 0.02 or above 0.98: it is a hard ordering; raise "
        "the temperature, or compare means per token."
    )


def _clipped(d: "Diagnosis") -> str | None:
    if not d.clipped or d.clipped * 10 < d.responses:
        return None
    lost = share((d.before or 0.0) - d.absolute, d.before) or 0.0
    return (
        f"Clipping changed {d.clipped} of {d.responses} advantages and took {lost:.0%} of their mass; the largest was "
        f"{d.largest_before or 0.0:.3g}."
    )


def _noise(d: "Diagnosis") -> str | None:
    if d.noisy:
        return (
            f"In {d.noisy} of {d.groups} groups one response got several rewards: the verifier is noisy, and ties that "
            "it breaks count as informative, so that the curve looks healthier than the run."
        )
    if d.doubted and d.doubted * 10 >= d.informative:
        return (
            f"{d.doubted} of {d.informative} informative groups are tied when scored again: noise of the verifier "
            "breaks ties, so that the curve looks healthier than the run."
        )
    return None


def _near_tied(d: "Diagnosis") -> str | None:
    if not d.near_tied or d.near_tied * 10 < d.informative:
        return None
    return (
        f"{d.near_tied} of {d.informative} informative groups are as good as tied: their rewards differ by less than a "
        "thousandth, or by rounding alone, of which an estimator that divides by the deviation makes full advantages."
    )


SENTENCES: tuple[Callable[["Diagnosis"], str | None], ...] = (
    *(_no_signal, _nonfinite, _all_wrong, _all_right, _tied, _collapse, _unscored, _invalid, _small, _zero),
    *(_noise, _near_tied, _twice, _dominated, _cancelled, _penalty, _heaviest, _effective, _mass, _length),
    *(_saturated, _clipped),
)
