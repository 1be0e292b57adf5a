"""The real vLLM, on a CPU, as the engine of the training loop."""

import json
import os

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("vllm")

from transformers import GenerationConfig

from advantages.cli import main
from advantages.policy.engine import NotFiniteError, token_logprobs
from advantages.policy.load import byte_tokenizer
from advantages.policy.vllm import VLLM

# Without compilation, which takes a minute on two cores and changes no distribution.
os.environ |= {"VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1", "TORCH_COMPILE_DISABLE": "1"}


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    from transformers import Qwen3Config, Qwen3ForCausalLM

    folder = tmp_path_factory.mktemp("pretrained")
    tokenizer = byte_tokenizer()
    torch.manual_seed(0)
    shape = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    ends = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": None}
    config = Qwen3Config(
        vocab_size=len(tokenizer), num_key_value_heads=1, head_dim=32, initializer_range=0.3, **shape, **ends
    )
    model = Qwen3ForCausalLM(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder, model, tokenizer


def test_its_weights_follow_the_models_and_its_draws_follow_torchs_generator(pretrained):
    _, model, tokenizer = pretrained
    engine = VLLM(model, tokenizer, context=128, dtype=torch.float32, memory=0.3)
    how = {"max_new_tokens": 12, "temperature": 0.7, "top_p": 1.0}
    prompts = ["abc", "hello world", "abc"]

    def drawn(version, *, greedy=False):
        torch.manual_seed(3)
        rollout = engine.sample(model, tokenizer, prompts, version=version, greedy=greedy, **how)
        with torch.no_grad():
            own = token_logprobs(model, rollout, temperature=0.7)[0]
        if not greedy:
            torch.testing.assert_close(rollout.sampled_logprobs[rollout.mask], own[rollout.mask], atol=1e-4, rtol=1e-4)
        return rollout

    own = model.generation_config
    model.generation_config = GenerationConfig(eos_token_id=1, repetition_penalty=5.0, min_p=0.5, top_k=2)
    first = drawn(0)
    assert first.tokens.tolist() == drawn(0).tokens.tolist()
    assert first.tokens[0].tolist() != first.tokens[2].tolist()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    assert drawn(1).tokens.tolist() != first.tokens.tolist()
    model.generation_config = own
    with torch.no_grad():
        expected = model.generate(
            **tokenizer(["abc"], return_tensors="pt", return_token_type_ids=False),
            max_new_tokens=12,
            do_sample=False,
            eos_token_id=1,
            pad_token_id=0,
        )
    found = drawn(1, greedy=True)
    assert found.tokens[0][found.attention[0]].tolist() == expected[0].tolist()
    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))
    for greedy in (False, True):
        with pytest.raises(NotFiniteError, match="log-probabilities are not finite"):
            drawn(2, greedy=greedy)


def test_a_run_samples_with_it(pretrained, tmp_path):
    folder, _, _ = pretrained
    data = tmp_path / "train.jsonl"
    data.write_text("".join(json.dumps({"prompt": f"{k}+1?", "answer": str(k + 1)}) + "\n" for k in range(6)))
    arguments = ["--model", str(folder), "--data", str(data), "--rewards", "exact=1", "--engine", "vllm"]
    arguments += ["--max-new-tokens", "8", "--evaluation", "0", "--steps", "2", "--prompts", "2", "--group-size", "4"]
    arguments += ["--max-prompt-tokens", "100", "--estimator", "rloo"]
    assert main(["train", "--runs", str(tmp_path / "runs"), "--name", "mine", *arguments]) == 0
    lines = [json.loads(line) for line in (tmp_path / "runs" / "mine" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2]
