"""From a configuration to what a run starts with: its problems, its model and its tokenizer."""

from pathlib import Path
from typing import Any

from ..runs.config import Config
from ..tasks.chain import ChainTask
from ..tasks.problem import Source
from ..tasks.sources import open_source as open_problems

__all__ = ["load", "open_source"]


def open_source(config: Config) -> Source:
    """The problems that a configuration names.

    Raises:
        ValueError: there is no such task or file, a row does not fit, or too few are left to train on.
    """
    return open_problems(
        config.task,
        data=None if config.data is None else Path(config.data),
        eval_data=None if config.eval_data is None else Path(config.eval_data),
        names=config.map,
        held_out=config.evaluation,
        least=config.prompts,
        seed=config.seed,
    )


def load(config: Config, task: ChainTask | None, device: str) -> tuple[Any, Any]:
    """The model that a configuration names, on its device, and its tokenizer.

    Raises:
        ValueError: the weights or the tokenizer cannot be had, or do not fit.
    """
    from ..policy.load import load as load_model

    return load_model(
        device=device,
        model=config.model,
        random_init=config.random_init,
        arch=config.arch,
        alphabet=None if task is None else task.alphabet,
        precision=config.precision,
        lora_rank=config.lora_rank,
        gradient_checkpointing=config.gradient_checkpointing,
        seed=config.seed,
    )
