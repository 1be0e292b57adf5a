"""Models and tokenizers: tiny ones made on the spot, true shapes with random weights, and real weights."""

from collections.abc import Mapping
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

from .tiny import character_tokenizer, tiny_model

__all__ = ["byte_tokenizer", "load", "pick_device", "shape_of", "without_dropout"]

_NOISE = ("dropout", "_pdrop", "_drop", "layerdrop", "jitter_noise")
"""What transformers calls rates of noise in training."""


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
        raise ValueError(f"device is {device!r}, which is not on this machine; pass --device cpu")
    return device


def load(
    *,
    device: str,
    model: str | None = None,
    random_init: str | None = None,
    arch: str = "qwen3",
    alphabet: str | None = None,
    precision: str = "float32",
    lora_rank: int = 0,
    gradient_checkpointing: bool = False,
    seed: int = 0,
) -> tuple[Any, Any]:
    """The model, on its device and without dropout, and its tokenizer.

    Args:
        device: where it goes.
        model: hub id or local folder.
        random_init: a model of true size with random weights, where there is no `model`; see `shape_of`.
        arch: architecture of the tiny model, where there is neither.
        alphabet: characters of the tiny model's tokenizer.
        precision: "bfloat16", or anything else for float32 weights; mixed arithmetic is the trainer's business.
        lora_rank: rank of LoRA adapters on all linear layers; 0: none.
        gradient_checkpointing: whether activations are computed anew in the backward pass.
        seed: of random weights.

    Raises:
        ValueError: the weights or the tokenizer cannot be had, or do not fit.
    """
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    if model is not None:
        made, tokenizer = _pretrained(model, dtype)
    elif random_init is not None:
        tokenizer = byte_tokenizer()
        torch.manual_seed(seed)
        with torch.device(device):
            made = AutoModelForCausalLM.from_config(shape_of(random_init), dtype=dtype)
    elif alphabet is not None:
        tokenizer = character_tokenizer(alphabet)
        made = tiny_model(arch, tokenizer, seed=seed)
    else:
        raise ValueError("the tiny model knows an alphabet alone; pass alphabet, or model")
    made = made.to(device)
    without_dropout(made)
    if lora_rank:
        made = _with_lora(made, lora_rank)
    if gradient_checkpointing:
        made.gradient_checkpointing_enable({"use_reentrant": False})
        if lora_rank:
            made.enable_input_require_grads()
    return made, tokenizer


def without_dropout(model: Any) -> None:
    """Switch off what makes the model of an update another one than the model that sampled: noise on its activations.

    Modules of dropout, rates that a layer keeps or looks up in its configuration, and jitter of routers.
    """
    for module in model.modules():
        if isinstance(module, torch.nn.modules.dropout._DropoutNd):
            module.p = 0.0
        for holder in filter(None, (module, getattr(module, "config", None))):
            for name, rate in list(vars(holder).items()):
                if isinstance(rate, float) and any(word in name for word in _NOISE):
                    setattr(holder, name, 0.0)


def _pretrained(name: str, dtype: torch.dtype) -> tuple[Any, Any]:
    if name.startswith((".", "/", "~")) and not Path(name).expanduser().is_dir():
        raise ValueError(f"model is {name!r}, but there is no such folder; pass a folder or a hub id")
    name = str(Path(name).expanduser()) if name.startswith("~") else name
    try:
        config = AutoConfig.from_pretrained(name, trust_remote_code=False)
        tokenizer = AutoTokenizer.from_pretrained(name, padding_side="left", trust_remote_code=False)
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            name,
            config=config,
            dtype=dtype,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are refused below, by name
        )
        model, found = loaded
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # what a damaged folder leads transformers to is of many kinds
        reason = " ".join(str(error).split())
        raise ValueError(
            f"model {name!r} cannot be loaded ({reason[:300]}); pass a folder with config.json, tokenizer and "
            "*.safetensors, or a hub id where there is a network"
        ) from None
    _check_whole(name, found)
    if tokenizer.pad_token_id is None:
        if tokenizer.eos_token_id is None:
            raise ValueError(
                f"the tokenizer of {name!r} has neither a pad token nor an end token; "
                "set tokenizer.pad_token and save it again"
            )
        tokenizer.pad_token = tokenizer.eos_token  # only masks tell padding from text, so that any token does
    known = model.get_input_embeddings().num_embeddings
    if tokenizer.pad_token_id >= known:
        raise ValueError(
            f"the tokenizer of {name!r} pads with token {tokenizer.pad_token_id}, but the model knows {known} tokens; "
            "set tokenizer.pad_token to one of them and save it again"
        )
    return model, tokenizer


def _check_whole(name: str, found: Mapping[str, Any]) -> None:
    """Refuse a model of which transformers has made up weights, with no more than a warning."""
    without = sorted(found["missing_keys"])
    other = sorted(key for key, *_ in found["mismatched_keys"])
    for keys, what in ((without, "has no"), (other, "has another shape than config.json says of")):
        if keys:
            more = f", and so of {len(keys) - 1} more" if keys[1:] else ""
            raise ValueError(
                f"model {name!r} {what} {keys[0]}{more}, which would start at random; pass the whole model"
            )


def _with_lora(model: Any, rank: int) -> Any:
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError:
        raise ValueError("lora_rank needs peft; pip install peft") from None
    return get_peft_model(
        model, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")
    )
