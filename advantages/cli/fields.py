"""What the text of an option says."""

__all__ = ["MAP", "pairs"]

MAP = "own=name, such as question=prompt"
"""How a column of a file is given its name here."""


def pairs(text: str, *, option: str, form: str) -> dict[str, str]:
    """The names, and what stands beside each, of a comma-separated list.

    Args:
        text: such as "question=prompt,gold=answer".
        option: whose text it is, for messages.
        form: what a part looks like, for messages.

    Raises:
        ValueError: a part is no pair, or a name stands twice.

    >>> pairs("question=prompt, gold=answer", option="--map", form="own=name")
    {'question': 'prompt', 'gold': 'answer'}
    """
    found: dict[str, str] = {}
    for part in text.split(","):
        name, _, value = (word.strip() for word in part.rpartition("="))
        if not name or not value:
            raise ValueError(f"{option} {part.strip()}: write {form}")
        if name in found:
            raise ValueError(f"{option} {text}: {name} stands twice; name it once")
        found[name] = value
    return found
