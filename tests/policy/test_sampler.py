"""Prompts and their limits, and engines that keep one promise."""

import inspect
from typing import NamedTuple

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from hypothesis import given
from hypothesis import strategies as st
from transformers import PretrainedConfig

from advantages.policy.engine import ContinuousBatching, Engine, Generate, NotFiniteError
from advantages.policy.rollout import make_rollout
from advantages.policy.sampler import Limits, Sampler, make_engine
from advantages.policy.tiny import character_tokenizer, tiny_model
from advantages.policy.vllm import VLLM


class Question(NamedTuple):
    prompt: str
    where: str = "line 7"


@pytest.fixture(scope="module")
def tokenizer():
    return character_tokenizer("0123456789+=,#")


class Model:
    """As much of one as limits are read off."""

    def __init__(self, context):
        self.config = PretrainedConfig(**({} if context is None else {"max_position_embeddings": context}))


@given(context=st.integers(1, 60) | st.none(), prompt=st.integers(1, 60), response=st.integers(1, 60))
def test_a_prompt_and_a_response_fit_into_the_model(context, prompt, response):
    if context is not None and response >= context:
        with pytest.raises(ValueError, match="leave no room for a prompt in a model that reads"):
            Limits.of(Model(context), prompt=prompt, response=response)
        return
    limits = Limits.of(Model(context), prompt=prompt, response=response)
    assert limits.response == response
    assert limits.prompt == (prompt if context is None else min(prompt, context - response))
    assert limits.by_model == (limits.prompt < prompt)


@pytest.mark.parametrize(
    ("limits", "advice"),
    [
        (Limits(3, 9, by_model=False), "raise --max-prompt-tokens, or shorten it"),
        (Limits(3, 9, by_model=True), "lower --max-new-tokens, since the model reads 12 in all, or shorten it"),
    ],
)
def test_a_prompt_that_is_too_long_is_never_cut(limits, advice, tokenizer):
    sampler = Sampler(Generate(), tokenizer, limits)
    assert sampler.prompts([]) == []
    assert sampler.prompts([Question("1+2")]) == ["1+2"]
    with pytest.raises(ValueError, match=f"^line 7: the prompt has 4 tokens, but 3 are allowed; {advice}$"):
        sampler.prompts([Question("1+2"), Question("1+2=")])
    with pytest.raises(ValueError, match="the prompt has 4 tokens"):
        sampler.sample(None, [Question("1+2=")])


def test_an_engine_of_ones_own_is_told_all_that_was_set(tokenizer):
    told = []

    class Echo:
        def sample(self, model, tokenizer, prompts, *, max_new_tokens, **how):
            told.append((model, prompts, max_new_tokens, how))
            ids = tokenizer(prompts, add_special_tokens=False).input_ids
            return make_rollout(ids, [[*row, 1] for row in ids], tokenizer, [1], max_new_tokens, "cpu")

    sampler = Sampler(Echo(), tokenizer, Limits(4, 9, by_model=False), temperature=0.5, top_p=0.9)
    assert sampler.sample("model", [Question("1+2"), Question("3")], greedy=True, version=3).texts == ["1+2", "3"]
    how = {"temperature": 0.5, "top_p": 0.9, "greedy": True, "version": 3}
    assert told == [("model", ["1+2", "3"], 9, how)]


@pytest.mark.parametrize("engine", [Generate, ContinuousBatching, VLLM])
def test_engines_take_what_the_protocol_says(engine):
    assert inspect.signature(engine.sample) == inspect.signature(Engine.sample)


def test_engines_have_names(tokenizer):
    about = {"context": 9, "dtype": torch.float32}
    assert isinstance(make_engine("generate", None, tokenizer, **about), Generate)
    assert isinstance(make_engine("continuous", None, tokenizer, **about), ContinuousBatching)
    with pytest.raises(ValueError, match="engine is 'fast'; pass one of generate, continuous, vllm"):
        make_engine("fast", None, tokenizer, **about)


@pytest.mark.parametrize("engine", [Generate(), ContinuousBatching()], ids=lambda engine: type(engine).__name__)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("greedy", [False, True])
def test_every_engine_knows_a_policy_that_is_not_finite(engine, value, greedy, tokenizer):
    model = tiny_model("qwen3", tokenizer, seed=0)
    with torch.no_grad():
        next(model.parameters()).fill_(value)
    with pytest.raises(NotFiniteError, match="log-probabilities are not finite"):
        engine.sample(model, tokenizer, ["1+2=", "3="], max_new_tokens=2, greedy=greedy)
    assert not model.get_output_embeddings()._forward_hooks


def answering(tokenizer, *answers):
    """A model whose continuous batching gives these answers."""
    model = tiny_model("qwen3", tokenizer, seed=0)
    model.generate_batch = lambda *_, **__: {answer.request_id: answer for answer in answers}
    return model


def test_requests_that_fail_are_no_empty_responses(tokenizer):
    from transformers.generation.continuous_batching.requests import GenerationOutput

    whole = GenerationOutput("req_0", generated_tokens=[3, 1])
    broken = GenerationOutput("req_1", error="no room for 9 pages")
    for answers, message in (
        ([whole, broken], "failed: no room for 9 pages; sample with engine generate"),
        ([whole], "answered 1 of 2 prompts; sample with engine generate"),
    ):
        model = answering(tokenizer, *answers)
        with pytest.raises(ValueError, match=f"continuous batching {message}"):
            ContinuousBatching().sample(model, tokenizer, ["1", "2"], max_new_tokens=2)
    last, first = (GenerationOutput(f"req_{k}", generated_tokens=[2 + k, 1]) for k in (10, 9))
    model = answering(tokenizer, last, first)
    found = ContinuousBatching().sample(model, tokenizer, ["1", "2"], max_new_tokens=2)
    assert found.tokens[:, 1].tolist() == [11, 12]  # in the order of the prompts
