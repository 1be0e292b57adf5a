"""What a check is, the list of all checks, and what several of them need."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..subject import Case, Draw, NotApplicable, Subject


class Check(NamedTuple):
    """A property of estimators, and how to check it."""

    run: Callable[[Subject, Draw], None]
    library: str | None = None
    """The library that it is about; None: whatever the properties are checked on."""
    examples: float = 1.0
    """How many examples it draws, as a share of what was asked for."""

    @property
    def name(self) -> str:
        """The property as an identifier, for exceptions: "keeps_groups_apart", "agrees_with_numpy_on_torch"."""
        return self.run.__name__ + (f"_on_{self.library}" if self.library else "")

    @property
    def sentence(self) -> str:
        """The property as a sentence: "keeps groups apart"."""
        return self.name.replace("_", " ")

    @property
    def why(self) -> str:
        """What goes wrong in training where the property fails."""
        return " ".join((self.run.__doc__ or "").split())


Run = Callable[[Subject, Draw], None]


CHECKS: list[Check] = []


def check(run: Run) -> Run:
    CHECKS.append(Check(run))
    return run


def check_on_libraries(*libraries: str, examples: float = 0.3) -> Callable[[Callable[..., None]], Callable[..., None]]:
    def decorate(run: Callable[..., None]) -> Callable[..., None]:
        for library in libraries:

            def on_library(subject: Subject, draw: Draw, library: str = library) -> None:
                if library not in subject.libraries:
                    raise NotApplicable(f"not run on {library}")
                run(subject, draw, library)

            on_library.__name__, on_library.__doc__ = run.__name__, run.__doc__
            CHECKS.append(Check(on_library, library, examples))
        return run

    return decorate


def row_words(subject: Subject, *words: str) -> list[str]:
    return [word for word in words if subject.takes(word)]


def take(case: Case, rows: Any) -> Case:
    return {name: x[rows] for name, x in case.items()}


def tokens(case: Case) -> list[str]:
    return [name for name, x in case.items() if isinstance(x, np.ndarray) and name in TOKEN_WORDS]


TOKEN_WORDS = ("mask", "token_rewards", "token_logprobs", "ref_token_logprobs", "teacher_token_logprobs", "values")
