"""One diagnosis of several: of a batch's parts, and of all ranks."""

import functools
import math
from collections.abc import Iterable
from dataclasses import fields
from typing import Any

import numpy as np

from ..backends import backend_of, library_of
from .diagnosis import Diagnosis, Standing

__all__ = ["across_ranks", "merged"]


def merged(parts: Iterable[Diagnosis]) -> Diagnosis:
    """The diagnosis of a batch from those of its parts, whose groups are apart.

    Raises:
        ValueError: there are no parts, or something was measured in some of them alone.
    """
    every = list(parts)
    if not every:
        raise ValueError("merged: there are no parts; pass one diagnosis or more")
    return functools.reduce(_two, every)


def _two(x: Diagnosis, y: Diagnosis) -> Diagnosis:
    if x.components != y.components or len(x.means) != len(y.means):
        raise ValueError("merged: the parts have other components, or lengths in some alone; diagnose all alike")
    made: dict[str, Any] = {}
    for field in fields(Diagnosis):
        p, q = getattr(x, field.name), getattr(y, field.name)
        if (p is None) != (q is None):
            raise ValueError(f"merged: {field.name} was measured in some parts alone; diagnose all with the same words")
        match field.name:
            case "components":
                made[field.name] = p
            case "component_squares":
                made[field.name] = tuple(a + b for a, b in zip(p, q, strict=True))
            case "largest" | "heaviest" | "largest_before":
                made[field.name] = None if p is None else max(p, q)
            case "heaviest_cause":
                made[field.name] = p if x.heaviest >= y.heaviest else q
            case "standing":
                pick = [min if name.startswith("least") else max for name in Standing._fields]
                made[field.name] = Standing(*(of(a, b) for of, a, b in zip(pick, p, q, strict=True)))
            case "means" | "products":
                pass
            case _:
                made[field.name] = None if p is None else p + q
    n = x.count + y.count
    gap = np.subtract(y.means, x.means)
    share = y.count / n if n else 0.0
    made["means"] = tuple((np.array(x.means) + gap * share).tolist())
    products = np.array(x.products) + y.products + np.outer(gap, gap) * (x.count * share)
    made["products"] = tuple(map(tuple, products.tolist()))
    return Diagnosis(**made)


def across_ranks(found: Diagnosis, like: Any, across: Any) -> Diagnosis:
    """The diagnosis of all ranks: their numbers are gathered as one array."""
    flat: list[float] = []
    for field in fields(Diagnosis):
        x = getattr(found, field.name)
        if field.name != "components":
            flat.extend(np.array([math.nan if x is None else x], float).ravel().tolist())
    backend = backend_of(like if library_of(like) else np.zeros(0))
    every = backend.to_numpy(backend.gather(backend.from_numpy(np.array(flat), like), across))
    return merged(_unflattened(found, row) for row in every)


def _unflattened(like: Diagnosis, row: Any) -> Diagnosis:
    made: dict[str, Any] = {"components": like.components}
    at = 0
    for field in fields(Diagnosis):
        x = getattr(like, field.name)
        if field.name == "components":
            continue
        shape = np.array([0.0 if x is None else x]).shape
        count = math.prod(shape)
        part = np.asarray(row[at : at + count], float).reshape(shape)[0]
        at += count
        if x is None or part.ndim == 0:
            made[field.name] = None if math.isnan(part) else int(part) if isinstance(x, int) else float(part)
        elif field.name == "standing":
            made[field.name] = Standing(*part.tolist())
        else:
            made[field.name] = tuple(tuple(y) if isinstance(y, list) else y for y in part.tolist())
    return Diagnosis(**made)
