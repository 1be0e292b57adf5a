"""What is known of a batch: numbers that add up over its parts, and the shares, sentences and picture made of them."""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..core.palette import COLORS, panels
from .sentences import SENTENCES, share

__all__ = ["Diagnosis", "Standing"]


class Standing(NamedTuple):
    """How the numbers of informative groups stand, which tells what was normalised; infinite where none is."""

    most_mean: float = -math.inf
    """The largest |mean| of rewards."""
    most_from_one: float = -math.inf
    """How far the sample deviation of rewards is from 1, and of the population, at most."""
    most_from_one_of_population: float = -math.inf
    most_from_plain: float = -math.inf
    """How far |reward| is from 1 at most: rewards of -1 and 1 are no z-scores."""
    least_reward: float = math.inf
    most_reward: float = -math.inf
    """The least and the greatest deviation of rewards, and of advantages."""
    least_advantage: float = math.inf
    most_advantage: float = -math.inf


@dataclass(frozen=True)
class Diagnosis:
    """Counts and sums of a batch, which add up over its parts; None where a number was not measured.

    Shares and sentences are made of them by `metrics` and `explain`.
    """

    responses: int
    unscored: int
    """Valid responses without a finite reward."""
    invalid: int
    groups: int
    informative: int
    """Groups whose scored rewards differ."""
    all_wrong: int
    all_right: int
    tied: int
    """Groups of equal rewards that are neither."""
    small: int
    """Groups with some, but too few, scored responses."""
    unscored_groups: int
    near_tied: int
    """Informative groups whose rewards differ by less than a thousandth of the largest, or a millionth of the distance
    from wrong to right."""
    cliff: int | None
    """Dead groups of different responses: another sample may differ in reward."""
    collapse: int | None
    """Dead groups of one response, given every time: another sample will be the same."""
    noisy: int | None
    """Groups in which one response, given several times, got several rewards."""
    doubted: int | None
    """Informative groups whose rewards differ, and that a second scoring finds tied."""
    zero: int
    zero_invalid: int
    zero_unscored: int
    zero_small: int
    zero_tied: int
    zero_informative: int
    """Advantages of 0 in groups whose rewards differ."""
    in_informative: int
    """Scored responses of informative groups."""
    nonfinite: int
    """Advantages that are not finite; they enter nothing else."""
    absolute: float
    """Sum of |A|."""
    squares: float
    positive: float
    negative: float
    largest: float
    """Of |A|, of tokens where each has one."""
    heaviest: float
    """The largest |A| of a response: the mean over its tokens, as in the sums above."""
    heaviest_cause: int
    components: tuple[str, ...]
    component_squares: tuple[float, ...]
    """Squared distances of each component from its group's mean."""
    total_squares: float
    raw_squares: float | None
    """The same of the rewards, before penalties."""
    penalty_squares: float | None
    cancelled: int | None
    """Groups whose components differ, but whose totals do not."""
    penalty_only: int | None
    """Groups that differ through the penalties alone."""
    raw_sum: float
    penalty_sum: float | None
    standing: "Standing"
    count: int
    means: tuple[float, ...]
    """Of advantages, rewards and lengths over scored responses."""
    products: tuple[tuple[float, ...], ...]
    """Sums of products of their distances from the means."""
    pairs: int | None
    """Pairs of scored responses in informative groups, whose weights LamPO forms."""
    saturated: int | None
    clipped: int | None
    before: float | None
    """Sum of |A| before clipping."""
    largest_before: float | None

    def metrics(self) -> dict[str, float]:
        """Floats by stable names, for any logger; what was not measured, or overflows, is left out.

        `groups_*` are shares of groups, `responses_*` and `zero*` of responses; `*_mass` are per response.
        """
        n, g = self.responses, self.groups
        found: dict[str, float | None] = {"responses": n, "groups": g}
        for name in ("informative", "all_wrong", "all_right", "tied", "small", "near_tied"):
            found[f"groups_{name}"] = share(getattr(self, name), g)
        found["groups_unscored"] = share(self.unscored_groups, g)
        for name in ("cliff", "collapse", "noisy", "doubted", "cancelled", "penalty_only"):
            found[f"groups_{name}"] = share(getattr(self, name), g)
        for name in ("unscored", "invalid", "nonfinite"):
            found[f"responses_{name}"] = share(getattr(self, name), n)
        for name in ("zero", "zero_invalid", "zero_unscored", "zero_small", "zero_tied", "zero_informative"):
            found[name] = share(getattr(self, name), n)
        found |= {
            "largest": self.largest if n else None,
            "effective_sample_size": self.effective_sample_size,
            "effective_share": share(self.effective_sample_size, n),
            "positive_mass": share(self.positive, n),
            "negative_mass": share(self.negative, n),
            "reward_raw": share(self.raw_sum, self.count),
            "reward_penalty": share(self.penalty_sum, self.count),
            "reward_total": self.means[1] if self.count else None,
            "length_correlation": self.correlation(0, 2),
            "reward_length_correlation": self.correlation(1, 2),
            "weights_saturated": share(self.saturated, self.pairs),
            "clipped": share(self.clipped, n),
            "clipped_mass": None if self.before is None else share(self.before - self.absolute, self.before),
            "largest_before_clipping": self.largest_before,
            "normalised_twice": float(self.normalised_twice is not None) if self.informative else None,
        }
        whole = sum(self.component_squares)
        for name, squares in zip(self.components, self.component_squares, strict=True):
            found[f"component/{name}"] = share(squares, whole)
        known = {name: float(x) for name, x in found.items() if x is not None and math.isfinite(x)}
        return {f"advantages/{name}": x for name, x in known.items()}

    @property
    def effective_sample_size(self) -> float | None:
        """(sum |A|)^2 / sum A^2: responses of equal |A| that would weigh as much; None where all are 0."""
        return share(self.absolute**2, self.squares)

    @property
    def dead(self) -> int:
        """Groups of equal rewards."""
        return self.all_wrong + self.all_right + self.tied

    @property
    def normalised_twice(self) -> str | None:
        """What looks normalised a second time, "rewards" or "advantages", or None."""
        s = self.standing
        if self.informative < 2:
            return None
        near_one = min(s.most_from_one, s.most_from_one_of_population) < 1e-2
        if s.most_mean < 1e-3 and near_one and s.most_from_plain > 1e-2:
            return "rewards"
        whitened = self.count > 0 and abs(self.products[0][0] / self.count - 1) < 2e-2
        alike = s.least_advantage > 1.1 and s.most_advantage < 1.01 * s.least_advantage
        if whitened and alike and self.dead and s.most_reward > 1.01 * s.least_reward:
            return "advantages"
        return None

    def correlation(self, first: int, second: int) -> float | None:
        """Of two among advantage, reward and length; None where one of them is constant, or unknown."""
        if max(first, second) >= len(self.means) or not self.count:
            return None
        scale = math.sqrt(self.products[first][first]) * math.sqrt(self.products[second][second])
        return self.products[first][second] / scale if scale > 0 else None

    def explain(self) -> list[str]:
        """Sentences on what is wrong, each supported by the numbers, the gravest first; none where nothing is."""
        return [sentence for look in SENTENCES if (sentence := look(self))]

    def plot(self) -> Any:
        """A matplotlib figure: groups by kind, why advantages are 0, and positive beside negative mass."""
        kinds = ("informative", "all_wrong", "all_right", "tied", "small", "unscored_groups")
        causes = ("zero_tied", "zero_small", "zero_unscored", "zero_invalid", "zero_informative")
        shown = (
            (f"{self.groups} groups by kind", {k.removesuffix("_groups").replace("_", " "): k for k in kinds}),
            (f"{self.zero} of {self.responses} advantages are 0", {c.removeprefix("zero_"): c for c in causes}),
            ("sum of |A|", {"positive": "positive", "negative": "negative"}),
        )
        figure, each = panels(10, 3.4, len(shown), grid="x")
        for axes, (title, bars) in zip(each, shown, strict=True):
            heights = [getattr(self, name) for name in bars.values()]
            drawn = axes.barh(list(bars), heights, color=[COLORS[i % len(COLORS)] for i in range(len(bars))])
            axes.bar_label(drawn, labels=[f"{height:.4g}" for height in heights], padding=3, fontsize=8)
            axes.invert_yaxis()
            axes.margins(x=0.15)
            axes.locator_params(axis="x", integer=True, nbins=5)
            axes.set_title(title, fontsize=10, loc="left")
        return figure
