"""`python -m advantages` is the `advantages` command."""

from .cli import command

raise SystemExit(command())
