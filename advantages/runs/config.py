"""Everything that a run depends on; every field is an option of `advantages train`."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..tasks.problem import HELD_OUT

__all__ = ["GROUPS", "Config"]

GROUPS = {
    "model": "what is trained",
    "data": "problems and answers",
    "reward": "what a response earns",
    "learning": "reinforcement learning",
    "sampling": "responses",
    "run": "the run",
}


def _option(
    default: Any,
    group: str,
    meaning: str,
    *,
    choices: tuple[str, ...] | None = None,
    least: float | None = None,
    most: float | None = None,
    kind: type | None = None,
) -> Any:
    kind = kind or (str if default is None else type(default))
    facts = {"group": group, "meaning": meaning, "choices": choices, "least": least, "most": most, "kind": kind}
    if isinstance(default, Mapping):
        return dataclasses.field(default_factory=lambda: dict(default), metadata=facts)
    return dataclasses.field(default=default, metadata=facts)


@dataclasses.dataclass(frozen=True)
class Config:
    """A run's settings.

    Raises:
        TypeError, ValueError: a setting has the wrong type or is out of range, or two do not fit together.
    """

    model: str | None = _option(None, "model", "hub id or local folder; without it, a tiny model is made on the spot")
    arch: str = _option("qwen3", "model", "architecture of the tiny model", choices=("qwen3", "phi4-mini"))
    random_init: str | None = _option(
        None,
        "model",
        "a model of true size with random weights, for throughput and memory",
        choices=("Qwen3-1.7B", "Qwen3-4B", "Phi-4-mini"),
    )
    device: str = _option("auto", "model", "cpu, cuda, or auto: an accelerator where there is one")
    precision: str = _option(
        "auto",
        "model",
        "mixed: float32 weights, bfloat16 arithmetic; bfloat16: both; auto: mixed on an accelerator, else float32",
        choices=("auto", "float32", "mixed", "bfloat16"),
    )
    lora_rank: int = _option(0, "model", "rank of LoRA adapters on all linear layers; 0 trains every weight", least=0)
    gradient_checkpointing: bool = _option(False, "model", "recompute activations, for memory")

    task: str = _option(
        "chain", "data", "chain, chain-rare, chain-sharpen, chain-wrong, or reasoning-gym:NAME for its generator NAME"
    )
    data: str | None = _option(None, "data", "JSON Lines or Parquet with prompt, answer and, optionally, solution")
    eval_data: str | None = _option(
        None, "data", "such a file that accuracy is measured on (default: some rows of --data are held out)"
    )
    map: Mapping[str, str] = _option(
        {}, "data", "columns of the files that have other names: question=prompt,gold=answer"
    )
    system: str | None = _option(None, "data", "system prompt of the chat template")
    thinking: bool = _option(True, "data", "let the chat template ask for thinking, where it can")
    max_prompt_tokens: int = _option(1024, "data", "longest prompt; a longer one is an error", least=1)

    rewards: Mapping[str, float] = _option(
        {}, "reward", "weights by component: exact=1,format=0.2,package.module:function=1 (default: the task's own)"
    )
    rouge_weight: float = _option(0.0, "reward", "weight of ROUGE-L against the worked solution", least=0)
    rouge_decay: str = _option(
        "constant", "reward", "how that weight falls over the steps", choices=("constant", "linear", "cosine")
    )
    rouge_part: str = _option("reasoning", "reward", "what ROUGE-L compares", choices=("reasoning", "whole"))

    estimator: str = _option(
        "grpo", "learning", "a name in `advantages`, package.module:function or path/file.py:function"
    )
    options: Mapping[str, Any] = _option({}, "learning", "settings of the estimator")
    steps: int = _option(60, "learning", "steps", least=1)
    prompts: int = _option(16, "learning", "prompts per step", least=1)
    samples: int = _option(8, "learning", "responses per prompt", least=1)
    minibatches: int = _option(2, "learning", "updates per step, each on a share of its responses", least=1)
    passes: int = _option(1, "learning", "times that a step's responses are gone through", least=1)
    micro_batch: int = _option(0, "learning", "responses that go through the model at once; 0: a minibatch", least=0)
    rate: float = _option(
        0.0, "learning", "learning rate; 0: 5e-4 for the tiny model, 1e-6 for others, 1e-5 with LoRA", least=0
    )
    warmup: int = _option(10, "learning", "steps over which the learning rate rises", least=0)
    weight_decay: float = _option(0.0, "learning", "weight decay of AdamW", least=0)
    grad_clip: float = _option(1.0, "learning", "largest norm of the gradient; 0: any", least=0)
    clip_low: float = _option(0.2, "learning", "how far a probability ratio may fall below 1", least=0, most=1)
    clip_high: float = _option(0.2, "learning", "how far it may rise above 1", least=0)
    dual_clip: float = _option(0.0, "learning", "bound of the loss of a negative advantage, above 1; 0: none", least=0)
    ratio: str = _option(
        "token", "learning", "probability ratio per token, or per sequence (GSPO)", choices=("token", "sequence")
    )
    aggregation: str = _option(
        "token",
        "learning",
        "token losses are averaged over tokens, per sequence first, or over a constant",
        choices=("token", "sequence", "constant"),
    )
    kl: float = _option(0.0, "learning", "weight of the KL divergence from the reference model; 0 makes none", least=0)
    truncated: str = _option(
        "keep",
        "learning",
        "responses cut off at the limit are trained on (keep), count in the group's statistics alone (mask), or "
        "nowhere (drop)",
        choices=("keep", "mask", "drop"),
    )
    dynamic_sampling: int = _option(
        0,
        "learning",
        "rounds of sampling that may replace whole groups of equal rewards; 0: none are replaced",
        least=0,
    )

    temperature: float = _option(1.0, "sampling", "of sampling, and of the log-probabilities", least=1e-6)
    top_p: float = _option(1.0, "sampling", "share of the probability that is sampled from", least=1e-6, most=1)
    max_new_tokens: int = _option(0, "sampling", "longest response; 0: the task's longest, or 1024", least=0)
    engine: str = _option(
        "generate",
        "sampling",
        "generate: the model's own; continuous: its continuous batching; vllm: beside the model, in one process",
        choices=("generate", "continuous", "vllm"),
    )
    engine_memory: float = _option(0.3, "sampling", "share of the memory that vllm may take", least=0.01, most=0.95)
    importance_cap: float = _option(
        2.0, "sampling", "largest weight that corrects for an engine whose probabilities differ", least=1
    )

    seed: int = _option(0, "run", "of the weights, the problems and the sampling", least=0)
    evaluation: int | None = _option(
        None,
        "run",
        "problems that accuracy is measured on, before and after; 0: none (default: 256; of --data a tenth, and at "
        "most that; all of --eval-data)",
        least=0,
        kind=int,
    )
    save_every: int = _option(10, "run", "steps between checkpoints", least=1)
    keep: int = _option(2, "run", "checkpoints that are kept, the last ones", least=1)
    threads: int = _option(1, "run", "threads of torch on a CPU; one is fastest for the tiny model", least=1)

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            _check(field, getattr(self, field.name))
        if not self.rate:  # recorded as what it is
            object.__setattr__(self, "rate", 5e-4 if self.tiny else 1e-5 if self.lora_rank else 1e-6)
        if self.evaluation is None and self.data is None:
            object.__setattr__(self, "evaluation", HELD_OUT)
        if self.prompts * self.samples % self.minibatches:
            raise ValueError(
                f"{self.prompts} prompts of {self.samples} samples do not divide into {self.minibatches} "
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


def _check(field: "dataclasses.Field[Any]", value: Any) -> None:
    facts = field.metadata
    if value is None and field.default is None:
        return
    expected = facts["kind"]
    if expected is float and type(value) is int:
        expected = int
    if field.default is not dataclasses.MISSING and type(value) is not expected:
        raise TypeError(f"{field.name} is a {type(value).__name__}; pass a {expected.__name__}")
    if facts["choices"] and value not in facts["choices"]:
        raise ValueError(f"{field.name} is {value!r}; pass one of {', '.join(facts['choices'])}")
    if facts["least"] is not None and not value >= facts["least"]:
        raise ValueError(f"{field.name} is {value!r}; pass a number of at least {facts['least']:g}")
    if facts["most"] is not None and not value <= facts["most"]:
        raise ValueError(f"{field.name} is {value!r}; pass a number of at most {facts['most']:g}")
