"""verl finds the installed package by itself: in fresh processes, in Ray's, and loudly where that fails."""

import subprocess
import sys

import pytest

pytest.importorskip("verl")
import ray

from advantages import estimators


def python(code, **environment):
    import os

    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, env=os.environ | environment
    )


NAMES = "from verl.trainer.ppo.core_algos import ADV_ESTIMATOR_REGISTRY as found; print(*found)"


@pytest.mark.parametrize("first", ["import verl", "import advantages.adapters.verl", "import verl.trainer.main_ppo"])
def test_a_fresh_process_has_the_estimators(first):
    done = python(f"{first}; {NAMES}")
    assert done.returncode == 0, done.stderr
    assert {"lampo", *(f"advantages.{name}" for name in estimators.__all__)} <= set(done.stdout.split())
    assert "plug-in failed" not in done.stderr


def test_a_process_may_refuse_plugins():
    done = python(f"import verl; {NAMES}", VERL_USE_EXTERNAL_PLUGINS="none")
    assert "lampo" not in done.stdout.split()
    done = python(
        f"import verl; {NAMES}",
        VERL_USE_EXTERNAL_PLUGINS="none",
        VERL_USE_EXTERNAL_MODULES="advantages.adapters.verl_plugin",
    )
    assert "lampo" in done.stdout.split()


MOVED = """
import verl.utils.config
del verl.utils.config.validate_config
import advantages.adapters.verl_plugin  # what verl does when it is imported
"""


def test_a_plugin_that_fails_says_so():
    done = python(MOVED, VERL_USE_EXTERNAL_PLUGINS="none")
    assert "the estimators of `advantages` are not available in verl, whose plug-in failed" in done.stderr
    assert "MovedHookError: verl.utils.config has no validate_config" in done.stderr


def test_a_version_that_was_not_tested_warns():
    done = python(
        "import importlib.metadata as m; old = m.version; m.version = lambda n: '0.12.0' if n == 'verl' else old(n);"
        "import verl"
    )
    assert "verl 0.12.0 is outside the range that the adapter was tested with" in done.stderr


@pytest.fixture(scope="module")
def runner():
    """verl's own task runner, an actor in a local Ray."""
    from verl.trainer.main_ppo import TaskRunnerV1

    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    yield TaskRunnerV1.options(num_cpus=0).remote()
    ray.shutdown()


def test_the_task_runner_has_the_estimators(runner):
    def names(_):
        from verl.trainer.ppo.core_algos import ADV_ESTIMATOR_REGISTRY

        return list(ADV_ESTIMATOR_REGISTRY)

    found = ray.get(runner.__ray_call__.remote(names), timeout=200)
    assert {"lampo", *(f"advantages.{name}" for name in estimators.__all__)} <= set(found)


def step_of_v1(runner, config, extra):
    """The V1 trainer's own step from its queue back to its queue, with rows that fill up the batch."""

    def step(_):
        from types import SimpleNamespace

        import torch
        import transfer_queue as tq
        from verl.trainer.ppo.padding_utils import upsample_batch_to_divisible_size
        from verl.trainer.ppo.v1.trainer_base import PPOTrainer
        from verl.utils.tensordict_utils import list_of_dict_to_tensordict

        tq.init(config.transfer_queue)
        keys = ["b_0_1", "a_0_0", "b_1_0", "a_1_0", "b_0_0"]
        rewards = {"a_0": 1.0, "a_1": 0.0, "b_0": 0.0, "b_1": 1.0}
        samples = []
        for row, key in enumerate(keys):
            length = row + 2
            scores = torch.zeros(length)
            scores[-1] = rewards[key[:3]]
            samples.append(
                {
                    "uid": key[0],
                    "prompts": torch.ones(3, dtype=torch.long),
                    "responses": torch.ones(length, dtype=torch.long),
                    "input_ids": torch.ones(length + 3, dtype=torch.long),
                    "response_mask": torch.ones(length, dtype=torch.long),
                    "rm_scores": scores,
                    "rollout_log_probs": torch.full((length,), -0.1 * row),
                    "extra_fields": {"reward_extra_info": extra[key[:3]]},
                }
            )
        tags = [{"seq_len": 5 + row} for row in range(len(keys))]
        batch = tq.kv_batch_put(keys=keys, partition_id="train", fields=list_of_dict_to_tensordict(samples), tags=tags)
        batch = upsample_batch_to_divisible_size(batch, 8, eos_token_id=0)
        batch.reorder([7, 0, 1, 5, 2, 3, 6, 4])
        data = tq.kv_batch_get(keys=batch.keys, partition_id="train", select_fields=["rollout_log_probs"])
        data["old_log_probs"] = data.pop("rollout_log_probs")
        tq.kv_batch_put(keys=batch.keys, partition_id="train", fields=data)
        result = PPOTrainer._compute_advantage(SimpleNamespace(config=config), batch, {})
        data = tq.kv_batch_get(keys=result.keys, partition_id="train", select_fields=["advantages", "returns"])
        found = {key: x.tolist() for key, x in zip(batch.keys, data["advantages"].unbind(), strict=True)}
        tq.kv_clear(keys=batch.keys, partition_id="train")
        tq.close()
        return found

    return ray.get(runner.__ray_call__.remote(step), timeout=200)
