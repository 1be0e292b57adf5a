"""A tiny language model with random weights, and a character tokenizer, both made on the spot."""

from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import Phi3Config, Phi3ForCausalLM, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

__all__ = ["ARCHITECTURES", "character_tokenizer", "tiny_model"]

ARCHITECTURES = ("qwen3", "phi4-mini")


def character_tokenizer(alphabet: str) -> Any:
    """A tokenizer with one token per character, which pads on the left.

    >>> tokenizer = character_tokenizer("ab")
    >>> tokenizer("ab").input_ids, tokenizer.decode([2, 3, 1], skip_special_tokens=True)
    ([2, 3], 'ab')
    """
    vocabulary = {token: number for number, token in enumerate(["<pad>", "<eos>", *alphabet])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", padding_side="left"
    )


def tiny_model(architecture: str, tokenizer: Any, *, seed: int) -> Any:
    """About 100,000 parameters of the Qwen3 architecture, or of Phi-4-mini's, with random weights.

    The wide `initializer_range` matters: at this size the usual 0.02 hardly learns.
    """
    shape = {
        "vocab_size": len(tokenizer),
        "hidden_size": 64,
        "intermediate_size": 192,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "tie_word_embeddings": True,
        "initializer_range": 0.1,
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": None,
    }
    torch.manual_seed(seed)
    if architecture == "qwen3":
        return Qwen3ForCausalLM(Qwen3Config(head_dim=16, **shape))
    if architecture == "phi4-mini":
        rope = {"rope_type": "default", "rope_theta": 10_000.0, "partial_rotary_factor": 0.75}
        return Phi3ForCausalLM(Phi3Config(rope_parameters=rope, original_max_position_embeddings=256, **shape))
    raise ValueError(f"arch is {architecture!r}; pass one of {', '.join(ARCHITECTURES)}")
