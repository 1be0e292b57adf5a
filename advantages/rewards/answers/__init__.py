"""Which answer a response gives, and whether it is the expected one: the same for rewards and for evaluation.

- `reasoning`: which part of a response is its answer;
- `find`: where in that part the answer stands;
- `normalise`: one notation for what is written in many;
- `forms`: what kind of thing an answer is: a number, a quantity, a set, an interval, an equation, words;
- `compare`: whether two of them are equal;
- `engine`: expressions, by math-verify, with guards;
- `letters`: the choice among lettered options.
"""

from .compare import equal
from .engine import UnreadableAnswerError
from .find import find_answers
from .letters import find_letter
from .reasoning import PAIRS, Pair, Reasoning, reasoning_of

__all__ = [
    "PAIRS",
    "Pair",
    "Reasoning",
    "UnreadableAnswerError",
    "equal",
    "find_answers",
    "find_letter",
    "reasoning_of",
]
