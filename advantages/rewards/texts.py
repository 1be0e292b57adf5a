"""The text of a response, and the parts of it: reasoning and answer."""

from typing import Any

__all__ = ["answer_part", "marked", "plain", "reasoning_part", "text_of"]

OPENS, CLOSES = "<think>", "</think>"


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
    return f"{OPENS}{thought}{CLOSES}{content}" if thought else content


def answer_part(text: str) -> str:
    """What follows the reasoning: the text after the last `</think>`, or all of it where there are no think tags.

    Reasoning that was opened and never closed, as in a truncated response, is followed by nothing.

    >>> answer_part("<think>2 or 3?</think>2"), answer_part("2"), answer_part("<think>2 or 3")
    ('2', '2', '')
    """
    _, closed, after = text.rpartition(CLOSES)
    return after if closed or OPENS not in text else ""


def reasoning_part(text: str, marker: str | None = None) -> str:
    """What precedes the answer: the text between the think tags, else before the last `marker`, else all of it.

    The opening tag may be missing, as where a chat template has put it into the prompt.

    >>> reasoning_part("<think>2 or 3?</think>2"), reasoning_part("3+4=7#7", "#"), reasoning_part("7")
    ('2 or 3?', '3+4=7', '7')
    """
    before, closed, _ = text.rpartition(CLOSES)
    if closed or OPENS in text:
        thought = before if closed else text
        return thought.partition(OPENS)[2] if OPENS in thought else thought
    return text.rpartition(marker)[0] if marker and marker in text else text


def marked(text: str, marker: str | None) -> str | None:
    """The first line with something on it after the last marker, or None where there is no marker."""
    if marker is None or marker not in text:
        return None
    return next(iter(text.rpartition(marker)[2].strip().splitlines()), "")


def plain(text: str) -> str:
    """The text with every run of white space made one space, and none around it."""
    return " ".join(text.split())
