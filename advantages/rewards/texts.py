"""The text of a response, and the parts of it: reasoning and answer."""

from collections.abc import Mapping, Sequence
from typing import Any

from .answers.reasoning import PAIRS, Reasoning

__all__ = ["answer_part", "answer_parts", "marked", "plain", "reasoning_part", "text_of"]


def text_of(completion: Any) -> str:
    """The text of a completion: a string, or chat messages as TRL has them.

    The contents of the assistant's messages are joined by line breaks; what others say, such as tools, is left out.
    Reasoning that a chat parser has moved to `reasoning_content` or `thinking` is put back between think tags.

    Raises:
        TypeError: it is neither.

    >>> text_of([{"role": "assistant", "content": "42", "reasoning_content": "6 * 7"}])
    '<think>6 * 7</think>42'
    """
    if isinstance(completion, str):
        return completion
    if not isinstance(completion, (list, tuple)) or not all(isinstance(message, dict) for message in completion):
        raise TypeError(f"a completion is a {type(completion).__name__}; pass a string or a list of chat messages")
    return "\n".join(_spoken(message) for message in completion if message.get("role", "assistant") == "assistant")


def _spoken(message: dict[str, Any]) -> str:
    content = message.get("content") or ""
    if not isinstance(content, str):
        content = "".join(part.get("text") or "" for part in content)
    thought = message.get("reasoning_content") or message.get("thinking")
    return f"{PAIRS[0].opens}{thought}{PAIRS[0].closes}{content}" if thought else content


def answer_part(text: str) -> str:
    """What follows the reasoning, which any of the tags that models use may mark (`answers.PAIRS`).

    Reasoning that was opened and never closed, as in a truncated response, is followed by nothing.

    >>> answer_part("<think>2 or 3?</think>2"), answer_part("2"), answer_part("[THINK]2 or 3")
    ('2', '2', '')
    """
    return Reasoning().answer(text)


def reasoning_part(text: str, marker: str | None = None) -> str:
    """What precedes the answer: the text between the tags, else before the last `marker`, else all of it.

    The opening tag may be missing, as where a chat template has put it into the prompt.

    >>> reasoning_part("<think>2 or 3?</think>2"), reasoning_part("3+4=7#7", "#"), reasoning_part("7")
    ('2 or 3?', '3+4=7', '7')
    """
    return Reasoning().thought(text, marker)


def answer_parts(completions: Sequence[Any], columns: Mapping[str, Any]) -> list[str]:
    """The answer part of each completion, by the column `reasoning_tags` where the data have it.

    Args:
        completions: texts or chats.
        columns: with `reasoning_tags`, how each response marks it: see `answers.reasoning_of`.
    """
    marks = columns.get("reasoning_tags") or [None] * len(completions)
    return [
        (mark if isinstance(mark, Reasoning) else Reasoning()).answer(text_of(completion))
        for completion, mark in zip(completions, marks, strict=True)
    ]


def marked(text: str, marker: str | None) -> str | None:
    """The first line with something on it after the last marker, or None where there is no marker."""
    if marker is None or marker not in text:
        return None
    return next(iter(text.rpartition(marker)[2].strip().splitlines()), "")


def plain(text: str) -> str:
    """The text with every run of white space made one space, and none around it."""
    return " ".join(text.split())
