"""ROUGE-L of one response against its reference, ours and the rouge-score package's: python benchmarks/rouge.py"""

import random
from functools import partial

from harness import medians, show
from rouge_score.rouge_scorer import RougeScorer

from advantages.rewards import rouge_l


def main() -> None:
    rng = random.Random(0)
    words = [f"w{n}" for n in range(500)]
    scorer = RougeScorer(["rougeL"])
    for tokens in (100, 500, 2_000, 4_000):
        reference, response = (" ".join(rng.choices(words, k=tokens)) for _ in range(2))
        theirs = scorer.score(reference, response)["rougeL"]
        assert rouge_l(reference, response) == (theirs.precision, theirs.recall, theirs.fmeasure)
        calls = {
            "advantages": partial(rouge_l, reference, response),
            "rouge-score": partial(scorer.score, reference, response),
        }
        show(f"{tokens} tokens against {tokens}", medians(calls, warmup=1), "advantages")


if __name__ == "__main__":
    main()
