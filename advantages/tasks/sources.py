"""From what a configuration says of its problems to the problems."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from .chain import TASKS, Procedural
from .files import Files, read_problems
from .gym import ReasoningGym
from .problem import Source

__all__ = ["open_source"]

_NONE: Mapping[str, str] = MappingProxyType({})


def open_source(
    task: str,
    *,
    data: Path | None = None,
    eval_data: Path | None = None,
    names: Mapping[str, str] = _NONE,
    held_out: int | None = None,
    least: int = 1,
    seed: int = 0,
) -> Source:
    """The problems of a task, or of a file.

    Args:
        task: one of `TASKS`, or reasoning-gym:NAME; unread where there is `data`.
        data: a file of problems.
        eval_data: a file of problems that accuracy is measured on; None: some of `data` are held out.
        names: what a column of a file is called here, by its name there.
        held_out: how many problems accuracy is measured on; None: the source's own number.
        least: how many problems of a file must be left to train on.
        seed: of the problems and their order.

    Raises:
        ValueError: there is no such task or file, a row does not fit, or too few are left to train on.
    """
    if data is not None:
        evaluation = None if eval_data is None else read_problems(eval_data, names)
        return Files(read_problems(data, names), seed, held_out, least=least, evaluation=evaluation)
    if task in TASKS:
        return Procedural(TASKS[task], seed)
    kind, _, name = task.partition(":")
    if kind == "reasoning-gym" and name:
        return ReasoningGym(name, seed, held_out)
    raise ValueError(f"task is {task!r}; pass one of {', '.join(TASKS)}, or reasoning-gym:NAME")
