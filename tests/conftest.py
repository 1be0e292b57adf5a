"""What all tests share.

Hypothesis draws the same examples on every machine, and slow machines are no failure. `make test` draws few examples,
`make test-thorough` many: `pytest --hypothesis-profile=thorough`.
"""

import gc
import os

import pytest
from hypothesis import settings

settings.register_profile("reproducible", deadline=None, derandomize=True, max_examples=8)
settings.register_profile("thorough", deadline=None, derandomize=True, max_examples=300)
settings.load_profile("reproducible")


def pytest_collection_finish():
    """Compilers make millions of objects: as Python has it, the collector takes a twelfth of the time of all tests.

    It goes through none of what is imported by now, and is called more rarely.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


@pytest.fixture
def two_devices():
    """The environment of a process in which JAX has two devices on the CPU, and compiles as it does in this one."""
    flags = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=2"
    return {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}


@pytest.fixture(scope="session")
def save_tiny():
    """A function that writes a folder like a hub's: a small Qwen3 of random weights, and a tokenizer of bytes."""

    def save(folder, tokenizer=None, *, seed=0, layers=1, chat_template=None, **more):
        import torch
        from transformers import Qwen3Config, Qwen3ForCausalLM

        from advantages.policy.load import byte_tokenizer

        tokenizer = byte_tokenizer() if tokenizer is None else tokenizer
        if chat_template is not None:
            tokenizer.chat_template = chat_template
        shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": layers, "num_attention_heads": 2}
        shape |= {"num_key_value_heads": 1, "head_dim": 16}
        tokens = {"vocab_size": len(tokenizer), "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": None}
        torch.manual_seed(seed)
        Qwen3ForCausalLM(Qwen3Config(**shape, **tokens, **more)).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder

    return save


@pytest.fixture(scope="session")
def pretrained(tmp_path_factory, save_tiny):
    """Such a folder with a chat template, for all tests; nobody writes to it."""
    template = (
        "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% if not enable_thinking %}<think></think>{% endif %}{% endif %}"
    )
    return save_tiny(tmp_path_factory.mktemp("pretrained"), layers=2, chat_template=template)
