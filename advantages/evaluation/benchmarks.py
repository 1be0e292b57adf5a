"""Benchmarks: where their problems come from, how they are asked, and how answers are graded."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from ..tasks.chain import TASKS, Procedural
from ..tasks.files import cell, read_rows

__all__ = ["BENCHMARKS", "Benchmark", "Question", "fingerprint", "questions_of"]

BOXED = "Please reason step by step, and put your final answer within \\boxed{}."
LETTER = "Please reason step by step, and put the letter of your choice within \\boxed{}."
LETTERS = "ABCD"
IDS = ("id", "unique_id", "Record ID", "problem_idx")
"""Columns that may name a problem, first come first; without any, its number does."""


class Question(NamedTuple):
    """One problem of a benchmark."""

    id: str
    prompt: str
    """The user's message, instruction included."""
    answer: str


class Benchmark(NamedTuple):
    """A data set, and how it is used."""

    hub: tuple[str, str | None, str] | None
    """Data set id on the hub, configuration, split; None: problems are made by a task of `advantages train`."""
    columns: tuple[str, ...]
    """What each row must have."""
    grading: str
    """"math", "letter", or "marked": the text after a mark."""
    instruction: str
    """What is written under each problem."""
    longest: int
    """Tokens of a completion, where nothing else is asked for."""


_MATH = ("problem", "answer")
_GPQA = ("Question", "Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")

BENCHMARKS: Mapping[str, Benchmark] = {
    "aime24": Benchmark(("HuggingFaceH4/aime_2024", None, "train"), _MATH, "math", BOXED, 8192),
    "aime25": Benchmark(("yentinglin/aime_2025", None, "train"), _MATH, "math", BOXED, 8192),
    "math-500": Benchmark(("HuggingFaceH4/MATH-500", None, "test"), _MATH, "math", BOXED, 4096),
    "gpqa-diamond": Benchmark(("Idavidrein/gpqa", "gpqa_diamond", "train"), _GPQA, "letter", LETTER, 8192),
    **{name: Benchmark(None, _MATH, "marked", "", task.longest) for name, task in TASKS.items()},
}
PROCEDURAL = 256
"""Problems that are made where the benchmark is a task."""


def questions_of(
    name: str,
    *,
    data: Path | None = None,
    names: Mapping[str, str] = MappingProxyType({}),
    instruction: str | None = None,
    limit: int = 0,
    seed: int = 0,
) -> list[Question]:
    """The questions of a benchmark.

    Args:
        name: one of `BENCHMARKS`.
        data: a JSON Lines or Parquet file in the hub data set's schema, where the hub is not to be asked.
        names: what a column of the file is called there, by its name in the file.
        instruction: what is written under each problem; None: the benchmark's own.
        limit: how many of the first problems; 0: all of them.
        seed: of the order of options, and of problems that are made.

    Raises:
        ValueError: there is no such benchmark, its data cannot be had, or a row lacks something.
    """
    if name not in BENCHMARKS:
        raise ValueError(f"benchmark is {name!r}; pass one of {', '.join(BENCHMARKS)}")
    benchmark = BENCHMARKS[name]
    instruction = benchmark.instruction if instruction is None else instruction
    if data is None and benchmark.hub is None:
        made = Procedural(TASKS[name], seed).held_out(limit or PROCEDURAL)
        return [Question(str(number), problem.prompt, problem.answer) for number, problem in enumerate(made, 1)]
    rows = _hub(name, benchmark) if data is None else read_rows(data, names, benchmark.columns)
    checked = [_row(where, row, benchmark.columns) for where, row in rows]
    if not checked:
        raise ValueError(f"{name} holds no problem on the hub; pass --data FILE")
    make = _choices if benchmark.grading == "letter" else _problems
    questions = make(checked, instruction, seed)
    seen: dict[str, int] = {}
    for number, question in enumerate(questions, 1):
        if seen.setdefault(question.id, number) != number:
            raise ValueError(
                f"problems {seen[question.id]} and {number} of {data or name} are both called {question.id!r}; "
                "give each an id of its own"
            )
    return questions[: limit or None]


def fingerprint(questions: Iterable[Question]) -> str:
    """SHA-256 of what is asked and expected."""
    return hashlib.sha256(json.dumps(list(questions)).encode()).hexdigest()


def _problems(rows: Sequence[Mapping[str, Any]], instruction: str, seed: int) -> list[Question]:
    return [
        Question(_id(number, row), _under(str(row["problem"]).strip(), instruction), str(row["answer"]).strip())
        for number, row in enumerate(rows, 1)
    ]


def _choices(rows: Sequence[Mapping[str, Any]], instruction: str, seed: int) -> list[Question]:
    """Options in random order; over the data set, each letter is right equally often, give or take one."""
    rng = np.random.default_rng([seed, 3])
    places = rng.permutation(np.arange(len(rows)) % len(LETTERS)).tolist()
    questions = []
    for number, (row, place) in enumerate(zip(rows, places, strict=True), 1):
        right, *wrong = (str(row[name]).strip() for name in _GPQA[1:])
        options = [wrong[i] for i in rng.permutation(len(wrong))]
        options.insert(place, right)
        listed = "\n".join(f"({letter}) {option}" for letter, option in zip(LETTERS, options, strict=True))
        text = f"{str(row['Question']).strip()}\n\n{listed}"
        questions.append(Question(_id(number, row), _under(text, instruction), LETTERS[place]))
    return questions


def _under(text: str, instruction: str) -> str:
    return f"{text}\n\n{instruction}" if instruction else text


def _id(number: int, row: Mapping[str, Any]) -> str:
    return str(next((row[name] for name in IDS if row.get(name) is not None), number))


def _row(where: str, row: Mapping[str, Any], columns: Sequence[str]) -> Mapping[str, Any]:
    """A row with the texts of its columns under their own names."""
    return {**row, **{name: cell(where, row, name, columns) for name in columns}}


def _hub(name: str, benchmark: Benchmark) -> Iterator[tuple[str, Any]]:
    assert benchmark.hub is not None
    data_set, configuration, split = benchmark.hub
    schema = f"--data FILE, JSON Lines with {', '.join(benchmark.columns)}"
    try:
        import datasets  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise ValueError(
            f"{name} comes from the hub, for which datasets is needed; pip install datasets, or pass {schema}"
        ) from None
    datasets.disable_progress_bars()
    try:
        rows = datasets.load_dataset(data_set, configuration, split=split)
    except Exception as error:  # of the network, of access, of the data set: a dozen classes of four libraries
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"{name} could not be loaded from the hub as {data_set} ({reason}); where there is no network or no "
            f"access, pass {schema}"
        ) from None
    for number, row in enumerate(rows, 1):
        yield f"{data_set} row {number}", row
