"""What feeds estimators: verifiers, length penalties, ROUGE-L, and the weighted sum of them all.

A **reward function** scores a batch of responses. Its shape is TRL's, so that TRL's reward functions work here and
these work in TRL:

    def reward(prompts: list, completions: list, **columns: list) -> list[float | None]

- It is called by keyword, with one entry per response in every list. A completion is a text, or a list of chat
  messages; `text_of` makes a text of either.
- `columns` are the data set's, such as `answer` and `solution`, and what the loop knows of each response, such as
  `completion_ids`. `Rewards` also passes what TRL does beside lists: `trainer_state` (with `global_step`),
  `log_metric(name, value)` and `log_extra(column, values)`.
- It returns one number per response. None or NaN says that a response could not be scored; it then counts in no
  statistic and has advantage 0, which is not the same as reward 0.
- It changes none of its arguments. It may be `async`.

Ready-made ones are small frozen classes, called with settings by name and then with a batch:

>>> from advantages.rewards import Exact
>>> Exact(marker="#")(completions=["3+4=7#7", "3+4=8#8"], answer=["7", "7"])
[1.0, 0.0]

`Rewards` calls several, and weighs and logs each apart:

>>> from advantages.rewards import Rewards, Weight
>>> rewards = Rewards({"exact": 1.0, "format": Weight(0.2, decay="linear", steps=100)})
>>> scores = rewards(["3+4="], ["<think>seven</think>7"], {"answer": ["7"]}, step=50)
>>> scores.names, scores.values, scores.total()
(('exact', 'format'), array([[1., 1.]]), array([1.1]))
"""

from .agreement import borda, bradley_terry, empo, ttrl
from .combined import Rewards, Scores
from .isolated import Isolated
from .lengths import CosineLength, Overlong
from .mathematics import Math
from .names import BUILT_IN, resolve
from .rouge import Rouge, RougeL, rouge_l
from .texts import answer_part, reasoning_part, text_of
from .verifiers import Exact, Format, MultipleChoice
from .weights import Weight

__all__ = [
    "BUILT_IN",
    "CosineLength",
    "Exact",
    "Format",
    "Isolated",
    "Math",
    "MultipleChoice",
    "Overlong",
    "Rewards",
    "Rouge",
    "RougeL",
    "Scores",
    "Weight",
    "answer_part",
    "borda",
    "bradley_terry",
    "empo",
    "reasoning_part",
    "resolve",
    "rouge_l",
    "text_of",
    "ttrl",
]
