"""The settings of a run, as a page shows them."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from ..runs.config import GROUPS, Config
from ..runs.select import written
from .page import Markup, part, table

__all__ = ["settings", "words"]


def settings(config: Config) -> Markup:
    """The settings that are not the default, and all of them on demand."""
    fields = dataclasses.fields(Config)
    changed = [row(field, config) for field in fields if getattr(config, field.name) != _default(field)]
    shown = words(changed) if changed else part("soft", "All are the default.")
    groups = {
        title: [row(field, config) for field in fields if field.metadata["group"] == group]
        for group, title in GROUPS.items()
    }
    everything = Markup("").join(part("group", title.capitalize(), words(rows)) for title, rows in groups.items())
    return shown + part("details", "All settings", everything)


def row(field: "dataclasses.Field[Any]", config: Config) -> tuple[str, str, Markup]:
    """A setting's name, value and meaning."""
    meaning = part("soft", field.metadata["meaning"])
    return field.name, written(getattr(config, field.name)), meaning


def _default(field: "dataclasses.Field[Any]") -> Any:
    return {} if field.default is dataclasses.MISSING else field.default


def words(rows: Sequence[Sequence[object]]) -> Markup:
    return table((), rows, numbers=False)
