"""From a name, as command lines and configurations have it, to the object that it names."""

import difflib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

__all__ = ["did_you_mean", "nearest", "resolve"]


def resolve(text: str, *, what: str, built_in: Mapping[str, str] = MappingProxyType({})) -> Callable[..., Any]:
    """The function or class of a name.

    The current folder counts as a place to import modules from, and so does the folder of a file, as in a script.

    Args:
        text: a short name of `built_in`, "package.module:name" or "path/to/file.py:name".
        what: what is named, for messages, such as "estimator".
        built_in: "package.module:name" by short name.

    Raises:
        ValueError: there is no such thing, or it can be neither called nor imported; the message is a sentence.

    >>> resolve("root", what="function", built_in={"root": "math:sqrt"})(9.0)
    3.0
    >>> resolve("rot", what="function", built_in={"root": "math:sqrt"})
    Traceback (most recent call last):
    ValueError: function 'rot': there is none; pass one of root, package.module:name or path/file.py:name; did you \
mean 'root'?
    """
    who = f"{what} {text!r}"
    place, _, name = built_in.get(text, text).rpartition(":")
    if not place or not name:
        wanted = "package.module:name or path/file.py:name"
        if not built_in:
            raise ValueError(f"{who}: names no function in a module; write {wanted}")
        ways = ", ".join([*built_in, wanted])
        raise ValueError(f"{who}: there is none; pass one of {ways}{did_you_mean(text, built_in)}")
    try:
        found: Any = _module_of_file(Path(place)) if place.endswith(".py") else _module(place)
    except ImportError as error:
        raise ValueError(
            f"{who}: cannot be imported ({error}); check the spelling, and that it is installed"
        ) from error
    except (Exception, SystemExit) as error:  # whatever the module does when it is imported
        raise ValueError(f"{who}: cannot be imported ({_described(error)}); mend that first") from error
    for part in name.split("."):
        if not hasattr(found, part):
            known = [key for key in dir(found) if not key.startswith("_")]
            raise ValueError(
                f"{who}: cannot be imported since {place} has no {name!r}; it has {', '.join(known) or 'nothing'}"
                f"{did_you_mean(part, known)}"
            )
        found = getattr(found, part)
    if not callable(found):
        raise ValueError(f"{who}: is a {type(found).__name__}; name a function or a class")
    return found


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known name that is spelt most alike, letters swapped first; None where none is.

    Args:
        name: what was written.
        known: what might be meant.
        cutoff: how much must be alike: 1 is the same, 0 has no letter in common.

    >>> nearest("learning_rat", ["seed", "learning_rate"])
    'learning_rate'
    >>> nearest("gpro", ["mgpo", "hgpo", "gopo", "grpo"])
    'grpo'
    """
    every = list(known)
    swapped = (one for one in every if sorted(one) == sorted(name))
    return next(swapped, None) or next(iter(difflib.get_close_matches(name, every, 1, cutoff)), None)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a sentence: the known name that is spelt most alike, as "; did you mean 'x'?"; nothing where none is.

    >>> did_you_mean("temprature", ["temperature", "reduction"])
    "; did you mean 'temperature'?"
    """
    guess = nearest(name, known)
    return f"; did you mean {guess!r}?" if guess else ""


def _module(name: str) -> Any:
    _search("")
    return importlib.import_module(name)


def _module_of_file(path: Path) -> Any:
    """The module in a file, executed once: under the file's name, so that it can be pickled, if no other has it."""
    file = path.expanduser().resolve()
    if not file.is_file():
        raise ImportError(f"there is no file {file}")
    _search(str(file.parent))
    if file.stem.isidentifier():
        usual = sys.modules.get(file.stem) or importlib.util.find_spec(file.stem)
        origin = getattr(usual, "origin", None) or getattr(usual, "__file__", None)
        if origin == str(file):
            return importlib.import_module(file.stem)
    name = str(file)
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, file)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]


def _search(folder: str) -> None:
    if folder not in sys.path:
        sys.path.insert(0, folder)


def _described(error: BaseException) -> str:
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{error.filename} line {error.lineno}" if isinstance(error, SyntaxError) else f"{place[0]} line {place[1]}"
    message = error.msg if isinstance(error, SyntaxError) else error
    return f"{type(error).__name__}: {message}, {where}"
