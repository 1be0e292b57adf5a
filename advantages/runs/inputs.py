"""The local files that a run reads: where they are, wherever it is resumed from, and what was in them."""

import dataclasses
import importlib.util
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from ..files import sha256
from .config import Config

__all__ = ["check", "fingerprints", "located"]

_FILES = ("data", "eval_data")
_OF_A_MODEL = {".json", ".safetensors", ".model", ".txt", ".jinja", ".tiktoken"}
"""Endings of what is read of a model's folder: configuration, weights, tokenizer, templates."""


def located(config: Config) -> Config:
    """The same settings with absolute paths."""
    changed: dict[str, object] = {}
    for name in (*_FILES, "model"):
        value = getattr(config, name, None)
        if value is not None and (name != "model" or Path(value).expanduser().is_dir()):
            changed[name] = str(Path(value).expanduser().resolve())
    changed["estimator"] = _absolute(config.estimator)
    changed["rewards"] = {_absolute(name): weight for name, weight in config.rewards.items()}
    return dataclasses.replace(config, **changed)  # type: ignore[arg-type]


def fingerprints(configs: Iterable[Config]) -> dict[str, str]:
    """SHA-256 of every local file that runs read, by absolute path: data, model folders, own rewards and estimators."""
    files = dict.fromkeys(file for config in configs for file in _read_by(config))
    return {str(file): sha256(file) for file in files}


def check(found: Mapping[str, str], folder: Path, configs: Iterable[Config] = ()) -> None:
    """Refuse files that are not what they were.

    Args:
        found: what `fingerprints` gave when the runs were started.
        folder: of the runs, for the message.
        configs: of the runs, whose files must all be among `found`, if there are any.

    Raises:
        ValueError: a file was changed, is gone, or is new; the message names it.
    """
    for name, was in found.items():
        if not Path(name).is_file():
            raise ValueError(f"{name} is gone, which {folder} was started with; restore it, or start another run")
        if sha256(Path(name)) != was:
            raise ValueError(
                f"{name} is not the file that {folder} was started with, but has other content; restore it, "
                "or start another run"
            )
    new = [str(file) for config in configs for file in _read_by(config) if str(file) not in found]
    if found and new:
        raise ValueError(f"{new[0]} would be read, which {folder} was started without; remove it, or start another run")


def _read_by(config: Config) -> Iterator[Path]:
    for name in _FILES:
        value = getattr(config, name, None)
        if value is not None and Path(value).is_file():
            yield Path(value)
    if config.model is not None and (folder := Path(config.model).expanduser()).is_dir():
        yield from sorted(file for file in folder.iterdir() if file.is_file() and file.suffix in _OF_A_MODEL)
    for name in (config.estimator, *config.rewards):
        file = _source_of(name)
        if file is not None and file.is_file():
            yield file.resolve()


def _absolute(name: str) -> str:
    """`path/file.py:function` with an absolute path; other names as they are."""
    path, _, function = name.rpartition(":")
    return f"{Path(path).expanduser().resolve()}:{function}" if path.endswith(".py") else name


def _source_of(name: str) -> Path | None:
    """The file of an own function, `path/file.py:function` or `package.module:function`."""
    module, _, function = name.rpartition(":")
    if not module or not function:
        return None
    if module.endswith(".py"):
        return Path(module)
    try:
        found = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    return Path(found.origin) if found is not None and found.origin is not None and found.has_location else None
