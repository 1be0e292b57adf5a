"""Everything that a run depends on; every field is an option of `advantages train`."""

import dataclasses
from collections.abc import Mapping
from math import inf
from pathlib import Path
from typing import Annotated, Any, Literal

from ..core.settings import (
    Count,
    Finite,
    FiniteNonNegative,
    Fraction,
    NonNegative,
    Range,
    Whole,
    check_fields,
    option,
)
from ..files import MAP
from ..tasks.problem import HELD_OUT

__all__ = ["GROUPS", "RENAMED", "Config"]

GROUPS = {
    "model": "what is trained",
    "data": "problems and answers",
    "reward": "what a response earns",
    "learning": "reinforcement learning",
    "sampling": "responses",
    "run": "the run",
}
RENAMED = {"rate": "learning_rate", "passes": "epochs", "samples": "group_size"}
"""What settings were called in earlier versions, and are called now."""


@dataclasses.dataclass(frozen=True)
class Config:
    """A run's settings.

    Raises:
        TypeError, ValueError: a setting has the wrong type or is out of range, or two do not fit together.
    """

    model: str | None = option(
        None, "hub id or local folder; without it, a tiny model is made on the spot", group="model"
    )
    arch: Literal["qwen3", "phi4-mini"] = option("qwen3", "architecture of the tiny model", group="model")
    random_init: Literal["Qwen3-1.7B", "Qwen3-4B", "Phi-4-mini"] | None = option(
        None, "a model of true size with random weights, for throughput and memory", group="model"
    )
    device: str = option("auto", "cpu, cuda, or auto: an accelerator where there is one", group="model")
    precision: Literal["auto", "float32", "mixed", "bfloat16"] = option(
        "auto",
        "mixed: float32 weights, bfloat16 arithmetic; bfloat16: both; auto: mixed on an accelerator, else float32",
        group="model",
    )
    lora_rank: Whole = option(0, "rank of LoRA adapters on all linear layers; 0 trains every weight", group="model")
    gradient_checkpointing: bool = option(False, "recompute activations, for memory", group="model")

    task: str = option(
        "chain",
        "chain, chain-rare, chain-sharpen, chain-wrong, or reasoning-gym:NAME for its generator NAME",
        group="data",
    )
    data: str | None = option(None, "JSON Lines or Parquet with prompt, answer and, optionally, solution", group="data")
    eval_data: str | None = option(
        None, "such a file that accuracy is measured on (default: some rows of --data are held out)", group="data"
    )
    map: Mapping[str, str] = option(
        {},
        "columns of the files that have other names: question=prompt,gold=answer",
        group="data",
        form=MAP,
    )
    system: str | None = option(None, "system prompt of the chat template", group="data")
    thinking: bool = option(True, "let the chat template ask for thinking, where it can", group="data")
    max_prompt_tokens: Count = option(1024, "longest prompt; a longer one is an error", group="data")

    rewards: Mapping[str, Finite] = option(
        {},
        "weights by component: exact=1,format=0.2,package.module:function=1 (default: the task's own)",
        group="reward",
        form="name=weight, such as exact=1",
    )
    rouge_weight: FiniteNonNegative = option(0.0, "weight of ROUGE-L against the worked solution", group="reward")
    rouge_decay: Literal["constant", "linear", "cosine"] = option(
        "constant", "how that weight falls over the steps", group="reward"
    )
    rouge_part: Literal["reasoning", "whole"] = option("reasoning", "what ROUGE-L compares", group="reward")

    estimator: str = option(
        "grpo", "a name in `advantages`, package.module:function or path/file.py:function", group="learning"
    )
    options: Mapping[str, Any] = option({}, "settings of the estimator", group="learning", form="setting=value")
    steps: Count = option(60, "steps", group="learning")
    prompts: Count = option(16, "prompts per step", group="learning")
    group_size: Count = option(8, "responses per prompt", group="learning")
    minibatches: Count = option(2, "updates per step, each on a share of its responses", group="learning")
    epochs: Count = option(1, "times that a step's responses are gone through", group="learning")
    micro_batch: Whole = option(0, "responses that go through the model at once; 0: a minibatch", group="learning")
    learning_rate: FiniteNonNegative = option(
        0.0, "of AdamW; 0: 5e-4 for the tiny model, 1e-6 for others, 1e-5 with LoRA", group="learning"
    )
    warmup: Whole = option(10, "steps over which the learning rate rises", group="learning")
    weight_decay: FiniteNonNegative = option(0.0, "weight decay of AdamW", group="learning")
    grad_clip: NonNegative = option(1.0, "largest norm of the gradient; 0: any", group="learning")
    clip_low: Fraction = option(0.2, "how far a probability ratio may fall below 1", group="learning")
    clip_high: NonNegative = option(0.2, "how far it may rise above 1", group="learning")
    dual_clip: NonNegative = option(
        0.0, "bound of the loss of a negative advantage, above 1; 0: none", group="learning"
    )
    ratio: Literal["token", "sequence"] = option(
        "token", "probability ratio per token, or per sequence (GSPO)", group="learning"
    )
    aggregation: Literal["token", "sequence", "constant"] = option(
        "token", "token losses are averaged over tokens, per sequence first, or over a constant", group="learning"
    )
    kl: FiniteNonNegative = option(
        0.0, "weight of the KL divergence from the reference model; 0 makes none", group="learning"
    )
    truncated: Literal["keep", "mask", "drop"] = option(
        "keep",
        "responses cut off at the limit are trained on (keep), count in the group's statistics alone (mask), or "
        "nowhere (drop)",
        group="learning",
    )
    dynamic_sampling: Whole = option(
        0, "rounds of sampling that may replace whole groups of equal rewards; 0: none are replaced", group="learning"
    )

    temperature: Annotated[float, Range(1e-6, inf, finite=True)] = option(
        1.0, "of sampling, and of the log-probabilities", group="sampling"
    )
    top_p: Annotated[float, Range(1e-06, 1.0)] = option(
        1.0, "share of the probability that is sampled from", group="sampling"
    )
    max_new_tokens: Whole = option(0, "longest response; 0: the task's longest, or 1024", group="sampling")
    engine: Literal["generate", "continuous", "vllm"] = option(
        "generate",
        "generate: the model's own; continuous: its continuous batching; vllm: beside the model, in one process",
        group="sampling",
    )
    engine_memory: Annotated[float, Range(0.01, 0.95)] = option(
        0.3, "share of the memory that vllm may take", group="sampling"
    )
    importance_cap: Annotated[float, Range(1.0, inf)] = option(
        2.0, "largest weight that corrects for an engine whose probabilities differ", group="sampling"
    )

    seed: Whole = option(0, "of the weights, the problems and the sampling", group="run")
    evaluation: Whole | None = option(
        None,
        "problems that accuracy is measured on, before and after; 0: none (default: 256; of --data a tenth, and at "
        "most that; all of --eval-data)",
        group="run",
    )
    save_every: Count = option(10, "steps between checkpoints", group="run")
    keep: Count = option(2, "checkpoints that are kept, the last ones", group="run")
    threads: Count = option(1, "threads of torch on a CPU; one is fastest for the tiny model", group="run")

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.learning_rate:  # recorded as what it is
            object.__setattr__(self, "learning_rate", 5e-4 if self.tiny else 1e-5 if self.lora_rank else 1e-6)
        if self.evaluation is None and self.data is None:
            object.__setattr__(self, "evaluation", HELD_OUT)
        if self.prompts * self.group_size % self.minibatches:
            raise ValueError(
                f"{self.prompts} prompts of {self.group_size} responses do not divide into {self.minibatches} "
                "minibatches; pass numbers that do"
            )
        if self.model and self.random_init:
            raise ValueError("got both model and random_init; pass one of them")
        if self.engine == "vllm" and self.lora_rank:
            raise ValueError("engine vllm takes whole weights alone; drop --lora-rank, or sample with generate")
        if self.tiny and (self.data is not None or self.task.startswith("reasoning-gym:")):
            raise ValueError("the tiny model knows procedural tasks alone; pass --model for other data")
        if self.data is not None and self.task != "chain":
            raise ValueError(f"got both data and the task {self.task!r}; pass one of them")
        for name in ("eval_data", "map"):
            if getattr(self, name) and self.data is None:
                raise ValueError(f"got {name}, but no data; pass --data, too")
        if self.dual_clip and self.dual_clip <= 1:
            raise ValueError(f"dual_clip is {self.dual_clip}; pass a number above 1, or 0 for none")

    @property
    def tiny(self) -> bool:
        """Whether the model is made on the spot and warmed up on the task's demonstrations."""
        return self.model is None and self.random_init is None

    @property
    def label(self) -> str:
        """The estimator and its settings, in short."""
        settings = ",".join(f"{key}={value}" for key, value in self.options.items())
        return Path(self.estimator).name + (f"({settings})" if settings else "")
