"""Words about turns, runs of a response's trained tokens, and about steps, the rows of a rollout in their order."""

from typing import Any

import numpy as np

from ..backends import backend_of
from ..core.groups import Groups
from ..core.types import A, Array, Ids
from .elementwise import where
from .groupwise import group_max, group_min, group_sum
from .refusals import few
from .tokens import scan_to_come

__all__ = ["Turns", "histories", "rollout_ends", "step_returns"]


class Turns:
    """The turns of each response, in the order of its tokens; masked tokens belong to none.

    Args:
        turns: (N, T) ids, or `Groups` of their cells, of which only trained ones are scored.
        mask: (N, T) bool, trained tokens.
        like: (N, T) numbers, whose library and dtype is worked in.

    Attributes:
        first, last: (N, T) bool, the first and the last trained token of each turn.

    Raises:
        ValueError: a turn is taken up again after another one; said where ids and mask are on the host.
    """

    def __init__(self, turns: Ids, mask: Any, like: Any) -> None:
        self.backend = backend_of(like)
        turns = turns if isinstance(turns, Groups) else Groups.of_cells(turns).where(mask.reshape(-1))
        _check_runs(turns, mask)
        self.turns, self.mask, self.dtype = turns, mask, like.dtype
        column = self.backend.xp.ones_like(like) * self.backend.arange(like.shape[1], like)
        self.first = mask & (column == self.backend.cast(group_min(column, turns), self.dtype))
        self.last = mask & (column == self.backend.cast(group_max(column, turns), self.dtype))

    def sum(self, x: A) -> A:
        """(N, T) the sum over a turn's tokens, at each of them."""
        return self.backend.cast(group_sum(x, self.turns), self.dtype)

    def at(self, place: Array, x: A) -> A:
        """(N, T) what `x` is at the one token of a turn where `place` holds, at each of its tokens."""
        return self.sum(where(place, x, 0.0))

    def to_come(self, decay: Any, x: A, beyond: Any = None) -> A:
        """(N, T) y of the next turn, at each token of a turn, where y_k = x_k + decay * y_{k+1}.

        Args:
            decay: a number.
            x: (N, T) one number a turn, at each of its tokens.
            beyond: (N,) y beyond the last turn; None for zero.
        """
        decay = where(self.first, 0 * x + decay, 1.0)
        return self.at(self.first, scan_to_come(decay, where(self.first, x, 0.0), beyond))

    def gae(self, rewards: A, values: A, discount: float, lambda_: float, beyond: Any = None) -> Any:
        """(N, T) generalized advantage estimation with turns for time steps, at each of a turn's tokens.

        Args:
            rewards, values: (N, T) one number a turn, at each of its tokens.
            beyond: (N,) the value beyond the last turn; None for zero.
        """
        step = (1 - lambda_) * values + lambda_ * rewards
        return rewards + discount * self.to_come(discount * lambda_, step, beyond) - values

    @property
    def is_last(self) -> Any:
        """(N, T) bool, the tokens of each response's last turn."""
        ones = self.backend.xp.ones_like(self.mask, dtype=self.dtype)
        return self.mask & (self.to_come(1.0, ones) == 0)


def _check_runs(turns: Groups, mask: Any) -> None:
    backend = backend_of(mask)
    if not (turns.on_host and backend.on_host(mask)):
        return
    on = backend.to_numpy(mask).reshape(-1)
    slots = turns.slots[on]
    starts = np.concatenate([[True], slots[1:] != slots[:-1]]) if len(slots) else np.zeros(0, bool)
    again = np.bincount(slots[starts], minlength=1) > 1
    if again.any():
        cells = np.flatnonzero(on)[starts & again[slots]]
        rows = sorted(set((cells // mask.shape[1]).tolist()))
        raise ValueError(
            f"turns: in row {few(rows)} a turn is taken up again after another one; give each run of tokens an id of "
            "its own"
        )


def step_returns(rewards: A, trajectories: Ids | None, *, discount: float = 1.0) -> A:
    """(N,) reward-to-go of each step: G_t = r_t + discount * G_{t+1}, over the rows of a rollout in their order.

    Steps that are not scored are stepped over. Without trajectories each row is a rollout of one step.

    >>> import numpy as np
    >>> step_returns(np.array([0.0, 5.0, 1.0]), Groups(["a", "b", "a"]), discount=0.5)
    array([0.5, 5. , 1. ])
    """
    if trajectories is None:
        return rewards
    backend = backend_of(rewards)
    xp = backend.xp
    trajectories = Groups.of(trajectories)
    slots = trajectories.slots_like(rewards)
    order = xp.argsort(slots, stable=True)
    sorted_slots = slots[order]
    goes_on = xp.concatenate([sorted_slots[1:] == sorted_slots[:-1], xp.zeros_like(slots[:1], dtype=bool)])
    decay = where(trajectories.scored, xp.ones_like(rewards) * discount, 1.0)[order]
    returns = backend.reverse_scan(where(goes_on, decay, 0.0)[None], rewards[order][None])[0]
    return returns[xp.argsort(order)]


def histories(states: Groups, trajectories: Ids, like: Any, *, longest: int) -> list[Groups]:
    """Groups of steps with the same state; with the same last two states of their rollout; and so on, up to `longest`.

    A step that has fewer steps before it than a history is long is not scored in its groups, and steps that are not
    scored are not there: the history goes on with the one before them.

    Args:
        states: (N,) the state of each step, never the same in two tasks.
        trajectories: (N,) ids, equal where steps are of one rollout, in the order of the rows.
        like: (N,) numbers, whose library is worked in.
        longest: states in the longest history.

    >>> states, rollouts = Groups(["door", "hall", "wall", "hall"]), Groups(["a", "a", "b", "b"])
    >>> _, two = histories(states, rollouts, np.zeros(4), longest=2)
    >>> two.scored, int(two.slots[1]) == int(two.slots[3])
    (array([False,  True, False,  True]), False)
    """
    backend = backend_of(like)
    xp = backend.xp
    trajectories = Groups.of(trajectories)
    there = xp.ones_like(like, dtype=bool) if states.scored is None else states.scored
    rollouts = backend.index(trajectories.slots_like(like))
    # Rows that are not there are sorted behind the others of their rollout, where no step is before another.
    order = xp.argsort(2 * rollouts + backend.index(~there), stable=True)
    place = xp.argsort(order)
    before = xp.where(place > 0, order[place - 1], 0)
    follows = there & (place > 0) & there[before] & (rollouts[before] == rollouts)
    found = [states]
    for _ in range(1, longest):
        last = found[-1]
        known = follows if last.scored is None else follows & last.scored[before]
        older = Groups(last.slots_like(like)[before])
        found.append(Groups.of_pairs(states, older).where(known))
    return found


def rollout_ends(like: Any, trajectories: Ids) -> Any:
    """(N,) bool, the last scored row of each rollout."""
    backend = backend_of(like)
    trajectories = Groups.of(trajectories)
    row = backend.wide(backend.arange(like.shape[0], like) + 1)
    end = group_max(row, trajectories) == row
    return end if trajectories.scored is None else end & trajectories.scored
