"""Models of every kind: presets, folders, and the rollouts of any engine."""

import json
import shutil

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from safetensors.torch import load_file, save_file

from advantages.policy.chat import render, tokenized
from advantages.policy.engine import ContinuousBatching, end_tokens, sample, token_logprobs
from advantages.policy.load import byte_tokenizer, load, shape_of
from advantages.policy.rollout import joined, make_rollout
from advantages.policy.tiny import character_tokenizer
from advantages.tasks.chain import TASKS
from advantages.training.scoring import columns_of


@pytest.mark.parametrize(("preset", "billions"), [("Qwen3-1.7B", 1.72), ("Qwen3-4B", 4.02), ("Phi-4-mini", 3.84)])
def test_presets_have_the_published_number_of_parameters(preset, billions):
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(shape_of(preset))
    assert sum(p.numel() for p in model.parameters()) / 1e9 == pytest.approx(billions, abs=0.01)


@pytest.mark.parametrize("text", ["3+4=7#7", "Ünïcödé → 你好\n\t\x00", ""])
def test_the_byte_tokenizer_reads_any_text(text):
    tokenizer = byte_tokenizer()
    assert tokenizer.decode(tokenizer(text).input_ids) == text


def test_a_local_model_is_loaded_with_its_template(pretrained):
    model, tokenizer = load(model=str(pretrained), device="cpu")
    assert end_tokens(model, tokenizer) == [1]
    assert render(tokenizer, "Hi", system="Be brief.") == "<system>Be brief.\n<user>Hi\n<assistant>"
    assert render(tokenizer, "Hi", thinking=False) == "<user>Hi\n<assistant><think></think>"
    tokenizer.chat_template = None
    assert render(tokenizer, "Hi") == "Hi"
    with pytest.raises(ValueError, match="got a system prompt, but the tokenizer has no chat template"):
        render(tokenizer, "Hi", system="Be brief.")


def test_a_tokenizer_without_a_pad_token_pads_with_its_end(pretrained, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(pretrained, folder)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    del settings["pad_token"]
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    model, tokenizer = load(model=str(folder), device="cpu")
    assert tokenizer.pad_token_id == tokenizer.eos_token_id == 1
    torch.manual_seed(0)
    rollout = sample(model, tokenizer, ["long prompt", "p"], max_new_tokens=4)
    assert rollout.attention[0, :11].all()
    assert not rollout.attention[1, :10].any()
    del settings["eos_token"]
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(ValueError, match=r"has neither a pad token nor an end token; set tokenizer.pad_token"):
        load(model=str(folder), device="cpu")


@pytest.mark.parametrize("name", ["/no/such/folder", "./none"])
def test_a_missing_folder_is_said(name):
    with pytest.raises(ValueError, match=r"there is no such folder; pass a folder or a hub id"):
        load(model=name, device="cpu")


def test_weights_that_could_run_code_are_not_loaded(pretrained, tmp_path):
    folder = tmp_path / "pickled"
    shutil.copytree(pretrained, folder)
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"cannot be loaded .*pass a folder with config.json, tokenizer and"):
        load(model=str(folder), device="cpu")


def without(folder, key):
    tensors = load_file(folder / "model.safetensors")
    del tensors[key]
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def wrong_shape(folder, key):
    tensors = load_file(folder / "model.safetensors")
    save_file({**tensors, key: torch.ones(3)}, folder / "model.safetensors", {"format": "pt"})


def set_in(folder, file, **settings):
    (folder / file).write_text(json.dumps(json.loads((folder / file).read_text()) | settings))


