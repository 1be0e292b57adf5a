"""Golden vectors: small cases with their advantages as JSON, for implementations in any language to test themselves."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from . import conventions, estimators
from .conventions.table import functions
from .core.definition import Definition, definition_of
from .core.settings import Setting
from .core.vocabulary import INPUTS
from .files import disk_errors, write_whole

__all__ = ["CASES", "TOLERANCE", "VERSION", "as_text", "document", "inputs_of", "names", "says", "schema", "write"]

VERSION = 1
"""Of the format; it rises when a reader of the last one could misread a file."""
CASES = {"estimator": 50, "convention": 20}
TOLERANCE = 1e-9
"""Times the largest number of a case, 1 at least: how far a float64 implementation may be off."""

_ABSENT = 0.15  # of optional words, of holes and of unscored rows: often enough to meet each, seldom enough to read
_VERDICTS, _SCORES, _EQUAL = [0.0, 1.0], [0.0, 1.0, 0.25, 0.75, -1.5, 2.0], [0.7]
_NAMES = [7, -3, 12, 0]
_OF_THE_CALL = ("across", "strict")


def names() -> list[str]:
    """Every estimator, and every convention as framework.function.

    >>> [name for name in names() if name.endswith("maxrl")]
    ['maxrl', 'skyrl.maxrl']
    """
    return [*estimators.__all__, *functions()]


def document(name: str) -> dict[str, Any]:
    """What the file of one estimator or convention says; see `schema`.

    It is the same wherever it is made, but for the twelfth digit of an advantage, which a processor's own last bit can
    tip over.
    """
    function = _function(name)
    d = definition_of(function)
    kind = "convention" if "." in name else "estimator"
    about: dict[str, Any] = {"version": VERSION, "name": name, "kind": kind, "unit": d.unit, "tolerance": TOLERANCE}
    if kind == "convention":
        made = function.__convention__  # type: ignore[attr-defined]
        about |= {"framework_version": made.version, "estimator": definition_of(made.base).name}
    about["defaults"] = {key: _compact(d.settings[key]) for key in _settings(d)}
    random = Random(name)
    cases: list[dict[str, Any]] = []
    while len(cases) < CASES[kind]:
        inputs, chosen = _inputs(d, random), _chosen(d, random)
        try:
            with np.errstate(all="ignore"):
                found = function(**inputs, **chosen)
        except (TypeError, ValueError):  # a setting that needs another one, or larger groups
            continue
        cases.append(
            {
                "inputs": {word: _compact(x.tolist()) for word, x in inputs.items()},
                "settings": {key: _compact(x) for key, x in chosen.items()},
                "advantages": _compact(_rounded(found)),
            }
        )
    return about | {"cases": cases}


def inputs_of(case: dict[str, Any]) -> dict[str, Any]:
    """A case's inputs as numpy arrays: ids as integers, flags as booleans, all else as float64, NaN for null.

    >>> inputs_of({"inputs": {"rewards": [1, None], "groups": [7, 7]}})
    {'rewards': array([ 1., nan]), 'groups': array([7, 7])}
    """
    dtypes = {"ids": np.int64, "flag": np.bool_}
    return {word: np.array(x, dtypes.get(INPUTS[word].kind, np.float64)) for word, x in case["inputs"].items()}


def schema() -> dict[str, Any]:
    """The JSON Schema of the files."""
    number: dict[str, Any] = {"type": ["number", "null"]}
    of_kind = {"real": number, "count": number, "flag": {"type": "boolean"}, "ids": {"type": "integer"}}

    def array(items: Any) -> dict[str, Any]:
        return {"type": "array", "items": items}

    words: dict[str, Any] = {}
    for word, entry in INPUTS.items():
        each = of_kind[entry.kind]
        shaped = array(array(each)) if entry.per_token else array(each)
        if word == "rewards":
            shaped = array({"anyOf": [each, array(each)]})
        words[word] = {"description": f"({', '.join(entry.shape)}) {entry.meaning}", **shaped}
    settings = {"type": "object", "additionalProperties": {"type": ["number", "string", "boolean", "null", "array"]}}
    case = {
        "type": "object",
        "properties": {
            "inputs": {
                "description": "null is NaN: an unscored row, or an entry that the mask hides and that must not be "
                "read. An optional word that is left out was not passed.",
                "type": "object",
                "properties": words,
                "additionalProperties": False,
            },
            "settings": {"description": "those that differ from the defaults", **settings},
            "advantages": {
                "description": "float64 results to twelve digits: one per response, or per response and token",
                **array({"anyOf": [{"type": "number"}, array({"type": "number"})]}),
            },
        },
        "required": ["inputs", "settings", "advantages"],
        "additionalProperties": False,
    }
    properties = {
        "version": {"const": VERSION},
        "name": {"type": "string"},
        "kind": {"enum": [*CASES]},
        "unit": {"enum": ["response", "token"]},
        "tolerance": {"description": "times the largest advantage of a case, 1 at least", "type": "number"},
        "framework_version": {"type": "string"},
        "estimator": {"description": "the estimator that a convention is", "type": "string"},
        "defaults": {"description": "settings where a case says nothing; null is none", **settings},
        "cases": array(case),
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Golden vectors of advantage estimators",
        "type": "object",
        "properties": properties,
        "required": [key for key in properties if key not in ("framework_version", "estimator")],
        "additionalProperties": False,
    }


def write(folder: Path, names: Iterable[str]) -> None:
    """Write the schema, and a file for each of some estimators and conventions, one case on a line.

    Raises:
        ValueError: the folder cannot be written to.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; name a folder")
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "schema.json", json.dumps(schema(), indent=1) + "\n")
    for name in names:
        path, made = folder / f"{name}.json", document(name)
        with disk_errors(path):
            standing = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        if not says(standing, made):
            write_whole(path, as_text(made))


