"""TRL's own lines beside `advantages.conventions.trl`, on random batches.

The arithmetic is part of a method that generates first; its lines are taken from the installed package and run alone.
"""

import inspect
import textwrap
from types import SimpleNamespace

import numpy as np
import pytest

trl_package = pytest.importorskip("trl")
torch = pytest.importorskip("torch")
from trl.trainer import grpo_trainer, rloo_trainer

from advantages.bench import peers
from advantages.conventions import trl

SIZE = 4


def lines(trainer, first, last):
    """The installed package's own lines from one that begins so, up to one that begins so."""
    source = inspect.getsource(trainer._generate_and_score_completions).splitlines()
    starts = [text.strip() for text in source]
    begin = next(i for i, text in enumerate(starts) if text.startswith(first))
    end = next(i for i in range(begin, len(starts)) if starts[i].startswith(last))
    return compile(textwrap.dedent("\n".join(source[begin:end])), trainer.__name__, "exec")


@pytest.fixture(scope="module", autouse=True)
def right_version():
    if trl_package.__version__ != trl.VERSION:
        pytest.skip(f"the convention is that of TRL {trl.VERSION}")


@pytest.fixture(scope="module")
def grpo_lines():
    return lines(grpo_trainer.GRPOTrainer, "unscorable_mask", "# Slice to keep")


def theirs(code, module, rewards, **options):
    scope = {
        **vars(module),
        "self": SimpleNamespace(**options),
        "rewards_per_func": torch.tensor(rewards),
        "rewards": torch.tensor(rewards)[:, 0],
        "num_generations": SIZE,
        "device": "cpu",
        "reduce": None,
    }
    exec(code, scope)
    return scope["advantages"].numpy()


@pytest.mark.parametrize(("name", "scale"), [("grpo", "group"), ("dr_grpo", "none"), ("batch_grpo", "batch")])
def test_grpo(batches, close, grpo_lines, name, scale):
    options = {"multi_objective_aggregation": "sum_then_normalize", "scale_rewards": scale}
    for batch in batches(ragged=False, failed=0.15):
        rewards = batch["rewards"]
        their = theirs(grpo_lines, grpo_trainer, rewards[:, None], reward_weights=torch.ones(1), **options)
        lone = np.isfinite(rewards.reshape(-1, SIZE)).sum(1).repeat(SIZE) == 1
        assert name != "grpo" or not their[lone].any()
        close(getattr(trl, name)(rewards, SIZE), their)


def test_gdpo(batches, close, grpo_lines):
    weights = [1.0, 0.5]
    for batch in batches(ragged=False, failed=0.1):
        rng = np.random.default_rng(len(batch["rewards"]))
        rewards = np.stack([batch["rewards"], rng.normal(size=len(batch["rewards"]))], 1)
        their = theirs(
            grpo_lines,
            grpo_trainer,
            rewards,
            reward_weights=torch.tensor(weights),
            reward_funcs=[None, None],
            multi_objective_aggregation="normalize_then_sum",
        )
        close(trl.gdpo(rewards, SIZE, weights=weights), their)


def test_rloo(batches, close):
    code = lines(rloo_trainer.RLOOTrainer, "grouped_rewards = rewards.view", "is_std_zero")
    for batch in batches(ragged=False, failed=0.15):
        their = theirs(code, rloo_trainer, batch["rewards"][:, None], normalize_advantages=False)
        close(trl.rloo(batch["rewards"], SIZE), their)


@pytest.mark.parametrize("failed", [0.0, 0.15])
def test_the_lines_that_the_benchmark_restates(batches, grpo_lines, failed):
    rloo_lines = lines(rloo_trainer.RLOOTrainer, "grouped_rewards = rewards.view", "is_std_zero")
    options = {"multi_objective_aggregation": "sum_then_normalize", "scale_rewards": "group"}
    for batch in batches(ragged=False, failed=failed):
        rewards = batch["rewards"][:, None]
        for name, their in {
            "trl_grpo": theirs(grpo_lines, grpo_trainer, rewards, reward_weights=torch.ones(1), **options),
            "trl_rloo": theirs(rloo_lines, rloo_trainer, rewards, normalize_advantages=False),
        }.items():
            np.testing.assert_array_equal(getattr(peers, name)(torch.tensor(batch["rewards"]), SIZE), their)
