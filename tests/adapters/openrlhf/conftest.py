"""OpenRLHF as it is, with stand-ins for two packages that need CUDA, and for the models that live on GPUs."""

import importlib.util
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

collect_ignore = ["stubs"]

if importlib.util.find_spec("openrlhf"):
    STUBS = Path(__file__).parent / "stubs"
    sys.path.insert(0, str(STUBS))
    os.environ["PYTHONPATH"] = os.pathsep.join([str(STUBS), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_DASHBOARD_SUBPROCESS_MODULE_WAIT_READY_TIMEOUT"] = "180"  # 30 s fail on a busy machine

USUAL = """
    --actor.model_name_or_path actor --reward.remote_url reward.py --actor.num_gpus_per_node 1 --vllm.num_engines 1
    --rollout.n_samples_per_prompt 4 --rollout.micro_batch_size 3 --algo.kl.init_coef 0
"""


class Parsed(Exception):
    """OpenRLHF has parsed and validated its arguments, and would now start the models."""


@pytest.fixture(scope="session")
def cluster():
    """A local Ray cluster that takes jobs; workers of the tests themselves set up `grpo`, if not told otherwise."""
    import ray

    from advantages.adapters.openrlhf import runtime_env

    context = ray.init(num_cpus=2, include_dashboard=True, dashboard_port=0, runtime_env=runtime_env("grpo"))
    yield SimpleNamespace(ray=ray, jobs=f"http://{context.dashboard_url}")
    ray.shutdown()


@pytest.fixture
def parse(cluster, monkeypatch):
    """OpenRLHF's own arguments: parsed by its command line, or by ours where an advantage is named."""
    import runpy

    import openrlhf.utils

    from advantages.adapters.openrlhf.__main__ import main

    def stop(args):
        raise Parsed(args)

    def run(arguments, advantage):
        if advantage is None:
            monkeypatch.setattr(sys, "argv", ["train_ppo_ray", *arguments])
            runpy.run_module("openrlhf.cli.train_ppo_ray", run_name="__main__", alter_sys=True)
        else:
            main([*advantage, "--", *arguments])

    def parsed(*arguments, advantage=None):
        with pytest.raises(Parsed) as stopped:
            run(" ".join([USUAL, *arguments]).split(), advantage)
        return stopped.value.args[0]

    monkeypatch.setattr(openrlhf.utils, "get_strategy", stop)
    monkeypatch.setenv("ADVANTAGES_OPENRLHF", "")  # puts back what was there, in the end
    return parsed


@pytest.fixture
def install(monkeypatch):
    """Install a request in this process, until the test ends."""
    from openrlhf.trainer.ppo_utils import experience_maker

    from advantages.adapters import openrlhf

    def installed(made):
        maker = experience_maker.RemoteExperienceMaker
        for name in ("__init__", "compute_advantages_and_returns"):
            monkeypatch.setattr(maker, name, getattr(maker, name))
        for name, value in openrlhf.runtime_env(made.advantage, made.options, whiten=made.whiten)["env_vars"].items():
            monkeypatch.setenv(name, value)
        openrlhf.setup()

    return installed


class Models:
    """A group of GPU workers: what they say of a token depends on that token alone."""

    def __init__(self, ray, forward):
        self.ray, self.forward = ray, forward

    def async_run_method_batch(self, method_name, sequences, action_mask, **_):
        assert method_name == "forward"
        return [self.ray.put([self.forward(tokens)[:, 1:] for tokens in sequences])]


@pytest.fixture
def models():
    return SimpleNamespace(
        actor=lambda tokens: -1.0 - (tokens % 7) / 5,
        reference=lambda tokens: -1.0 - (tokens % 5) / 4,
        critic=lambda tokens: (tokens % 3) / 4,
    )


@pytest.fixture
def make_maker(cluster, models):
    """OpenRLHF's experience maker, with stand-ins for its models."""
    from openrlhf.trainer.ppo_utils.experience_maker import RemoteExperienceMaker
    from openrlhf.trainer.ppo_utils.kl_controller import FixedKLController

    def made(args):
        return RemoteExperienceMaker(
            Models(cluster.ray, models.actor),
            Models(cluster.ray, models.critic) if args.critic.model_name_or_path else None,
            None,
            Models(cluster.ray, models.reference) if args.algo.kl.init_coef > 0 else None,
            FixedKLController(args.algo.kl.init_coef),
            SimpleNamespace(args=args),
            SimpleNamespace(pad_token_id=0),
        )

    return made


@pytest.fixture
def roll(make_maker):
    """Experiences with advantages, made of samples by OpenRLHF."""
    return lambda args, samples: make_maker(args).make_experience_batch(samples)


@pytest.fixture
def samples():
    """Twelve responses, four to a prompt, as OpenRLHF makes them of what vLLM returns."""
    import numpy as np
    from openrlhf.trainer.ppo_utils.samples_generator import SamplesGenerator

    def drawn(rewards=None, *, turns=1, per_prompt=4, **more):
        draw = np.random.default_rng(0)
        made = []
        for row, reward in enumerate(draw.normal(size=12) if rewards is None else rewards):
            prompt = row // per_prompt
            tokens, ranges = [int(token) for token in draw.integers(1, 99, 3 + prompt)], []
            for turn in range(turns):
                if turn:
                    tokens += [int(token) for token in draw.integers(1, 99, 2)]  # what a tool wrote
                words = [int(token) for token in draw.integers(1, 99, draw.integers(1, 6))]
                ranges.append((len(tokens), len(tokens) + len(words)))
                tokens += words
            response = {
                "prompt": f"prompt {prompt}",
                "label": "",
                "observation_tokens": tokens,
                "action_ranges": ranges,
                "rollout_log_probs": None,
                "reward": float(reward),
                "scores": float(reward),
                "truncated": row % 5 == 0,
                "extra_logs": {name: column[row] for name, column in more.items()},
            }
            made.append(SamplesGenerator._process_response_into_experience(None, response, max_len=64))
        return made

    return drawn
