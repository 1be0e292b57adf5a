"""`advantages adapters`: the frameworks, and which estimators work in each."""

import argparse
import json

from .. import estimators
from ..adapters.hosts import HOSTS

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `advantages adapters`."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Print what is installed, what was tested, and what each framework lacks."""
    lacking = {
        host.name: {name: host.lacks(getattr(estimators, name)) for name in estimators.__all__}
        for host in HOSTS.values()
    }
    if options.json:
        known = {
            host.name: {"version": host.version, "tested": host.tested, "real": host.real, "lacks": lacking[host.name]}
            for host in HOSTS.values()
        }
        print(json.dumps({"adapters": known}))
        return 0
    for host in HOSTS.values():
        state = f"{host.version} installed" if host.version else "not installed"
        against = "the real package" if host.real else "a stand-in: not run against the real package"
        print(f"{host.name}: {state}; tested {host.tested}, against {against}")
        lacks = lacking[host.name]
        print(f"  work:   {', '.join(name for name, words in lacks.items() if not words)}")
        for name, words in lacks.items():
            if words:
                print(f"  lacks {', '.join(words)}: {name}")
    return 0
