"""The arithmetic of each framework, as settings of our estimators: `from advantages.conventions import verl`."""

import importlib
from typing import Any

__all__ = [
    "areal",
    "art",
    "miles",
    "ms_swift",
    "nemo_rl",
    "open_instruct",
    "openrlhf",
    "prime_rl",
    "rlax",
    "rllm",
    "roll",
    "skyrl",
    "slime",
    "tinker",
    "torchrl",
    "trinity",
    "trl",
    "tunix",
    "verl",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return importlib.import_module(f".{name}", __name__)
    from ..core.naming import did_you_mean

    raise AttributeError(
        f"module {__name__!r} has no framework {name!r}; frameworks are {', '.join(__all__)}"
        f"{did_you_mean(name, __all__)}"
    )


def __dir__() -> list[str]:
    return [*__all__]
