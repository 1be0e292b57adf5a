"""On-policy means equal: tokens come from the distribution whose log-probabilities are read, whatever files say."""

import json

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from transformers import GenerationConfig

from advantages.policy.engine import end_tokens, generation_settings, sample, token_logprobs
from advantages.policy.load import load, without_dropout
from advantages.policy.tiny import character_tokenizer, tiny_model

PROMPTS = ["3+4=", "1+2+3="] * 4
HOSTILE = {
    "bad_words_ids": [[3], [4, 5]],
    "begin_suppress_tokens": [3, 4],
    "cache_implementation": "quantized",
    "custom_generate": "somebody/code",
    "dola_layers": "low",
    "encoder_repetition_penalty": 5.0,
    "epsilon_cutoff": 0.2,
    "eta_cutoff": 0.2,
    "exponential_decay_length_penalty": (1, 5.0),
    "force_words_ids": [[3]],
    "guidance_scale": 3.0,
    "max_time": 1e-9,
    "min_p": 0.5,
    "repetition_penalty": 5.0,
    "sequence_bias": [[[3], 10.0]],
    "stop_strings": ["1"],
    "suppress_tokens": [3, 4, 5],
    "temperature": 0.1,
    "top_h": 0.1,
    "top_p": 0.1,
    "typical_p": 0.1,
    "watermarking_config": {"greenlist_ratio": 0.2, "bias": 5.0},
}
"""Values that would be noticed; a setting that is not named here gets 3, which most would choke on or obey."""
SETTINGS = sorted(name for name in vars(GenerationConfig()) if name != "eos_token_id")


@pytest.fixture(scope="module")
def policy():
    tokenizer = character_tokenizer("0123456789+=,#")
    return tiny_model("qwen3", tokenizer, seed=0), tokenizer


@pytest.fixture
def drawn_from(monkeypatch):
    """What tokens are drawn from, step after step: every draw of `generate` goes through torch.multinomial."""
    steps = []
    draw = torch.multinomial

    def recorded(probabilities, *arguments, **settings):
        steps.append(probabilities.detach().clone())
        return draw(probabilities, *arguments, **settings)

    monkeypatch.setattr(torch, "multinomial", recorded)
    return steps


def agrees(model, tokenizer, drawn_from, temperature=1.0, **how):
    torch.manual_seed(0)
    drawn_from.clear()
    rollout = sample(model, tokenizer, PROMPTS, max_new_tokens=4, temperature=temperature, **how)
    with torch.no_grad():
        read, _ = token_logprobs(model, rollout, temperature=temperature)
    steps = rollout.mask.shape[1]
    assert len(drawn_from) == steps
    chosen = rollout.tokens[:, -steps:]
    sampled = torch.stack(drawn_from, 1).log().gather(-1, chosen[..., None]).squeeze(-1)
    torch.testing.assert_close(read[rollout.mask], sampled[rollout.mask], atol=1e-5, rtol=1e-5)
    return rollout


@pytest.mark.parametrize("name", sorted({*SETTINGS, *HOSTILE}))
def test_no_setting_of_a_checkpoint_changes_what_is_sampled(name, policy, drawn_from):
    model, tokenizer = policy
    own = model.generation_config
    expected = agrees(model, tokenizer, drawn_from)
    model.generation_config = GenerationConfig(eos_token_id=own.eos_token_id)
    setattr(model.generation_config, name, HOSTILE.get(name, 3))
    before = model.generation_config
    try:
        found = agrees(model, tokenizer, drawn_from)
        assert model.generation_config is before  # it is the checkpoint's, and is saved with it
        assert getattr(before, name) == HOSTILE.get(name, 3)
    finally:
        model.generation_config = own
    assert found.tokens.tolist() == expected.tokens.tolist()


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
def test_the_temperature_is_that_of_the_log_probabilities(temperature, policy, drawn_from):
    agrees(*policy, drawn_from, temperature)


def test_the_likeliest_tokens_are_the_models_own(policy):
    model, tokenizer = policy
    own = model.generation_config
    expected = sample(model, tokenizer, PROMPTS, max_new_tokens=4, greedy=True)
    hostile = {"repetition_penalty": 50.0, "num_beams": 3, "suppress_tokens": [3, 4, 5], "do_sample": True}
    model.generation_config = GenerationConfig(eos_token_id=own.eos_token_id, **hostile)
    try:
        found = sample(model, tokenizer, PROMPTS, max_new_tokens=4, greedy=True)
    finally:
        model.generation_config = own
    assert found.tokens.tolist() == expected.tokens.tolist()


