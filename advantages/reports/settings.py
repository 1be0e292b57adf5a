"""The settings of a run, as a page shows them."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from ..runs.config import GROUPS, Config
from ..runs.select import written
from .page import Markup, cell, table

__all__ = ["settings", "words"]


def settings(config: Config) -> Markup:
    """The settings that are not the default, and all of them on demand."""
    fields = dataclasses.fields(Config)
    changed = [row(field, config) for field in fields if getattr(config, field.name) != _default(field)]
    shown = words(changed) if changed else Markup('<p class="soft">All are the default.</p>')
    groups = {
        title: [row(field, config) for field in fields if field.metadata["group"] == group]
        for group, title in GROUPS.items()
    }
    everything = "".join(f"<h3>{cell(title.capitalize())}</h3>{words(rows)}" for title, rows in groups.items())
    return Markup(f"{shown}<details><summary>All settings</summary>{everything}</details>")


def row(field: "dataclasses.Field[Any]", config: Config) -> tuple[str, str, Markup]:
    """A setting's name, value and meaning."""
    meaning = Markup(f'<span class="soft">{cell(field.metadata["meaning"])}</span>')
    return field.name, written(getattr(config, field.name)), meaning


def _default(field: "dataclasses.Field[Any]") -> Any:
    return {} if field.default is dataclasses.MISSING else field.default


def words(rows: Sequence[Sequence[object]]) -> Markup:
    return table((), rows, numbers=False)
