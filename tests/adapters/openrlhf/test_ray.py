"""A real Ray cluster: the estimator arrives in the worker that forms advantages, by every way to start a run."""

import json
import shlex
import sys
import time
from types import SimpleNamespace

import pytest

pytest.importorskip("openrlhf")
import torch
from ray.job_submission import JobStatus, JobSubmissionClient
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from advantages.adapters.openrlhf import Request, runtime_env

SECONDS = 600.0  # a guard against hanging, not a measure
OPTIONS = {"temperature": 0.5}


@pytest.fixture
def files(tmp_path):
    """What a run reads before it needs a GPU: a tokenizer and prompts."""
    words = Tokenizer(models.WordLevel({"<eos>": 0, "1+1=": 1}, unk_token="<eos>"))
    PreTrainedTokenizerFast(tokenizer_object=words, eos_token="<eos>").save_pretrained(tmp_path / "model")
    (tmp_path / "prompts.jsonl").write_text(4 * (json.dumps({"input": "1+1="}) + "\n"))
    return f"--actor.model_name_or_path {tmp_path / 'model'} --data.prompt_dataset {tmp_path / 'prompts.jsonl'}"


def test_the_setup_itself_imports_nothing_heavy(cluster):
    heavy = ("torch", "deepspeed", "openrlhf")
    look = cluster.ray.remote(
        lambda: (type(sys.meta_path[0]).__name__, [name for name in heavy if name in sys.modules])
    )
    assert cluster.ray.get(look.remote()) == ("_WhenImported", [])


def test_openrlhfs_own_actor_uses_the_estimator(cluster, parse, files, samples, make_maker, install, roll):
    from openrlhf.trainer.ppo_trainer_async import TrainingActor

    options = ["--advantage-options", json.dumps(OPTIONS)]
    args = parse(files, advantage=["--advantage", "lampo", *options])
    maker = make_maker(args)
    experiences = maker.make_experience(maker.split_rollout_samples(samples()))

    groups = ("actor_model_group", "critic_model_group", "reward_model_group", "reference_model_group", "vllm_engines")
    nothing = dict.fromkeys((*groups, "vllm_lock", "rollout_queue", "rollout_slots"))
    env = {"env_vars": runtime_env("lampo", OPTIONS)["env_vars"]}
    strategy = SimpleNamespace(args=args)
    actor = TrainingActor.options(runtime_env=env).remote(args.actor.model_name_or_path, strategy, **nothing)
    found = cluster.ray.get(
        actor.__ray_call__.remote(lambda self, x: self.experience_maker.compute_advantages_and_returns(x), experiences)
    )
    install(Request("lampo", OPTIONS))
    for e, expected in zip(found, roll(args, samples()), strict=True):
        torch.testing.assert_close(e.advantages, expected.advantages)
        assert e.advantages.any()


def test_every_way_to_start_a_run_reaches_the_worker(cluster, files):
    environment = runtime_env("lampo", OPTIONS)
    usual = (
        "--reward.remote_url reward.py --actor.num_gpus_per_node 1 --vllm.num_engines 0 --algo.kl.init_coef 0 "
        f"--rollout.n_samples_per_prompt 2 --rollout.batch_size 2 --train.batch_size 4 {files}"
    ).split()
    ours = [sys.executable, "-m", "advantages.adapters.openrlhf", "--advantage", "lampo"]
    theirs = [sys.executable, "-m", "openrlhf.cli.train_ppo_ray", *usual, "--algo.advantage.estimator", "reinforce"]
    hook = {"RAY_RUNTIME_ENV_HOOK": "advantages.adapters.openrlhf.runtime_env_hook", **environment["env_vars"]}
    ways = {
        "our-command": ([*ours, "--advantage-options", json.dumps(OPTIONS), "--", *usual], {}),
        "environment-of-the-job": (theirs, environment),
        "hook-of-ray": (theirs, {"env_vars": hook}),
    }
    client = JobSubmissionClient(cluster.jobs)
    for way, (entrypoint, runtime) in ways.items():
        client.submit_job(entrypoint=shlex.join(entrypoint), submission_id=way, runtime_env=runtime)
    waiting, deadline = set(ways), time.monotonic() + SECONDS
    try:
        while waiting and time.monotonic() < deadline:
            time.sleep(1.0)
            for way in list(waiting):
                if "advantages: lampo {'temperature': 0.5} forms the advantages" in client.get_job_logs(way):
                    waiting.remove(way)
                elif client.get_job_status(way) == JobStatus.FAILED:
                    pytest.fail(f"{way}: {client.get_job_logs(way)}")
        assert not waiting, {way: client.get_job_logs(way) for way in waiting}
    finally:
        for way in ways:
            client.stop_job(way)
