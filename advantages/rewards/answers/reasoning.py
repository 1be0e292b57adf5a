"""Which part of a response is reasoning: one table of the tags that models use, and what a prompt has opened."""

import re
from functools import lru_cache
from typing import NamedTuple

__all__ = ["PAIRS", "Pair", "Reasoning", "reasoning_of"]


class Pair(NamedTuple):
    """The tags around reasoning."""

    opens: str
    closes: str


PAIRS = (
    Pair("<think>", "</think>"),
    Pair("<thinking>", "</thinking>"),
    Pair("<thought>", "</thought>"),
    Pair("<thoughts>", "</thoughts>"),
    Pair("<reasoning>", "</reasoning>"),
    Pair("<reason>", "</reason>"),
    Pair("<reflection>", "</reflection>"),
    Pair("<scratchpad>", "</scratchpad>"),
    Pair("<seed:think>", "</seed:think>"),
    Pair("<longcat_think>", "</longcat_think>"),
    Pair("<ssm_think>", "</ssm_think>"),
    Pair("<mm:think>", "</mm:think>"),
    Pair("<think_never_used_51bce0c785ca2f68081bfa7d91973934>", "</think_never_used_51bce0c785ca2f68081bfa7d91973934>"),
    Pair("[THINK]", "[/THINK]"),
    Pair("◁think▷", "◁/think▷"),
    Pair("<|think|>", "<|/think|>"),
    Pair("<|thinking|>", "<|/thinking|>"),
    Pair("<|begin_of_thought|>", "<|end_of_thought|>"),
    Pair("<|beginofthought|>", "<|endofthought|>"),
    Pair("<|START_THINKING|>", "<|END_THINKING|>"),
    Pair("<|inner_prefix|>", "<|inner_suffix|>"),
    Pair("<|channel|>analysis<|message|>", "<|channel|>final<|message|>"),
    Pair("<|channel>thought", "<channel|>"),
    Pair("<unused94>thought", "<unused95>"),
    Pair("Here is my thought process:", "Here is my response:"),
)
"""In the order of Qwen and DeepSeek first, then other plain tags, then the special tokens of single families."""


class Reasoning(NamedTuple):
    """How one response marks its reasoning.

    >>> Reasoning().answer("<think>2 or 3?</think>2"), Reasoning().answer("2"), Reasoning().answer("<think>2 or 3")
    ('2', '2', '')
    >>> Reasoning(opened="<think>").answer("6 * 7 = 42. But the task wants the square")
    ''
    """

    pairs: tuple[Pair, ...] = PAIRS
    opened: str = ""
    """The opening tag that stands at the end of the prompt: the response starts inside its reasoning."""

    def answer(self, text: str) -> str:
        """What follows the reasoning; nothing where reasoning was opened and never closed."""
        text = self.opened + text
        end = _end(text, self.pairs)
        return "" if any(pair.opens in text[end:] for pair in self.pairs) else text[end:]

    def thought(self, text: str, marker: str | None = None) -> str:
        """What precedes the answer: the text between the tags, else before the last `marker`, else all of it."""
        text = self.opened + text
        pair = max(
            self.pairs,
            key=lambda pair: (
                text.rfind(pair.closes),
                -text.find(pair.opens) if pair.opens in text else -len(text) - 1,
            ),
        )
        before, closed, _ = text.rpartition(pair.closes)
        if closed or pair.opens in text:
            thought = before if closed else text
            return thought.partition(pair.opens)[2] if pair.opens in thought else thought
        return text.rpartition(marker)[0] if marker and marker in text else text


def _end(text: str, pairs: tuple[Pair, ...]) -> int:
    return max(at + len(pair.closes) if (at := text.rfind(pair.closes)) >= 0 else 0 for pair in pairs)


def reasoning_of(template: str | None, prompt: str = "") -> Reasoning:
    r"""How a model marks its reasoning: the pairs that its chat template names, and what the prompt has opened.

    A template without any, as of a model that is yet to learn reasoning, says nothing: then all pairs count.

    Args:
        template: the model's chat template; None: it has none.
        prompt: as the model reads it, template applied.

    >>> reasoning_of("{{ '[THINK]' }}...[/THINK]", "Hi[THINK]\n").opened
    '[THINK]'
    """
    pairs = _named(template or "")
    opened = (pair.opens for pair in pairs if prompt.rstrip().endswith(pair.opens))
    return Reasoning(pairs, next(opened, ""))


@lru_cache(64)
def _named(template: str) -> tuple[Pair, ...]:
    plain = re.sub(r"\\(.)", r"\1", template)
    return tuple(pair for pair in PAIRS if pair.opens in plain or pair.closes in plain) or PAIRS
