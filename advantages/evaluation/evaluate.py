"""Ask a model every question several times, grade what it says, and count."""

import dataclasses
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from .benchmarks import BENCHMARKS, Benchmark, Question, fingerprint, questions_of
from .events import Comparing, Loading, Report, Sampled, Sampling
from .grading import Grading, make_grading, votes_of
from .record import Record
from .settings import Settings
from .statistics import interval, maj_at_k, pass_at_k, sampling_error

__all__ = ["evaluate", "summary"]


def evaluate(settings: Settings, folder: Path, report: Report) -> dict[str, Any]:
    """Sample what is missing in a folder, and write its results.

    Batches are sampled in a fixed order, each from a seed of its own, and are on disk when the next one starts. So an
    evaluation that was stopped anywhere goes on with the completions that it would have had.

    Args:
        settings: what is evaluated, and how.
        folder: of the record; new, or that of an evaluation with the same settings.
        report: told of each event, for a progress display.

    Raises:
        ValueError: the data, the model or the folder cannot serve; the message is a sentence.
    """
    benchmark = BENCHMARKS.get(settings.benchmark)
    questions = questions_of(
        settings.benchmark,
        data=Path(settings.data) if settings.data else None,
        names=settings.map,
        instruction=settings.instruction,
        limit=settings.limit,
        seed=settings.seed,
    )
    assert benchmark is not None
    facts: dict[str, Any] = {"questions": fingerprint(questions)}
    with Record(folder) as record, closing(make_grading(benchmark.grading)) as grading:
        record.check(_written(settings), facts)
        return _evaluate(settings, benchmark, questions, record, grading, facts, report)


def _evaluate(
    settings: Settings,
    benchmark: Benchmark,
    questions: Sequence[Question],
    record: Record,
    grading: Grading,
    facts: dict[str, Any],
    report: Report,
) -> dict[str, Any]:
    written = _written(settings)
    report(Loading(settings.model))
    from .model import Sampler

    sampler = Sampler(settings, longest=settings.max_new_tokens or benchmark.longest)
    facts["weights"] = sampler.fingerprint()
    facts["generation settings"] = sampler.generation
    prompts = sampler.prompts(questions)
    facts["prompts"] = hashlib.sha256(json.dumps(prompts).encode()).hexdigest()
    asked = (
        {"id": question.id, "prompt": prompt, "answer": question.answer}
        for question, prompt in zip(questions, prompts, strict=True)
    )
    record.open(written, facts, asked)
    report(Sampling(record.rows, len(questions) * settings.samples))
    for batch in _batches(questions, settings, record.rows):
        seed = _seed(settings.seed, *batch[0])
        found = sampler.sample([prompts[problem] for problem, _ in batch], seed)
        grades = grading.grade(
            [completion.text for completion in found],
            [questions[problem].answer for problem, _ in batch],
            [completion.reasoning for completion in found],
        )
        rows = [
            {
                "problem": questions[problem].id,
                "sample": sample,
                "right": grade.right,
                "answer": grade.answer,
                "expected": questions[problem].answer,
                "truncated": completion.truncated,
                "tokens": completion.tokens,
                "completion": completion.text,
                "batch": {"size": len(batch), "seed": seed},
            }
            for (problem, sample), completion, grade in zip(batch, found, grades, strict=True)
        ]
        record.append(rows)
        report(Sampled(rows))
    report(Comparing())
    results = summary(questions, record.rows, settings.sizes, grading)
    record.finish({**results, "settings": written, **facts, "versions": _versions()})
    return results


def _written(settings: Settings) -> dict[str, Any]:
    return dataclasses.asdict(settings) | {"k": list(settings.k)}


def _batches(
    questions: Sequence[Question], settings: Settings, done: Sequence[Mapping[str, Any]]
) -> Iterator[list[tuple[int, int]]]:
    """(problem, sample) numbers of completions that are missing, problem after problem, cut into batches."""
    known = {(row["problem"], row["sample"]) for row in done}
    missing = [
        (problem, sample)
        for problem, question in enumerate(questions)
        for sample in range(settings.samples)
        if (question.id, sample) not in known
    ]
    for first in range(0, len(missing), settings.batch_size):
        yield missing[first : first + settings.batch_size]


def _seed(seed: int, problem: int, sample: int) -> int:
    """Of the batch that starts with a problem's sample."""
    return int(np.random.SeedSequence([seed, problem, sample]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def summary(
    questions: Sequence[Question], rows: Sequence[Mapping[str, Any]], sizes: Sequence[int], grading: Grading
) -> dict[str, Any]:
    """The numbers of an evaluation: means over problems, with intervals.

    Args:
        questions: all that were asked.
        rows: their completions, as `Record` has them, as many for each.
        sizes: the k of pass@k and maj@k.
        grading: says which answers are the same.
    """
    of: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        of[row["problem"]].append(row)
    samples = len(of[questions[0].id])
    right = [[float(row["right"] is True) for row in of[question.id]] for question in questions]
    votes = [votes_of([row["answer"] for row in of[question.id]], grading) for question in questions]
    counts = [int(sum(values)) for values in right]

    def mean(k: int, values: Sequence[float]) -> dict[str, float]:
        low, high = interval(values, trials=len(values) * (samples // k))
        return {"value": float(np.mean(values)), "low": low, "high": high}

    return {
        "problems": len(questions),
        "samples": samples,
        "pass": {str(k): mean(k, [pass_at_k(samples, count, k) for count in counts]) for k in sizes},
        "maj": {str(k): mean(k, [maj_at_k(*pair, k) for pair in zip(votes, right, strict=True)]) for k in sizes},
        "sampling_error": sampling_error(samples, counts),
        "truncated": _share([row["truncated"] for row in rows]),
        "unanswered": _share([row["answer"] is None and row["right"] is not None for row in rows]),
        "ungraded": sum(row["right"] is None for row in rows),
        "tokens": float(np.mean([row["tokens"] for row in rows])),
        "right": {question.id: count for question, count in zip(questions, counts, strict=True)},
    }


def _share(flags: Sequence[bool]) -> float:
    return float(np.mean(flags))


def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("rl-advantages", "torch", "transformers", "math-verify")}
