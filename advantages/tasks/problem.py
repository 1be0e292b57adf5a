"""What a model is asked, and where it comes from."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

__all__ = ["HELD_OUT", "Problem", "Source", "shared"]

HELD_OUT = 256
"""Problems that accuracy is measured on where problems are made, and at most so many of a file."""


class Problem(NamedTuple):
    """What the model is asked, the right answer, and a worked solution, where there is one."""

    prompt: str
    answer: str
    solution: str | None = None
    columns: Mapping[str, Any] = MappingProxyType({})
    """What else the data says of it, for reward functions that ask."""
    where: str = "a problem"
    """Where it stands, for messages."""


class Source(Protocol):
    """Problems, one after the other; `state` and `restore` make the order resumable."""

    @property
    def remarks(self) -> Sequence[str]:
        """What its user should know of it, in sentences."""
        ...

    def draw(self, count: int) -> list[Problem]:
        """The next problems to train on."""
        ...

    def held_out(self, count: int | None = None) -> list[Problem]:
        """Problems to measure accuracy on, or as many as fit: the same ones whenever they are asked for."""
        ...

    def state(self) -> dict[str, Any]: ...

    def restore(self, state: Mapping[str, Any]) -> None: ...


def shared(held_out: Iterable[Problem], trained: Iterable[Problem]) -> int:
    """How many held-out problems ask what a problem of the training asks, white space aside."""
    asked = {" ".join(problem.prompt.split()) for problem in trained}
    return sum(" ".join(problem.prompt.split()) in asked for problem in held_out)
