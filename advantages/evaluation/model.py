"""The model that is evaluated: loaded, asked, and told apart from others."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ..policy.chat import render
from ..policy.engine import generation_settings, sample
from ..policy.load import load, pick_device
from ..rewards.answers import Reasoning, reasoning_of
from .benchmarks import Question
from .settings import Settings

__all__ = ["Completion", "Sampler"]


class Completion(NamedTuple):
    """What the model wrote."""

    text: str
    tokens: int
    truncated: bool
    """Whether it was cut off at the limit."""
    reasoning: Reasoning
    """How the model marks it, and the opening tag that the prompt already had."""

    @property
    def graded(self) -> str:
        """The text with that opening tag."""
        return self.reasoning.opened + self.text


class Sampler:
    """A model on its device, with the settings of its sampling.

    Raises:
        ValueError: it cannot be loaded.
    """

    def __init__(self, settings: Settings, longest: int) -> None:
        self.settings, self.longest = settings, longest
        device = pick_device(settings.device)
        precision = settings.precision
        if precision == "auto":
            precision = "float32" if device == "cpu" else "bfloat16"
        folder = settings.model_folder
        if (Path(folder) / "adapter_config.json").is_file():
            raise ValueError(f"{folder} holds a LoRA adapter alone; merge it into its model, and pass that")
        self.model, self.tokenizer = load(model=folder, precision=precision, device=device)
        self._how: dict[str, Any] = {
            "max_new_tokens": longest,
            "temperature": settings.temperature or 1.0,
            "top_p": settings.top_p,
            "greedy": settings.temperature == 0,
        }

    @property
    def generation(self) -> dict[str, Any]:
        """All that completions are sampled with; what is not named is off, whatever the checkpoint's files say."""
        return generation_settings(self.model, self.tokenizer, **self._how)

    def fingerprint(self) -> str:
        """SHA-256 of the first weights of every tensor: other models, and the same model trained on, have another."""
        found = hashlib.sha256()
        for name, weights in self.model.state_dict().items():
            found.update(name.encode())
            found.update(weights.flatten()[:4096].cpu().contiguous().view(torch.uint8).numpy().tobytes())
        return found.hexdigest()

    def prompts(self, questions: Sequence[Question]) -> list[str]:
        """Each question as the model reads it.

        Raises:
            ValueError: the tokenizer cannot write one, or one is too long for the model.
        """
        s = self.settings
        prompts = [render(self.tokenizer, q.prompt, system=s.system, thinking=s.thinking) for q in questions]
        room = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        lengths = [self._length(question, prompt) for question, prompt in zip(questions, prompts, strict=True)]
        longest = max(lengths)
        name = questions[lengths.index(longest)].id
        if room is not None and longest >= room:
            raise ValueError(
                f"problem {name} has {longest} tokens, but the model takes {room}; use one that takes more, or "
                "leave the problem out"
            )
        if room is not None and longest + self.longest > room:
            raise ValueError(
                f"problem {name} has {longest} tokens and completions may have {self.longest}, but the model "
                f"takes {room} in all; pass --max-new-tokens {room - longest} or less"
            )
        return prompts

    def _length(self, question: Question, prompt: str) -> int:
        try:
            return len(self.tokenizer(prompt, add_special_tokens=False).input_ids)
        except Exception as error:  # tokenizers raises nothing more special
            raise ValueError(
                f"the tokenizer of {self.settings.model!r} cannot read problem {question.id} ({error}); evaluate "
                "a model of the benchmark's language"
            ) from None

    def sample(self, prompts: Sequence[str], seed: int) -> list[Completion]:
        """One completion of each prompt; the same ones whenever the prompts and the seed are."""
        torch.manual_seed(seed)
        rollout = sample(self.model, self.tokenizer, prompts, **self._how)
        facts: Any = zip(prompts, rollout.texts, rollout.mask.sum(1).tolist(), rollout.truncated.tolist(), strict=True)
        return [
            Completion(text, tokens, truncated, reasoning_of(self.tokenizer.chat_template, prompt))
            for prompt, text, tokens, truncated in facts
        ]
