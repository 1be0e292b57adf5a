"""`advantages adapters`: the frameworks, and which estimators work in each."""

import argparse

from .. import estimators
from ..adapters.hosts import HOSTS

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`advantages adapters` has no options."""


def run(options: argparse.Namespace) -> int:
    """Print what is installed, what was tested, and what each framework lacks."""
    for host in HOSTS.values():
        state = f"{host.version} installed" if host.version else "not installed"
        against = "the real package" if host.real else "a stand-in: not run against the real package"
        print(f"{host.name}: {state}; tested {host.tested}, against {against}")
        lacks = {name: host.lacks(getattr(estimators, name)) for name in estimators.__all__}
        print(f"  work:   {', '.join(name for name, words in lacks.items() if not words)}")
        for name, words in lacks.items():
            if words:
                print(f"  lacks {', '.join(words)}: {name}")
    return 0
