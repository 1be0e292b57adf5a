"""What adapters hold on to in a framework, and what they say where it has moved."""

import warnings
from functools import cache
from typing import Any

from ..host import Host

__all__ = ["MovedHookError", "hook", "warn_outside_tested_range"]


class MovedHookError(RuntimeError):
    """A framework no longer has the hook that an adapter holds on to."""


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
