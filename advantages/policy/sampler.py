"""Responses to problems: prompts as the model reads them, their limits, and the engine that answers them."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, Self

import torch

from .chat import render, tokenized
from .engine import ContinuousBatching, Engine, Generate
from .rollout import Rollout

__all__ = ["Asked", "Limits", "Sampler", "make_engine"]


class Asked(Protocol):
    """A problem, as far as a sampler knows one."""

    @property
    def prompt(self) -> str: ...

    @property
    def where(self) -> str:
        """Where it stands, for messages."""
        ...


def make_engine(
    name: str, model: Any, tokenizer: Any, *, context: int, dtype: torch.dtype, memory: float = 0.3
) -> Engine:
    """The engine of a name: "generate", "continuous" or "vllm".

    Args:
        context, dtype, memory: for vLLM; see `VLLM`.

    Raises:
        ValueError: there is none, or it is not installed.
    """
    match name:
        case "generate":
            return Generate()
        case "continuous":
            return ContinuousBatching()
        case "vllm":
            from .vllm import VLLM

            return VLLM(model, tokenizer, context=context, dtype=dtype, memory=memory)
        case _:
            raise ValueError(f"engine is {name!r}; pass one of generate, continuous, vllm")


class Limits(NamedTuple):
    """Tokens of the longest prompt and of the longest response."""

    prompt: int
    response: int
    by_model: bool
    """Whether it is the model that allows no longer prompt beside such a response."""

    @classmethod
    def of(cls, model: Any, *, prompt: int, response: int) -> Self:
        """What is asked for, as far as the model can read it.

        Raises:
            ValueError: the responses leave no room for a prompt.
        """
        context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
        if context is None or context - response >= prompt:
            return cls(prompt, response, by_model=False)
        if response >= context:
            raise ValueError(
                f"responses of up to {response} tokens leave no room for a prompt in a model that reads {context}; "
                "lower --max-new-tokens"
            )
        return cls(context - response, response, by_model=True)


class Sampler:
    """Asks a model problems: prompts as it reads them, checked for length, answered by an engine.

    Args:
        engine: what answers.
        tokenizer: the model's, which pads on the left.
        limits: of prompts and responses.
        temperature, top_p: of the sampling.
        system, thinking: of the chat template; see `render`.
    """

    def __init__(
        self,
        engine: Engine,
        tokenizer: Any,
        limits: Limits,
        *,
        temperature: float = 1.0,
        top_p: float = 1.0,
        system: str | None = None,
        thinking: bool = True,
    ) -> None:
        self.engine, self.tokenizer, self.limits = engine, tokenizer, limits
        self._drawn = {"temperature": temperature, "top_p": top_p}
        self._template: dict[str, Any] = {"system": system, "thinking": thinking}

    def prompts(self, problems: Sequence[Asked]) -> list[str]:
        """What the model is asked.

        Raises:
            ValueError: a prompt is too long, has no token, or cannot be read.
        """
        prompts = [render(self.tokenizer, problem.prompt, **self._template) for problem in problems]
        tokens = tokenized(self.tokenizer, prompts, [problem.where for problem in problems])
        most = self.limits.prompt
        for problem, ids in zip(problems, tokens, strict=True):
            if len(ids) > most:
                advice = (
                    f"lower --max-new-tokens, since the model reads {most + self.limits.response} in all"
                    if self.limits.by_model
                    else "raise --max-prompt-tokens"
                )
                raise ValueError(
                    f"{problem.where}: the prompt has {len(ids)} tokens, but {most} are allowed; {advice}, or "
                    "shorten it"
                )
        return prompts

    def sample(self, model: Any, problems: Sequence[Asked], *, greedy: bool = False, version: int = 0) -> Rollout:
        """One response to each problem; repeat one to sample it several times.

        Args:
            greedy: take the likeliest token each time.
            version: of the model's weights.

        Raises:
            NotFiniteError: what the model says of a token is NaN or infinite.
            ValueError: a prompt is too long, or the engine failed.
        """
        return self.engine.sample(
            model,
            self.tokenizer,
            self.prompts(problems),
            max_new_tokens=self.limits.response,
            greedy=greedy,
            version=version,
            **self._drawn,
        )
