"""What all adapters share: a framework's batch becomes the vocabulary, and an estimator is called on it.

An adapter says which words its framework can supply, as functions that are called only for the words that an
estimator takes. No adapter contains arithmetic of an estimator.
"""

import importlib
import importlib.metadata
import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any, NamedTuple

from ..core.definition import Definition, definition_of
from ..core.vocabulary import INPUTS

__all__ = ["HOSTS", "Host", "MovedHookError", "check", "estimate", "hook", "resolve", "warn_outside_tested_range"]

Estimator = Callable[..., Any]


class MovedHookError(RuntimeError):
    """A framework no longer has the hook that an adapter holds on to."""


class Host(NamedTuple):
    """A framework, and what it can hand to an estimator."""

    name: str
    distribution: str
    tested: str
    """The versions that the adapter was tested with."""
    words: frozenset[str]
    """Words of the vocabulary that it can supply."""
    real: bool
    """Whether the tests run against the real package, not a stand-in."""
    components: bool = True
    """Whether it can hand over the rewards by component, not their sum alone."""

    @property
    def version(self) -> str | None:
        """The installed version, or None."""
        try:
            return importlib.metadata.version(self.distribution)
        except importlib.metadata.PackageNotFoundError:
            return None

    def lacks(self, estimator: Estimator) -> list[str]:
        """Inputs that an estimator needs and the framework cannot supply."""
        d = definition_of(estimator)
        sums = [] if self.components or ("N", "K") not in d.shapes.get("rewards", ()) else ["rewards by component"]
        return [name for name in d.needed if name not in self.words] + sums


_RESPONSES = frozenset({"rewards", "groups", "mask", "lengths", "valid", "logprobs"})
_TOKENS = frozenset({"token_rewards", "token_logprobs", "ref_token_logprobs"})

HOSTS: dict[str, Host] = {
    host.name: host
    for host in (
        Host("TRL", "trl", ">=1.16,<1.17", _RESPONSES | _TOKENS, real=True),
        Host("verl", "verl", ">=0.9.1,<0.10", _RESPONSES | _TOKENS | {"values", "trajectories"}, real=True),
        Host("OpenRLHF", "openrlhf", ">=0.11.2,<0.12", _RESPONSES | _TOKENS | {"values"}, real=True),
        Host(
            "tunix",
            "google-tunix",
            ">=0.1.7,<0.2",
            frozenset({"rewards", "groups", "valid"}),
            real=True,
            components=False,
        ),
        Host("tunix PPO", "google-tunix", ">=0.1.7,<0.2", frozenset({"token_rewards", "values", "mask"}), real=True),
        Host("SkyRL", "skyrl", "==0.3.0", _RESPONSES | _TOKENS | {"values"}, real=True, components=False),
        Host("slime", "slime", "==0.3.1", _RESPONSES - {"mask"} | {"trajectories"}, real=False, components=False),
    )
}


def resolve(advantage: str | Estimator) -> Estimator:
    """The estimator that a configuration names.

    Args:
        advantage: a name in `advantages`, "package.module:function", or the function itself.

    Raises:
        TypeError: it is neither a string nor callable.
        ValueError: there is no such estimator.

    >>> resolve("lampo").__name__
    'lampo'
    """
    if callable(advantage):
        return advantage
    if not isinstance(advantage, str):
        raise TypeError(
            f"advantage is a {type(advantage).__name__}; pass a name, 'package.module:function' or a function"
        )
    from .. import estimators

    if advantage in estimators.__all__:
        found: Estimator = getattr(estimators, advantage)
        return found
    module_name, _, name = advantage.partition(":")
    if not name:
        raise ValueError(
            f"advantage is {advantage!r}; pass one of {', '.join(estimators.__all__)}, or 'package.module:function'"
        )
    try:
        found = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(
            f"advantage is {advantage!r}, which cannot be imported ({error}); check the spelling"
        ) from None
    return found


def check(
    estimator: Estimator, host: Host, options: Mapping[str, Any], words: Iterable[str] | None = None
) -> Definition:
    """Refuse, before a run starts, an estimator that the framework cannot serve, or options that it does not take.

    Args:
        words: what the framework can supply in this configuration; all that it ever can by default.

    Raises:
        TypeError: an input cannot be supplied, or an option is unknown or of the wrong type.
        ValueError: an option is out of range.
    """
    d = definition_of(estimator)
    supplied = host.words if words is None else frozenset(words)
    for name in d.needed:
        if name not in supplied:
            raise TypeError(
                f"{d.name} needs {name} ({INPUTS[name].meaning}), which {host.name} does not hand to estimators here; "
                f"it hands {', '.join(word for word in INPUTS if word in supplied)}"
            )
    if "rewards by component" in host.lacks(estimator):
        raise TypeError(f"{d.name} needs rewards by component, but {host.name} hands their sum to estimators")
    for name, value in options.items():
        if name not in d.settings or name == "group_size":
            settings = ", ".join(key for key in d.settings if key != "group_size")
            raise TypeError(f"{d.name}: takes no option {name!r}; options are {settings}")
        if name in d.checks:
            d.checks[name].check(d.name, name, value)
    return d


def estimate(estimator: Estimator, supply: Mapping[str, Callable[[], Any]], options: Mapping[str, Any]) -> Any:
    """Call an estimator with the words of a batch that it takes.

    Args:
        supply: for each word that the framework can supply, a function that does; only those that the estimator
            takes are called. One that returns None says that this batch has no such word.
        options: settings of the estimator.
    """
    d = definition_of(estimator)
    batch = {name: supply[name]() for name in d.inputs if name in supply}
    return estimator(**{name: x for name, x in batch.items() if x is not None}, **options)


def hook(owner: Any, path: str) -> Any:
    """The object at a dotted path, which an adapter replaces or calls.

    Raises:
        MovedHookError: the framework has moved or renamed it.
    """
    found = owner
    for name in path.split("."):
        if not hasattr(found, name):
            where = getattr(owner, "__module__", None) or getattr(owner, "__name__", repr(owner))
            raise MovedHookError(
                f"{where} has no {path}, which the adapter holds on to; install a version in the tested range "
                "(see `advantages adapters`), or report this"
            )
        found = getattr(found, name)
    return found


@cache
def warn_outside_tested_range(host: Host) -> None:
    """Warn, once per process, that the installed version of a framework was not tested."""
    from packaging.specifiers import SpecifierSet  # every framework depends on it

    version = host.version
    if version is not None and not SpecifierSet(host.tested).contains(version, prereleases=True):
        warnings.warn(
            f"{host.name} {version} is outside the range that the adapter was tested with, {host.tested}", stacklevel=3
        )