def says(text: str, made: dict[str, Any]) -> bool:
    """Whether a file's text is a document's, letter for letter, but for the twelfth digit of its advantages."""
    try:
        standing = [case["advantages"] for case in json.loads(text)["cases"]]
        both = list(zip(standing, made["cases"], strict=True))
        alike = all(_equal_to_eleven_digits(x, case["advantages"]) for x, case in both)
    except (KeyError, TypeError, ValueError):
        return False
    return alike and text == as_text({**made, "cases": [{**case, "advantages": x} for x, case in both]})


def as_text(document: dict[str, Any]) -> str:
    """A document as JSON, one case on a line."""
    head = json.dumps({key: x for key, x in document.items() if key != "cases"}, indent=1)
    cases = ",\n".join(json.dumps(case, separators=(",", ":")) for case in document["cases"])
    return f'{head[:-2]},\n "cases": [\n{cases}\n]}}\n'


def _function(name: str) -> Callable[..., Any]:
    framework, _, function = name.rpartition(".")
    found: Callable[..., Any] = getattr(getattr(conventions, framework) if framework else estimators, function)
    return found


def _settings(d: Definition) -> list[str]:
    return [key for key in d.settings if key not in _OF_THE_CALL]


# One case


def _inputs(d: Definition, random: Random) -> dict[str, Any]:
    """Inputs that fit together: groups that interleave, masks with holes, rows without a score."""
    dims = {"N": 2 + _below(5, random), "T": 1 + _below(4, random), "K": 2}
    words = [word for word in INPUTS if word in d.needed or (word in d.inputs and random.random() < _ABSENT)]
    made = {}
    for word in words:
        shape = d.shapes.get(word, (INPUTS[word].shape,))[0]
        made[word] = _array(d, word, tuple(dims[dim] for dim in shape), random)
    if "trajectories" in made and "groups" in made:  # a rollout answers one prompt
        made["trajectories"] = made["groups"] * 2 + (made["trajectories"] > 0)
    if "turns" in made:  # a turn is a run of tokens, where rows are laid end to end, too
        axis = None if "trajectories" in made else 1
        made["turns"] = np.sort(made["turns"], axis).reshape(made["turns"].shape)
    if random.random() < _ABSENT * 2:
        lead = made[d.lead]
        lead[tuple(_below(size, random) for size in lead.shape)] = np.nan
    if "mask" in made and random.random() < _ABSENT * 2:
        for word, x in made.items():
            if INPUTS[word].per_token and INPUTS[word].kind == "real":
                x[~made["mask"]] = np.nan
    return made


