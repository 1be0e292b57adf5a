"""Models and tokenizers: tiny ones made on the spot, true shapes with random weights, and real weights."""

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    Phi3Config,
    PreTrainedTokenizerFast,
    Qwen3Config,
)

from ..runs.config import Config
from ..tasks.chain import ChainTask
from .tiny import character_tokenizer, tiny_model

__all__ = ["byte_tokenizer", "end_tokens", "load", "pick_device", "shape_of"]


def shape_of(preset: str) -> Any:
    """The published configuration of a model: "Qwen3-1.7B", "Qwen3-4B" or "Phi-4-mini"."""
    if preset == "Phi-4-mini":
        return Phi3Config(
            vocab_size=200_064,
            hidden_size=3072,
            intermediate_size=8192,
            num_hidden_layers=32,
            num_attention_heads=24,
            num_key_value_heads=8,
            max_position_embeddings=4096,
            original_max_position_embeddings=4096,
            rope_parameters={"rope_type": "default", "rope_theta": 10_000.0, "partial_rotary_factor": 0.75},
            tie_word_embeddings=True,
            pad_token_id=0,
            eos_token_id=1,
            bos_token_id=None,
        )
    sizes = {"Qwen3-1.7B": (28, 2048, 16, 6144), "Qwen3-4B": (36, 2560, 32, 9728)}
    layers, hidden, heads, intermediate = sizes[preset]
    return Qwen3Config(
        vocab_size=151_936,
        hidden_size=hidden,
        intermediate_size=intermediate,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=8,
        head_dim=128,
        max_position_embeddings=40_960,
        rope_parameters={"rope_type": "default", "rope_theta": 1_000_000.0},
        tie_word_embeddings=True,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=None,
    )


def byte_tokenizer() -> Any:
    """A tokenizer with one token per byte, which can read any text and pads on the left."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate(["<pad>", "<eos>", *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", padding_side="left"
    )


def pick_device(device: str) -> str:
    """The device that `auto` stands for, or the one that was asked for.

    Raises:
        ValueError: it is not there.
    """
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    if device == "auto":
        return accelerator.type if accelerator else "cpu"
    if device.partition(":")[0] not in ("cpu", accelerator.type if accelerator else "cpu"):
        raise ValueError(f"train: device is {device!r}, which is not on this machine; pass --device cpu")
    return device


def weights_dtype(config: Config, device: str) -> torch.dtype:
    """Of the weights; arithmetic in mixed precision is the trainer's business."""
    return torch.bfloat16 if config.precision == "bfloat16" else torch.float32


def load(config: Config, task: ChainTask | None, device: str) -> tuple[Any, Any]:
    """The model, on its device, and its tokenizer.

    Raises:
        ValueError: the weights or the tokenizer cannot be had, or do not fit.
    """
    if config.tiny:
        if task is None:
            raise ValueError("train: the tiny model knows procedural tasks alone; pass --model for other data")
        tokenizer = character_tokenizer(task.alphabet)
        model = tiny_model(config.arch, tokenizer, seed=config.seed)
    elif config.random_init:
        tokenizer = byte_tokenizer()
        torch.manual_seed(config.seed)
        with torch.device(device):
            model = AutoModelForCausalLM.from_config(shape_of(config.random_init), dtype=weights_dtype(config, device))
    else:
        model, tokenizer = _pretrained(str(config.model), weights_dtype(config, device))
    model = model.to(device)
    if config.lora_rank:
        model = _with_lora(model, config.lora_rank)
    if config.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
        if config.lora_rank:
            model.enable_input_require_grads()
    return model, tokenizer


def _pretrained(name: str, dtype: torch.dtype) -> tuple[Any, Any]:
    if name.startswith((".", "/", "~")) and not Path(name).expanduser().is_dir():
        raise ValueError(f"train: model is {name!r}, but there is no such folder; pass a folder or a hub id")
    name = str(Path(name).expanduser()) if name.startswith("~") else name
    try:
        config = AutoConfig.from_pretrained(name, trust_remote_code=False)
        tokenizer = AutoTokenizer.from_pretrained(name, padding_side="left", trust_remote_code=False)
        model = AutoModelForCausalLM.from_pretrained(
            name, config=config, dtype=dtype, use_safetensors=True, trust_remote_code=False
        )
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"train: model {name!r} cannot be loaded ({reason[:300]}); pass a folder with config.json, tokenizer and "
            "*.safetensors, or a hub id where there is a network"
        ) from None
    if tokenizer.pad_token_id is None:
        if tokenizer.eos_token_id is None:
            raise ValueError(
                f"train: the tokenizer of {name!r} has neither a pad token nor an end token; "
                "set tokenizer.pad_token and save it again"
            )
        tokenizer.pad_token = tokenizer.eos_token  # only masks tell padding from text, so that any token does
    return model, tokenizer


def _with_lora(model: Any, rank: int) -> Any:
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError:
        raise ValueError("train: lora_rank needs peft; pip install peft") from None
    return get_peft_model(
        model, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")
    )


def end_tokens(model: Any, tokenizer: Any) -> list[int]:
    """Ids of the tokens that end a response."""
    ends = model.generation_config.eos_token_id
    ends = [] if ends is None else [ends] if isinstance(ends, int) else list(ends)
    own = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    return list(dict.fromkeys([*ends, *own]))