DAMAGES = {
    "no norm": (lambda f: without(f, "model.norm.weight"), "has no model.norm.weight, which would start at random"),
    "no layer": (lambda f: without(f, "model.layers.1.mlp.up_proj.weight"), "has no model.layers.1.mlp.up_proj"),
    "other shape": (lambda f: wrong_shape(f, "model.norm.weight"), "another shape than config.json says of model.norm"),
    "another model": (lambda f: set_in(f, "config.json", model_type="gpt2"), "has no .*, and so of [0-9]+ more"),
    "other size": (lambda f: set_in(f, "config.json", vocab_size=5), "has another shape than config.json says"),
    "no number": (lambda f: set_in(f, "config.json", hidden_size="a"), "cannot be loaded .*hidden_size"),
    "no layers": (lambda f: set_in(f, "config.json", num_hidden_layers=0), "cannot be loaded .*num_hidden_layers"),
    "cut": (lambda f: (f / "model.safetensors").write_bytes(b"cut"), "cannot be loaded"),
    "empty": (lambda f: (f / "model.safetensors").write_bytes(b""), "cannot be loaded"),
    "padding": (
        lambda f: set_in(f, "tokenizer_config.json", pad_token="<none>"),
        "pads with token 258, but the model kn",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_model_that_is_not_whole_is_refused(damage, pretrained, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(pretrained, folder)
    change, said = DAMAGES[damage]
    change(folder)
    with pytest.raises(ValueError, match=rf"of? '{folder}' .*{said}|model '{folder}' .*{said}"):
        load(model=str(folder), device="cpu")


# Prompts


@pytest.mark.parametrize("template", ["{{ raise_exception('no system') }}", "{% for %}", "{{ messages[7].content }}"])
@pytest.mark.parametrize("system", [None, "Be brief."])
def test_a_template_that_refuses_is_a_sentence(template, system):
    tokenizer = byte_tokenizer()
    tokenizer.chat_template = template
    with pytest.raises(ValueError, match="chat template refuses these messages") as said:
        render(tokenizer, "Hi", system=system)
    assert ("drop the system prompt" in str(said.value)) == (system is not None)


def test_a_prompt_that_cannot_be_read_is_named():
    tokenizer = character_tokenizer("0123")
    assert [len(ids) for ids in tokenized(tokenizer, ["01", "2"], ["a", "b"])] == [2, 1]
    assert tokenized(tokenizer, [], []) == []
    with pytest.raises(ValueError, match=r"b: the tokenizer cannot read the prompt .*; change it"):
        tokenized(tokenizer, ["01", "2x", "y"], ["a", "b", "c"])
    with pytest.raises(ValueError, match="b: the prompt has no token"):
        tokenized(tokenizer, ["01", ""], ["a", "b"])


# Rollouts of any engine


def test_an_engines_responses_are_cut_at_the_first_end_and_padded():
    tokenizer = byte_tokenizer()
    a, b, c = (tokenizer(x).input_ids[0] for x in "abc")
    rollout = make_rollout([[a, b], [c]], [[b, 1, c], [c, c, c, c]], tokenizer, [1], 3, "cpu", [[-1.0] * 3, [-2.0] * 4])
    assert rollout.tokens.tolist() == [[a, b, b, 1, 0], [0, c, c, c, c]]
    assert rollout.attention.tolist() == [[True, True, True, True, False], [False, True, True, True, True]]
    assert rollout.mask.tolist() == [[True, True, False], [True, True, True]]
    assert rollout.truncated.tolist() == [False, True]
    assert rollout.sampled_logprobs.tolist() == [[-1.0, -1.0, 0.0], [-2.0, -2.0, -2.0]]
    assert rollout.texts == ["b", "ccc"]


def test_joined_rollouts_keep_every_logprob(pretrained):
    model, tokenizer = load(model=str(pretrained), device="cpu")
    torch.manual_seed(0)
    parts = [sample(model, tokenizer, prompts, max_new_tokens=t) for prompts, t in ((["a", "bcd"], 3), (["efghij"], 7))]
    whole = joined(parts, tokenizer.pad_token_id)
    assert whole.tokens.shape == (3, 6 + 7)
    with torch.no_grad():
        together = token_logprobs(model, whole)[0]
        alone = [token_logprobs(model, part)[0] for part in parts]
    torch.testing.assert_close(together[:2, :3][parts[0].mask], alone[0][parts[0].mask], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(together[2:][parts[1].mask], alone[1][parts[1].mask], atol=1e-5, rtol=1e-5)
    columns = columns_of([TASKS["chain"].problem(np.random.default_rng(0))] * 3, whole)
    assert [len(ids) for ids in columns["completion_ids"]] == whole.mask.sum(1).tolist()


def test_continuous_batching_samples_what_generate_would(pretrained):
    model, tokenizer = load(model=str(pretrained), device="cpu")
    prompts = ["a", "bcd"]
    expected = sample(model, tokenizer, prompts, max_new_tokens=3, greedy=True)
    model.generation_config.update(repetition_penalty=50.0, suppress_tokens=expected.tokens[:, -3:].flatten().tolist())
    found = ContinuousBatching().sample(model, tokenizer, prompts, max_new_tokens=3, greedy=True)
    assert found.tokens.tolist() == expected.tokens.tolist()
