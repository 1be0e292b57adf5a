"""`python -m advantages` is the `advantages` command."""

from .cli import main

raise SystemExit(main())