def _array(d: Definition, word: str, shape: tuple[int, ...], random: Random) -> Any:
    entry, allowed = INPUTS[word], d.ranges.get(word)
    count = int(np.prod(shape))
    if entry.kind == "ids":
        pool: list[Any] = _NAMES[: 1 + _below(3, random)]
    elif entry.kind == "flag":
        pool = [True, True, True, False]
    elif entry.kind == "count":
        pool = [1, 2, 3, 5, 8]
    elif word == "rewards":
        equal = [0.75] if d.promises.spans_batch else _EQUAL  # no truth lies in whitened rounding errors
        pool = [_VERDICTS, _SCORES, equal][_below(10, random) // 4]
    elif word == "token_rewards":
        pool = [0.0, 0.0, 1.0, -0.5, 0.25]
    else:
        low, high = max(entry.range.low, -3.0), min(entry.range.high, 3.0)
        pool = [x for x in (low + (high - low) * k / 24 for k in range(25)) if x in (0.0, 1.0) or low < x < high]
    if allowed is not None and entry.kind == "real":
        pool = [float(x > 0) if allowed.whole else min(max(x, allowed.low), allowed.high) for x in pool]
    dtype = {"ids": np.int64, "flag": np.bool_}.get(entry.kind, np.float64)
    return np.array([pool[_below(len(pool), random)] for _ in range(count)], dtype).reshape(shape)


def _chosen(d: Definition, random: Random) -> dict[str, Any]:
    """Settings away from their defaults: none in half of the cases."""
    if random.random() < 0.5:
        return {}
    chosen = {}
    for key in _settings(d):
        others = [x for x in _choices(d.checks.get(key)) if x != d.settings[key] and (key, x) != ("epsilon", 0.0)]
        if others and random.random() < 0.4:
            chosen[key] = others[_below(len(others), random)]
    return chosen


def _choices(check: Setting | None) -> list[Any]:
    if check is None:
        return []
    numbers = (0.0, 0.25, 0.5, 0.9, 1.0, 2.0, 3.0)
    allowed = [int(x) if r.whole else x for r in check.ranges for x in numbers if not r.whole or x == int(x)]
    found = [x for x in allowed if any(x in r for r in check.ranges)]
    words = [x for x in check.literals if x != "error"]
    return [*words, *found, *([False, True] if bool in check.types else [])]


def _below(limit: int, random: Random) -> int:
    """A whole number below `limit`, by the one method of Python's generator that never changes."""
    return int(random.random() * limit)


# Numbers as text


def _rounded(advantages: Any) -> Any:
    """To twelve digits, and rounding errors to 0: the last digits differ from machine to machine."""
    least = 1e-14 * max(1.0, float(np.abs(advantages).max(initial=0.0)))
    flat = [0.0 if abs(x) < least else float(f"{x:.12g}") for x in advantages.ravel().tolist()]
    return np.reshape(flat, advantages.shape).tolist()


def _equal_to_eleven_digits(one: Any, other: Any) -> bool:
    near = 1e-14 * max(1.0, np.abs(other).max(initial=0.0))
    return np.shape(one) == np.shape(other) and np.allclose(one, other, rtol=1e-11, atol=near)


def _compact(x: Any) -> Any:
    """Whole numbers without a point, and None for NaN."""
    if isinstance(x, (list, tuple)):
        return [_compact(one) for one in x]
    if isinstance(x, float):
        return None if np.isnan(x) else int(x) if x.is_integer() else float(f"{x:.12g}")
    return x
