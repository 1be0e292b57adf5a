"""GRPO's family against LamPO's on tiny models, where every run takes seconds: python benchmarks/lampo/study.py

Four settings, ten paired seeds, a learning rate tuned for each variant and setting on a seed of its own. Writes a
line per run to `benchmarks/lampo/runs.jsonl`, and goes on where it was stopped; `report.py` reads that file.
"""

import argparse
import copy
import itertools
import json
import multiprocessing
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
SETTINGS = {
    "chain": "several strategies",
    "chain-rare": "rare good strategy",
    "chain-sharpen": "sharpening",
    "chain-wrong": "confidently wrong",
}
VARIANTS: dict[str, dict[str, Any]] = {
    "grpo": {},
    "dr_grpo": {},
    "rloo": {},
    "lampo tau=0.3": {"options": {"temperature": 0.3}},
    "lampo tau=1": {},
    "lampo tau=3": {"options": {"temperature": 3.0}},
    "lampo tau=auto": {"options": {"temperature": "auto"}},
    "lampo mean, tau=1": {"options": {"reduction": "mean"}},
    "lampo tau=1, centred": {"options": {"center": True}},
    "lampo tau=1, scaled": {"options": {"scale": True}},
    "lambdapo tau=1": {},
    "grpo + ROUGE-L": {"rouge_weight": 0.5},
    "lampo tau=1 + ROUGE-L": {"rouge_weight": 0.5},
}
RATES = (5e-4, 1e-3, 2e-3)
SEEDS, TUNING_SEED, STEPS = range(10), 1000, 40
RECORDED = ("accuracy", "reward", "grad_norm", "entropy", "length")


class Job(NamedTuple):
    """Runs that share a supervised start."""

    setting: str
    seed: int
    runs: tuple[tuple[str, float], ...]
    """Variant and learning rate of each."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="runs at once (default: one per core)")
    parser.add_argument("--file", type=Path, default=HERE / "runs.jsonl", help="record (default: beside this script)")
    options = parser.parse_args()
    tuning = [Job(s, TUNING_SEED, tuple(itertools.product(VARIANTS, RATES))) for s in SETTINGS]
    _work(tuning, options)
    rates = best_rates(read(options.file))
    jobs = [Job(s, seed, tuple((v, rates[s, v]) for v in VARIANTS)) for seed in SEEDS for s in SETTINGS]
    _work(jobs, options)


def read(file: Path) -> list[dict[str, Any]]:
    """The finished runs."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def best_rates(runs: list[dict[str, Any]]) -> dict[tuple[str, str], float]:
    """The learning rate of each setting and variant: the one with the highest AUC in the tuning runs."""
    best: dict[tuple[str, str], dict[str, Any]] = {}
    for run in runs:
        key = run["setting"], run["variant"]
        if run["seed"] == TUNING_SEED and (key not in best or run["auc"] > best[key]["auc"]):
            best[key] = run
    return {key: run["rate"] for key, run in best.items()}


def _work(jobs: list[Job], options: argparse.Namespace) -> None:
    done = {(r["setting"], r["seed"], r["variant"], r["rate"]) for r in read(options.file)}
    left = [
        job._replace(runs=tuple(run for run in job.runs if (job.setting, job.seed, *run) not in done)) for job in jobs
    ]
    left = [job for job in left if job.runs]
    with (
        multiprocessing.get_context("spawn").Pool(options.processes, maxtasksperchild=1) as pool,
        options.file.open("a") as file,
    ):
        # An iterator of runs, not of jobs, would need the supervised start in every process.
        for number, lines in enumerate(pool.imap_unordered(_run_job, left), 1):
            file.writelines(json.dumps(line) + "\n" for line in lines)
            file.flush()
            print(f"{number} of {len(left)}: {lines[0]['setting']}, seed {lines[0]['seed']}", flush=True)


def _run_job(job: Job) -> list[dict[str, Any]]:
    return list(_runs(job))


def _runs(job: Job) -> Iterator[dict[str, Any]]:
    import torch

    from advantages.runs.config import Config
    from advantages.tasks.chain import TASKS
    from advantages.training.distributed import Distributed
    from advantages.training.loop import Training
    from advantages.training.start import load, open_source
    from advantages.training.warmup import warm_start

    torch.set_num_threads(1)
    world = Distributed(device="cpu", precision="float32")
    common = Config(task=job.setting, seed=job.seed, steps=STEPS)
    model, tokenizer = load(common, TASKS[job.setting], "cpu")
    for _ in warm_start(model, tokenizer, TASKS[job.setting], job.seed):
        pass
    problems = open_source(common).held_out(common.evaluation)
    for variant, rate in job.runs:
        config = Config(
            **{"task": job.setting, "seed": job.seed, "steps": STEPS, "rate": rate, "estimator": variant.split()[0]}
            | VARIANTS[variant]
        )
        training = Training(config, copy.deepcopy(model), tokenizer, open_source(config), world)
        before = training.evaluate(problems)
        steps = [training.step() for _ in range(STEPS)]
        after = training.evaluate(problems)
        yield {
            "setting": job.setting,
            "seed": job.seed,
            "variant": variant,
            "rate": rate,
            "auc": round(sum(step["accuracy"] for step in steps) / STEPS, 5),
            "before": round(before["accuracy"], 4),
            "after": round(after["accuracy"], 4),
            "greedy": round(after["greedy_accuracy"], 4),
            **{name: [float(f"{step[name]:.4g}") for step in steps] for name in RECORDED},
        }


if __name__ == "__main__":
    main()
