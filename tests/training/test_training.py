"""The built-in loop: real model classes, real generation, real log-probabilities, and it learns."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

import transformers

from advantages import estimators
from advantages.cli import main
from advantages.cli.train import parse_estimator
from advantages.core.definition import definition_of
from advantages.policy.engine import sample, token_logprobs
from advantages.policy.load import byte_tokenizer
from advantages.policy.tiny import ARCHITECTURES, character_tokenizer, tiny_model
from advantages.runs.config import Config
from advantages.runs.measures import curve, first_reaching
from advantages.tasks.chain import TASKS
from advantages.training.checkpoint import latest, restore, save
from advantages.training.checks import HOST
from advantages.training.distributed import Distributed
from advantages.training.loop import Training
from advantages.training.loss import importance_weights, surrogate
from advantages.training.scoring import make_rewards
from advantages.training.start import load, open_source

TASK = TASKS["chain"]


@pytest.fixture(scope="module")
def tokenizer():
    return character_tokenizer(TASK.alphabet)


@pytest.fixture
def model(tokenizer):
    torch.set_num_threads(1)
    return tiny_model("qwen3", tokenizer, seed=0)


@pytest.fixture
def new_world():
    """Accelerate keeps one state per process: it is found and left as if nobody had trained yet."""
    from accelerate.state import AcceleratorState

    def make(precision="float32"):
        AcceleratorState._reset_state(reset_partial_state=True)
        return Distributed(device="cpu", precision=precision)

    yield make
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture
def world(new_world):
    return new_world()


@pytest.fixture
def short(tmp_path, monkeypatch):
    """A user's reward function that even an untrained model can please: short responses are good."""
    (tmp_path / "my_rewards.py").write_text(
        "def short(completions, **columns):\n    return [-len(c) for c in completions]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return {"my_rewards:short": 1.0}


@pytest.fixture
def brief(short, tmp_path):
    """The same as a verdict: right where a response is short."""
    (tmp_path / "my_verdicts.py").write_text(
        "def brief(completions, **columns):\n    return [float(len(c) < 16) for c in completions]\n"
    )
    return {"my_verdicts:brief": 1.0}


def start(config, world):
    source = open_source(config)
    return Training(config, *load(config, getattr(source, "task", None), "cpu"), source, world)


def measured(metrics):
    """What a step says, without how long it took."""
    return {name: value for name, value in metrics.items() if "second" not in name}


# Tasks and the tiny model


@pytest.mark.parametrize("name", TASKS)
def test_worked_solutions_are_right_and_demonstrations_are_writable(name, tokenizer):
    task, rng, config = TASKS[name], np.random.default_rng(0), Config(task=name)
    rewards = make_rewards(config, open_source(config))
    problems = [task.problem(rng) for _ in range(200)]
    texts = [task.demonstration(rng, problem) for problem in problems]
    columns = {"answer": [problem.answer for problem in problems]}
    assert (
        rewards([p.prompt for p in problems], [p.solution for p in problems], columns).total().tolist() == [1.0] * 200
    )
    assert 0.05 < rewards([p.prompt for p in problems], texts, columns).total().mean() < 0.7
    for text, problem in zip(texts, problems, strict=True):
        assert max(len(text), len(problem.solution)) < task.longest
        assert tokenizer.decode(tokenizer(text).input_ids) == text


@pytest.mark.parametrize(("text", "reward"), [("3+4=7#7", 1.0), ("#7", 1.0), ("7", 0.0), ("#7#8", 0.0), ("#77", 0.0)])
def test_the_answer_stands_after_the_last_mark(text, reward):
    rewards = make_rewards(Config(), open_source(Config()))
    assert rewards(["3+4="], [text], {"answer": ["7"]}).total().tolist() == [reward]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_tiny_model_is_tiny_and_its_weights_follow_from_the_seed(architecture, tokenizer):
    one, same, other = (tiny_model(architecture, tokenizer, seed=seed) for seed in (0, 0, 1))
    assert 90_000 < sum(p.numel() for p in one.parameters()) < 110_000
    weights = [torch.cat([p.flatten() for p in made.parameters()]) for made in (one, same, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


# Rollouts


def test_a_response_ends_with_the_end_of_the_text_or_is_truncated(model, tokenizer):
    torch.manual_seed(0)
    rollout = sample(model, tokenizer, ["1+2=", "3+4+5+6="] * 16, max_new_tokens=12)
    response = rollout.tokens[:, -12:]
    for row in range(32):
        ends = (response[row] == tokenizer.eos_token_id).nonzero().flatten().tolist()
        length = ends[0] + 1 if ends else 12
        assert rollout.mask[row].tolist() == [True] * length + [False] * (12 - length)
        assert bool(rollout.truncated[row]) == (not ends)
        kept = response[row, :length][response[row, :length] > 1]
        assert rollout.texts[row] == tokenizer.decode(kept)
    assert 0 < rollout.truncated.sum() < 32


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_padding_changes_no_logprob(architecture, tokenizer):
    model = tiny_model(architecture, tokenizer, seed=0)
    torch.manual_seed(0)
    both = sample(model, tokenizer, ["1+2=", "3+4+5+6="], max_new_tokens=8)
    logprobs, entropy = token_logprobs(model, both)
    alone = both.rows(torch.tensor([0]))._replace(tokens=both.tokens[:1, 4:], attention=both.attention[:1, 4:])
    found, found_entropy = token_logprobs(model, alone)
    mask = both.mask[:1]
    torch.testing.assert_close(found[mask], logprobs[:1][mask], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found_entropy[mask], entropy[:1][mask], atol=1e-5, rtol=1e-5)


def test_logprobs_are_those_of_the_sampling_temperature(model, tokenizer):
    torch.manual_seed(0)
    rollout = sample(model, tokenizer, ["1+2="], max_new_tokens=3)
    found, _ = token_logprobs(model, rollout, temperature=2.0)
    with torch.no_grad():
        logits = model(input_ids=rollout.tokens).logits[0, 3:-1] / 2.0
    expected = logits.log_softmax(-1)[range(3), rollout.tokens[0, 4:]]
    torch.testing.assert_close(found[0], expected, atol=1e-5, rtol=1e-5)


# The loss


def test_the_surrogate_by_hand():
    logprobs = torch.log(torch.tensor([[1.5, 0.5], [1.5, 0.5]]))
    advantages = torch.tensor([1.0, -1.0])
    mask = torch.ones(2, 2, dtype=torch.bool)
    found = surrogate(logprobs, torch.zeros(2, 2), advantages, mask, clip_low=0.2, clip_high=0.3)
    expected = -(1.3 + 0.5 - 1.5 - 0.8) / 4  # of four tokens, one of each sign is clipped
    assert found.loss.item() == pytest.approx(expected)
    assert found.clip_fraction.item() == 0.5


def test_a_clipped_token_has_no_gradient_and_garbage_under_the_mask_has_none():
    logprobs = torch.tensor([[0.5, 0.0, float("nan")]], requires_grad=True)
    mask = torch.tensor([[True, True, False]])
    surrogate(logprobs, torch.zeros(1, 3), torch.tensor([2.0]), mask).loss.backward()
    assert logprobs.grad.tolist() == [[0.0, -1.0, 0.0]]


@pytest.mark.parametrize(
    ("aggregation", "expected"), [("token", -(3 + 2) / 4), ("sequence", -(1 + 2) / 2), ("constant", -5 / 6)]
)
def test_aggregations_weigh_long_responses_differently(aggregation, expected):
    mask = torch.tensor([[True, True, True], [True, False, False]])
    zeros = torch.zeros(2, 3)
    for advantages in (torch.tensor([1.0, 2.0]), torch.tensor([[1.0] * 3, [2.0, 9.0, 9.0]])):
        found = surrogate(zeros, zeros, advantages, mask, aggregation=aggregation)
        assert found.loss.item() == pytest.approx(expected)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_sequence_ratio_is_one_for_all_tokens_and_reaches_each(sign):
    logprobs = torch.tensor([[0.1, 0.5, 9.0]], requires_grad=True)
    mask = torch.tensor([[True, True, False]])
    found = surrogate(logprobs, torch.zeros(1, 3), torch.tensor([sign]), mask, ratio="sequence", clip_high=0.5)
    rho = np.exp(0.3)
    assert found.loss.item() == pytest.approx(-sign * rho)
    found.loss.backward()
    assert logprobs.grad.tolist()[0] == pytest.approx([-sign * rho / 2, -sign * rho / 2, 0.0])


def test_the_dual_clip_bounds_what_a_bad_response_can_cost():
    logprobs, mask = torch.log(torch.tensor([[9.0]])), torch.tensor([[True]])
    for bound, expected in ((None, 9.0), (3.0, 3.0)):
        found = surrogate(logprobs, torch.zeros(1, 1), torch.tensor([-1.0]), mask, dual_clip=bound)
        assert found.loss.item() == pytest.approx(expected)


def test_the_divergence_from_the_reference_is_k3():
    logprobs = torch.tensor([[-1.0, -2.0]], requires_grad=True)
    reference, mask = torch.tensor([[-1.5, -1.0]]), torch.ones(1, 2, dtype=torch.bool)
    found = surrogate(logprobs, logprobs.detach(), torch.zeros(1), mask, kl=0.1, reference_logprobs=reference)
    d = np.array([-0.5, 1.0])
    assert found.kl_reference.item() == pytest.approx(np.mean(np.exp(d) - d - 1))
    assert found.loss.item() == pytest.approx(0.1 * np.mean(np.exp(d) - d - 1))
    with pytest.raises(TypeError, match="kl needs reference_logprobs"):
        surrogate(logprobs, logprobs, torch.zeros(1), mask, kl=0.1)


@pytest.mark.parametrize("moved", [0.0, 1.0])
@pytest.mark.parametrize("unbiased", [True, False])
def test_the_gradient_of_the_divergence(moved, unbiased):
    """Over all tokens of a small vocabulary, weighed by how often they are sampled: the exact mean gradient."""
    torch.manual_seed(0)
    logits, reference = torch.randn(5, dtype=torch.float64, requires_grad=True), torch.randn(5, dtype=torch.float64)
    policy, reference = logits.log_softmax(0), reference.log_softmax(0)
    old = (logits.detach() + moved * torch.randn(5, dtype=torch.float64)).log_softmax(0)
    each = [
        surrogate(
            policy[token].reshape(1, 1),
            old[token].reshape(1, 1),
            torch.zeros(1, dtype=torch.float64),
            torch.ones(1, 1, dtype=torch.bool),
            kl=1.0,
            unbiased_kl=unbiased,
            reference_logprobs=reference[token].reshape(1, 1),
        ).loss
        for token in range(5)
    ]
    mean = sum(p * loss for p, loss in zip(old.exp(), each, strict=True))
    reverse = (policy.exp() * (policy - reference)).sum()
    forward = (reference.exp() * (reference - policy)).sum()
    (ours,), (of_reverse,), (of_forward,) = (
        torch.autograd.grad(x, logits, retain_graph=True) for x in (mean, reverse, forward)
    )
    assert torch.allclose(ours, of_reverse) == unbiased
    if unbiased:
        assert mean.item() == pytest.approx(reverse.item())
    assert torch.allclose(ours, of_forward) == (not unbiased and not moved)


def test_importance_weights_are_capped_and_one_where_the_engine_says_nothing():
    old, sampled = torch.tensor([[-1.0, -1.0, -1.0, 5.0]]), torch.tensor([[-2.0, -0.5, float("nan"), 0.0]])
    mask = torch.tensor([[True, True, True, False]])
    found = importance_weights(old, sampled, mask, cap=2.0)
    assert found.tolist()[0] == pytest.approx([2.0, np.exp(-0.5), 1.0, 1.0])


def test_shares_of_a_batch_add_up_to_the_batch():
    torch.manual_seed(0)
    logprobs, old, advantages = torch.randn(6, 4), torch.randn(6, 4), torch.randn(6)
    mask = torch.rand(6, 4) < 0.7
    for aggregation, divisor in (("token", mask.sum()), ("sequence", 6), ("constant", 24)):
        whole = surrogate(logprobs, old, advantages, mask, aggregation=aggregation).loss
        parts = [
            surrogate(logprobs[s], old[s], advantages[s], mask[s], aggregation=aggregation, divisor=divisor).loss
            for s in (slice(0, 2), slice(2, 6))
        ]
        torch.testing.assert_close(sum(parts), whole)


# The loop


@pytest.mark.parametrize("name", [name for name in estimators.__all__ if not HOST.lacks(getattr(estimators, name))])
def test_every_estimator_that_can_takes_a_step(name, world, short, brief):
    verdicts = "rewards" in definition_of(getattr(estimators, name)).ranges or name == "raft"  # which no penalty moves
    rewards = brief if verdicts else short
    training = start(Config(estimator=name, prompts=4, group_size=4, learning_rate=1e-2, rewards=rewards), world)
    before = torch.cat([p.detach().flatten().clone() for p in training.model.parameters()])
    for _ in range(3):
        metrics = training.step()
    accuracy = metrics.pop("accuracy")
    assert (accuracy is None) == (not verdicts)  # a length is no verdict
    assert all(np.isfinite(value) for value in metrics.values())
    assert metrics["step"] == 3
    assert metrics["samples"] == 48
    after = torch.cat([p.detach().flatten() for p in training.model.parameters()])
    assert not torch.equal(before, after)
    assert verdicts or metrics["length"] < 15  # of at most 20


def test_stages_around_an_estimator_train_and_get_the_policys_entropies(world, short):
    settings = {"prompts": 4, "group_size": 4, "learning_rate": 1e-3, "rewards": {"exact": 1.0, **short}}
    raised = start(Config(estimator="grpo+entropy_shaped.alpha=0.4", **settings), world).step()
    expected = start(Config(estimator="grpo", **settings), world).step()
    assert raised["entropy"] == expected["entropy"] > 0  # the same policy
    assert raised["advantage"] != expected["advantage"] > 0


def test_one_process_trains_in_one_precision(new_world):
    new_world("mixed")
    with pytest.raises(ValueError, match=r"precision 'float32' needs a new process: this one began with .* 'bf16'"):
        Distributed(device="cpu", precision="float32")
    assert Distributed(device="cpu", precision="mixed").main


def test_an_estimator_that_needs_a_critic_is_refused_at_once(world):
    with pytest.raises(TypeError, match=r"gae needs values .* which advantages train does not hand to estimators here"):
        start(Config(estimator="gae"), world)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"micro_batch": 3, "epochs": 2, "minibatches": 1},
        {"kl": 0.1, "ratio": "sequence", "aggregation": "sequence"},
        {"dynamic_sampling": 2, "truncated": "drop"},
        {"lora_rank": 2, "kl": 0.05, "gradient_checkpointing": True},
        {"rouge_weight": 0.5, "rouge_decay": "linear", "estimator": "gdpo"},
        {"arch": "phi4-mini", "precision": "mixed", "temperature": 0.7, "top_p": 0.9},
    ],
    ids=str,
)
def test_a_run_taken_up_again_is_the_run_bit_for_bit(settings, tmp_path, new_world, short):
    world = new_world(settings.get("precision", "float32"))
    config = Config(prompts=4, group_size=4, learning_rate=1e-3, rewards={"exact": 1.0, **short}, **settings)
    whole = start(config, world)
    expected = [measured(whole.step()) for _ in range(5)]
    first = start(config, world)
    found = [measured(first.step()) for _ in range(2)]
    tmp_path = tmp_path / "checkpoint"
    save(first, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["step-2"]
    torch.manual_seed(12345)
    second = start(config, world)
    restore(second, latest(tmp_path))
    found += [measured(second.step()) for _ in range(3)]
    assert found == expected
    for p, q in zip(whole.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(p, q)


def test_steps_and_updates_that_failed_in_a_row_are_counted_on_after_a_resume(tmp_path, world, short):
    config = Config(prompts=2, group_size=4, rewards=short)
    first = start(config, world)
    first.unscored_steps, first.updater.skipped = 2, 3
    save(first, tmp_path)
    second = start(config, world)
    restore(second, latest(tmp_path))
    assert (second.unscored_steps, second.updater.skipped) == (2, 3)


def test_gradients_that_are_not_finite_are_skipped_counted_and_end_the_run(world, short):
    training = start(Config(prompts=2, group_size=4, learning_rate=1e-2, rewards=short), world)
    before = [p.detach().clone() for p in training.model.parameters()]
    poisoned = next(training.model.parameters()).register_hook(lambda gradient: gradient * float("nan"))
    metrics = training.step()
    assert (metrics["skipped_updates"], metrics["grad_norm"], metrics["loss"]) == (2, None, None)
    training.step()
    with pytest.raises(ValueError, match="the gradients of 5 updates in a row were not finite"):
        training.step()
    assert all(torch.equal(p, q) for p, q in zip(training.model.parameters(), before, strict=True))
    poisoned.remove()
    assert training.step()["skipped_updates"] == 0


@pytest.mark.parametrize("settings", [{}, {"temperature": 0.7}, {"ratio": "sequence"}, {"kl": 0.1}], ids=str)
def test_the_ratio_of_the_first_update_is_one(settings, world, short):
    training = start(
        Config(prompts=2, group_size=4, minibatches=1, learning_rate=1e-2, rewards=short, **settings), world
    )
    for _ in range(2):
        metrics = training.step()
        assert (metrics["kl_step"], metrics["clip_fraction"]) == (0.0, 0.0)  # 0 where every ratio is exactly 1


@pytest.mark.parametrize("architecture", ["GPT2", "Phi3"])
def test_the_ratio_of_the_first_update_is_one_whatever_dropout_a_checkpoint_has(architecture, world, short, tmp_path):
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    noise = {"resid_pdrop": 0.5, "embd_pdrop": 0.5, "attention_dropout": 0.5, "attn_pdrop": 0.5}
    tokenizer = byte_tokenizer()
    ids = {"vocab_size": len(tokenizer), "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": None}
    shape = {"n_embd": 16, "n_layer": 2, "n_head": 2} if architecture == "GPT2" else {**sizes, "num_key_value_heads": 1}
    torch.manual_seed(0)
    made = getattr(transformers, f"{architecture}Config")(**shape, **noise, **ids)
    transformers.AutoModelForCausalLM.from_config(made).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    settings = {"max_new_tokens": 4, "learning_rate": 1e-2, "rewards": short}
    training = start(Config(model=str(tmp_path), prompts=2, group_size=4, minibatches=1, **settings), world)
    for _ in range(2):
        metrics = training.step()
        assert (metrics["kl_step"], metrics["clip_fraction"]) == (0.0, 0.0)


@pytest.mark.parametrize("engine", ["generate", "continuous"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_policy_that_is_not_finite_is_a_sentence(value, engine, world, short):
    training = start(Config(prompts=2, group_size=4, rewards=short, engine=engine), world)
    training.step()
    with torch.no_grad():
        next(training.model.parameters()).fill_(value)
    with pytest.raises(ValueError, match="after 1 steps the policy's log-probabilities are not finite; lower --learn"):
        training.step()
    with pytest.raises(ValueError, match="after 1 steps the policy's log-probabilities are not finite; lower --learn"):
        training.evaluate(training.source.held_out(2))


def test_micro_batches_change_no_gradient(world, short):
    norms = []
    for micro_batch in (0, 1, 5):
        training = start(Config(prompts=4, group_size=4, minibatches=1, micro_batch=micro_batch, rewards=short), world)
        norms.append(training.step()["grad_norm"])
    assert norms == pytest.approx([norms[0]] * 3, rel=1e-4)
    assert norms[0] > 0


def test_a_half_written_checkpoint_is_not_one(tmp_path, world):
    training = start(Config(prompts=2, group_size=2), world)
    assert latest(tmp_path) is None
    save(training, tmp_path)
    (tmp_path / "step-7.partial").mkdir()
    assert latest(tmp_path).name == "step-0"


# The command


def test_estimators_are_parsed_with_their_settings():
    assert parse_estimator("a.b:c,lampo(temperature='auto',center=True)") == [
        ("a.b:c", {}),
        ("lampo", {"temperature": "auto", "center": True}),
    ]
    for wrong in ("lampo(3)", "lampo(temperature=print)", "lampo(", "lampo(temperature=)"):
        with pytest.raises(ValueError, match="write a name, or name"):
            parse_estimator(wrong)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--estimator", "gae"], "gae needs values"),
        (["--estimator", "lambo"], "estimator 'lambo': there is none; pass one of"),
        (["--estimator", "lampo", "--estimator.temperature", "-1"], "lampo: temperature is -1; pass"),
        (["--estimator", "grpo,lampo", "--estimator.temperature", "3"], "grpo: takes no option 'temperature'"),
        (["--task", "chess"], "advantages train: task is 'chess'; pass one of chain, chain-rare"),
        (["--group-size", "0"], "advantages train: group_size is 0; pass a whole number of at least 1"),
        (["--minibatches", "3"], "advantages train: 16 prompts of 8 responses do not divide into 3 minibatches"),
        (["--speed", "9"], "--speed: there is no such option; see advantages train --help"),
        (["--clip-low"], None),
    ],
)
def test_a_run_that_cannot_work_ends_with_a_sentence(arguments, message, tmp_path):
    with pytest.raises(SystemExit, match=message):
        main(["train", "--runs", str(tmp_path), *arguments])
    assert not list(tmp_path.iterdir())


def test_it_learns_and_leaves_a_record(tmp_path, capsys):
    arguments = ["--estimator", "grpo,lampo(temperature=3)", "--steps", "25", "--task", "chain-wrong"]
    assert main(["train", "--runs", str(tmp_path), "--name", "mine", *arguments]) == 0
    results = json.loads((tmp_path / "mine" / "results.json").read_text())
    assert [run["estimator"] for run in results] == ["grpo", "lampo(temperature=3)"]
    for run in results:
        assert run["before"] < 0.4
        assert run["after"] > run["before"] + 0.3
    folder = tmp_path / "mine" / "lampo(temperature=3)-seed0"
    steps = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [step["step"] for step in steps] == list(range(1, 26))
    assert json.loads((folder / "config.json").read_text())["options"] == {"temperature": 3}
    assert (tmp_path / "mine" / "curves.png").read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert "lampo(temperature=3)" in printed
    assert "curves.png" in printed
    with pytest.raises(SystemExit, match="already holds a run; pass another --name"):
        main(["train", "--runs", str(tmp_path), "--name", "mine"])


def test_curves_are_running_means_and_know_when_they_arrive():
    assert curve([1.0, 0.0, 0.5, 1.0], window=2).tolist() == [1.0, 0.5, 0.25, 0.75]
    metrics = [{"step": k, "accuracy": 0.1 * k} for k in range(11)]
    assert first_reaching(metrics, 0.75)["step"] == 10
    assert first_reaching(metrics, 0.95) is None