def test_a_folder_with_settings_of_its_own_is_asked_as_without(policy, drawn_from, tmp_path):
    model, tokenizer = policy
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    settings = {"repetition_penalty": 5.0, "min_p": 0.3, "top_k": 2, "temperature": 0.2, "do_sample": True}
    settings |= {"sequence_bias": [[[3], 10.0]], "eos_token_id": [1, 7], "forced_eos_token_id": 1}
    (tmp_path / "generation_config.json").write_text(json.dumps(settings))
    loaded, its = load(model=str(tmp_path), device="cpu")
    rollout = agrees(loaded, its, drawn_from)
    assert end_tokens(loaded, its) == [1, 7]
    for row, mask, cut in zip(
        rollout.tokens[:, -rollout.mask.shape[1] :], rollout.mask, rollout.truncated, strict=True
    ):
        assert bool(cut) != (int(row[mask][-1]) in (1, 7))
        assert not {1, 7}.intersection(row[mask][:-1].tolist())
    assert loaded.generation_config.repetition_penalty == 5.0


def test_lora_samples_from_nothing_too(policy, drawn_from):
    peft = pytest.importorskip("peft")
    _, tokenizer = policy
    base = tiny_model("qwen3", tokenizer, seed=0)
    base.generation_config.repetition_penalty = 5.0
    model = peft.get_peft_model(base, peft.LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM"))
    agrees(model, tokenizer, drawn_from)
    assert base.generation_config.repetition_penalty == 5.0


def test_what_is_sampled_with_is_said(policy):
    how = generation_settings(*policy, max_new_tokens=4, temperature=0.6, top_p=0.95)
    expected = {"do_sample": True, "temperature": 0.6, "top_k": 0, "top_p": 0.95, "max_new_tokens": 4}
    assert how == {**expected, "eos_token_id": [1], "pad_token_id": 0}
    greedy = generation_settings(*policy, max_new_tokens=4, greedy=True)
    assert greedy == {"do_sample": False, "max_new_tokens": 4, "eos_token_id": [1], "pad_token_id": 0}


_SIZES = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
_ONE_KEY = {**_SIZES, "num_key_value_heads": 1}
NOISY = {
    "Qwen3": {**_ONE_KEY, "head_dim": 8, "attention_dropout": 0.5},
    "Phi3": {**_ONE_KEY, "resid_pdrop": 0.5, "embd_pdrop": 0.5, "attention_dropout": 0.5},
    "GPT2": {"n_embd": 16, "n_layer": 2, "n_head": 2, "resid_pdrop": 0.5, "embd_pdrop": 0.5, "attn_pdrop": 0.5},
    "OPT": {**_SIZES, "ffn_dim": 32, "word_embed_proj_dim": 16, "dropout": 0.5, "layerdrop": 0.5},
    "GPTNeoX": {**_SIZES, "hidden_dropout": 0.5, "attention_dropout": 0.5},
    "Mixtral": {**_ONE_KEY, "num_local_experts": 2, "router_jitter_noise": 0.5},
}
"""Settings of a checkpoint that make the model in training another one than the model that sampled."""


@pytest.mark.parametrize("architecture", NOISY)
@pytest.mark.parametrize("checkpointing", [False, True])
def test_the_model_that_learns_is_the_model_that_sampled(architecture, checkpointing):
    tokenizer = character_tokenizer("0123456789+=,#")
    torch.manual_seed(0)
    ids = {"vocab_size": 16, "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": None}
    config = getattr(transformers, f"{architecture}Config")(**NOISY[architecture], **ids)
    model = transformers.AutoModelForCausalLM.from_config(config)
    without_dropout(model)
    if checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    rollout = sample(model, tokenizer, PROMPTS, max_new_tokens=4)
    with torch.no_grad():
        old, _ = token_logprobs(model, rollout)
    model.train()
    new, _ = token_logprobs(model, rollout)
    assert (new - old)[rollout.mask].exp().tolist() == pytest.approx([1.0] * int(rollout.mask.sum()), abs=1e-5)
