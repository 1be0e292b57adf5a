"""Where two estimators part on a user's own batch, and at which stage."""

import importlib
import inspect
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from . import conventions, estimators
from .conventions.convention import Convention
from .conventions.rlax import gae
from .core.definition import definition_of
from .core.naming import did_you_mean
from .core.vocabulary import INPUTS
from .estimators import normalized
from .host import resolve
from .ops import to_tokens, whiten
from .tasks.files import read_rows

__all__ = [
    "Difference",
    "Exchange",
    "batch_of_arrays",
    "batch_of_rows",
    "diff",
    "named",
    "read_arrays",
    "read_batch",
    "words_of_columns",
]

Batch = Mapping[str, Any]
_NONE: Mapping[str, str] = MappingProxyType({})

STAGE = {
    "grouping": "grouping",
    "unscored": "unscored rows",
    "center": "centre",
    "scale": "scale",
    "ddof": "scale",
    "epsilon": "epsilon",
    "singleton": "singleton",
    "min_scored": "singleton",
    "whitening": "whitening",
    "whitening_epsilon": "whitening",
    "weight": "whitening",
    "baseline": "centre",
    "discount": "discount",
    "lambda_": "lambda",
    "holes": "mask",
    "masked_rewards": "token placement",
}
"""What a setting is part of."""

_RESPONSES = {
    "grpo": ("group", "group"),
    "dr_grpo": ("group", "none"),
    "rloo": ("others", "none"),
    "reinforce": ("none", "none"),
    "reinforce_plus_plus_baseline": ("group", "none"),
}
"""Centre and scale of the estimators over responses."""


class Exchange(NamedTuple):
    """One setting of the first estimator, exchanged for the second's."""

    stage: str
    setting: str
    first: Any
    second: Any
    rows: list[int]
    """Rows that it moves."""
    left: float
    """The largest difference that is left."""


class Difference(NamedTuple):
    """What `diff` found; `exchanges` is None where the two are no settings of one formula."""

    first: str
    second: str
    advantages: tuple[Any, Any]
    rows: list[int]
    largest: float
    exchanges: list[Exchange] | None
    explained: bool
    """Whether one exchange alone makes the second of the first."""
    remarks: list[str]


def named(name: str) -> Callable[..., Any]:
    """The estimator of a name: "verl.grpo", a convention; "grpo", ours; or "package.module:function".

    Raises:
        ValueError: there is none; the message says the nearest.
    """
    framework, _, function = name.removeprefix("advantages.conventions.").replace(":", ".").partition(".")
    if framework not in conventions.__all__ or not function:
        if "." in name and ":" not in name and (guess := did_you_mean(framework, conventions.__all__)):
            raise ValueError(f"{name}: there is no framework {framework!r}{guess}")
        return resolve(name)
    module = importlib.import_module(f"advantages.conventions.{framework}")
    if function not in module.__all__:
        raise ValueError(
            f"{name}: {framework} has {', '.join(module.__all__)}, but no {function!r}"
            f"{did_you_mean(function, module.__all__)}"
        )
    found: Callable[..., Any] = getattr(module, function)
    return found


def diff(first: Callable[..., Any], second: Callable[..., Any], batch: Batch, *, tolerance: float = 1e-5) -> Difference:
    """Two estimators on one batch: the rows that differ, and which stage explains it.

    One setting of the first at a time is exchanged for the second's, on the same batch.

    Args:
        first, second: estimators, conventions for instance.
        batch: columns by word of the vocabulary, as numpy arrays.
        tolerance: differences up to it, relative to the largest advantage, are none.

    Raises:
        ValueError: the batch lacks a word that one of the two needs.
    """
    names = [definition_of(function).name for function in (first, second)]
    for function in (first, second):
        _check(function, batch)
    mixed = len({definition_of(function).per_token for function in (first, second)}) > 1
    remarks: list[str] = []
    recipes = [_recipe(function) for function in (first, second)]
    found = []
    for function in (first, second):
        given, said = _grouped(function, batch)
        remarks += said
        d = definition_of(function)
        a = np.asarray(function(**{word: given[word] for word in d.inputs if word in given}))
        found.append(_on_tokens(a, batch) if mixed else a)
    scale = max(1.0, *(float(np.abs(a).max(initial=0.0)) for a in found))

    def apart(a: Any, b: Any) -> list[int]:
        gap = np.abs(a - b).reshape(len(a), -1).max(1, initial=0.0)
        return [int(row) for row in np.flatnonzero(gap > tolerance * scale)]

    def numbers(recipe: Mapping[str, Any]) -> Any:
        a = _made(recipe, batch)
        return _on_tokens(a, batch) if mixed and a.ndim == 1 else a

    rows = apart(*found)
    largest = float(np.abs(found[0] - found[1]).max(initial=0.0))
    mine, theirs = recipes
    exchanges = None
    if mine is not None and theirs is not None and mine["formula"] == theirs["formula"]:
        known = not apart(numbers(mine), found[0]) and not apart(numbers(theirs), found[1])
        if known:
            exchanges = []
            for setting, value in theirs.items():
                if value != mine[setting]:
                    moved = numbers({**mine, setting: value})
                    if changed := apart(moved, found[0]):
                        left = float(np.abs(moved - found[1]).max(initial=0.0))
                        exchanges.append(Exchange(STAGE[setting], setting, mine[setting], value, changed, left))
            exchanges.sort(key=lambda exchange: exchange.left)
    explained = any(exchange.left <= tolerance * scale for exchange in exchanges or ())
    return Difference(names[0], names[1], (found[0], found[1]), rows, largest, exchanges, explained, remarks)


def _check(function: Callable[..., Any], batch: Batch) -> None:
    d = definition_of(function)
    for word in d.needed:
        if word not in batch:
            raise ValueError(
                f"{d.name} needs {word}: {INPUTS[word].meaning}; the file has {', '.join(batch) or 'no word'}; add "
                f"it, or name the column that is it: --map OWN={word}"
            )


def _convention(function: Callable[..., Any]) -> Convention | None:
    return getattr(function, "__convention__", None)


def _blocks(batch: Batch) -> Any:
    """Neighbouring rows as groups, or None where the groups are not of one size."""
    sizes = set(np.unique(np.asarray(batch["groups"]), return_counts=True)[1].tolist())
    return np.arange(len(batch["groups"])) // sizes.pop() if len(sizes) == 1 else None


def _grouped(function: Callable[..., Any], batch: Batch) -> tuple[Batch, list[str]]:
    """The batch as a framework groups it."""
    made = _convention(function)
    if made is None or not made.by_position or "groups" not in definition_of(function).own:
        return batch, []
    blocks = _blocks(batch)
    if blocks is None:
        return batch, [
            f"{made.framework} takes neighbouring rows for groups of one size, which these are not: it cannot have "
            "this batch, and is given the groups by id"
        ]
    return {**batch, "groups": blocks}, []


def _on_tokens(a: Any, batch: Batch) -> Any:
    if a.ndim == 2:
        return a
    if "mask" not in batch:
        raise ValueError("one of the two has advantages of tokens, the other of responses; add a mask to compare them")
    return to_tokens(a, batch["mask"])


def _recipe(function: Callable[..., Any]) -> dict[str, Any] | None:
    """An estimator as the settings of one general formula, or None where it is none of that."""
    made = _convention(function)
    base = definition_of(made.base if made else function)
    if not made and getattr(estimators, base.name, None) is not function:
        return None
    s = definition_of(function).settings
    whitening = {"whitening": s.get("whitening", "none"), "whitening_epsilon": 0.0, "weight": "tokens"}
    if base.name in ("reinforce_plus_plus", "reinforce_plus_plus_baseline"):
        word = "sample" if s["ddof"] == 1 else "population"
        whitening = {"whitening": word, "whitening_epsilon": s["epsilon"], "weight": s["weight"]}
    if base.name in ("gae", "reinforce_plus_plus"):
        return {
            "formula": "tokens",
            "baseline": "values" if base.name == "gae" else "none",
            "discount": s["discount"],
            "lambda_": s.get("lambda_", 1.0),
            "holes": s.get("holes", "skipped"),
            "masked_rewards": s.get("masked_rewards", "carried"),
            **whitening,
        }
    if base.name != "normalized" and base.name not in _RESPONSES:
        return None
    center, scale = _RESPONSES[base.name] if base.name in _RESPONSES else (s["center"], s["scale"])
    scaled = base.name in ("grpo", "normalized")
    return {
        "formula": "responses",
        "grouping": "position" if made and made.by_position else "ids",
        "unscored": s.get("unscored", "left_out"),
        "center": center,
        "scale": scale,
        "ddof": s["ddof"] if scaled else 1,
        "epsilon": s["epsilon"] if scaled else 1e-6,
        "singleton": s.get("singleton", "zero"),
        "min_scored": s.get("min_scored", 2),
        **whitening,
    }


def _made(recipe: Mapping[str, Any], batch: Batch) -> Any:
    """The general formula at the settings of a recipe."""
    options = {word: batch[word] for word in ("valid", "trained", "trajectories") if word in batch}
    if recipe["formula"] == "tokens":
        values = batch["values"] if recipe["baseline"] == "values" else np.zeros_like(batch["token_rewards"])
        settings = {key: recipe[key] for key in ("discount", "lambda_", "holes", "masked_rewards")}
        a: Any = gae(batch["token_rewards"], values, batch["mask"], **settings, **options)
        counted = np.isfinite(batch["token_rewards"]) | ~batch["mask"]
    else:
        blocks = _blocks(batch) if recipe["grouping"] == "position" else None
        rewards = batch["rewards"]
        if recipe["unscored"] == "zero":
            rewards = np.where(np.isfinite(rewards), rewards, 0.0)
        settings = {key: recipe[key] for key in inspect.signature(normalized).parameters if key in recipe}
        a = normalized(rewards, batch["groups"] if blocks is None else blocks, **settings, **options)
        counted = np.isfinite(rewards)[:, None]
    if recipe["whitening"] == "none":
        return a
    whole: Any = counted.all(1)
    mask = batch["mask"] & whole[:, None]
    ddof = 1 if recipe["whitening"] == "sample" else 0
    return whiten(
        to_tokens(a, mask) if a.ndim == 1 else a,
        mask,
        weight=recipe["weight"],
        ddof=ddof,
        epsilon=recipe["whitening_epsilon"],
    )


def words_of_columns(pairs: Mapping[str, str]) -> dict[str, str]:
    """Words of the vocabulary by column, whichever side of the pair the word stands on: "uid=groups", "group=uid".

    Raises:
        ValueError: neither side is a word.
    """
    names = {}
    for left, right in pairs.items():
        if (word := _word(right)) is not None:
            names[left] = word
        elif (word := _word(left)) is not None:
            names[right] = word
        else:
            guess = did_you_mean(right, INPUTS) or did_you_mean(left, INPUTS)
            raise ValueError(f"--map {left}={right}: neither is a word of the vocabulary; write OWN=NAME{guess}")
    return names


def _word(name: str) -> str | None:
    """The word of the vocabulary that is meant, in the plural or the singular."""
    return next((word for word in (name, f"{name}s") if word in INPUTS), None)


def read_batch(path: Path, names: Mapping[str, str] = _NONE) -> dict[str, Any]:
    """The columns of a file that are words of the vocabulary, as numpy arrays.

    Args:
        path: of a JSON Lines or Parquet file, or of an npz archive. A list per row is one number per token; a reward
            that is null is unscored.
        names: the word that a column is, by its name in the file.

    Raises:
        ValueError: it is no such file, or a record does not fit; the message says which line and what to write.
    """
    if path.suffix == ".npz":
        arrays = read_arrays(path, lambda name: name in names or _word(name) is not None)
        return batch_of_arrays(path, arrays, names)
    return batch_of_rows(path, read_rows(path, names, ("rewards", "groups")))


def batch_of_rows(path: Path, rows: Sequence[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    """The columns of rows, as `read_rows` gives them, that are words of the vocabulary.

    Raises:
        ValueError: a record does not fit; the message says which line and what to write.
    """
    found = {column: _word(column) for column in rows[0][1]}
    columns = {column: word for column, word in found.items() if word is not None}
    for where, row in rows:
        for column in columns:
            if column not in row:
                raise ValueError(f"{where} has no {column}, which {rows[0][0]} has; give every record the same columns")
    width = max((len(row[c]) for _, row in rows for c, w in columns.items() if _is_row(row[c], w)), default=0)
    lengths: dict[int, tuple[str, int]] = {}
    batch: dict[str, Any] = {}
    for column, word in columns.items():
        cells = [_cell(where, column, word, row[column]) for where, row in rows]
        if INPUTS[word].kind == "ids" and not INPUTS[word].per_token:
            batch[word] = cells
            continue
        if INPUTS[word].per_token:
            for number, (where, row) in enumerate(rows):
                other, length = lengths.setdefault(number, (column, len(row[column])))
                if length != len(row[column]):
                    raise ValueError(
                        f"{where}: {column} has {len(row[column])} tokens and {other} has {length}; write one per token"
                    )
            cells = [cell + [cell[0] * 0 if cell else 0] * (width - len(cell)) for cell in cells]
        try:
            batch[word] = np.array(cells, bool if INPUTS[word].kind == "flag" else float)
        except ValueError:
            raise ValueError(f"{path}: {column} has lists of several lengths; write one number per record") from None
    return batch


def _is_row(x: Any, word: str) -> bool:
    return INPUTS[word].per_token and isinstance(x, (list, tuple))


def _cell(where: str, column: str, word: str, x: Any) -> Any:
    """What a record holds of a word."""
    meant = INPUTS[word]
    if meant.per_token:
        if not isinstance(x, (list, tuple)):
            raise ValueError(f"{where}: {column} is {x!r}; write a list, {meant.each}")
        return [_one(where, column, word, y) for y in x]
    if isinstance(x, (list, tuple)) and word == "rewards":
        return [_one(where, column, word, y) for y in x]
    return _one(where, column, word, x)


def _one(where: str, column: str, word: str, x: Any) -> Any:
    kind = INPUTS[word].kind
    if kind == "ids":
        if isinstance(x, (list, dict, float)) or x is None:
            raise ValueError(f"{where}: {column} is {x!r}; write an id: a text or a whole number")
        return x
    if x is None and INPUTS[word].reward_unit:
        return float("nan")
    if kind == "flag" and x not in (0, 1):
        raise ValueError(f"{where}: {column} is {x!r}; write true or false")
    if kind != "flag" and (isinstance(x, bool) or not isinstance(x, (int, float))) and not isinstance(x, bool):
        raise ValueError(f"{where}: {column} is {x!r}; write a number")
    return x


def read_arrays(path: Path, wanted: Callable[[str], bool]) -> dict[str, Any]:
    """The wanted arrays of an npz archive by name; the others may be of any kind.

    Raises:
        ValueError: there is no such file, or it is no such archive.
    """
    if not path.is_file():
        raise ValueError(f"data is {str(path)!r}, but there is no such file; check the path")
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files if wanted(name)}
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} cannot be read ({error}); save arrays of numbers or texts with numpy.savez") from None


def batch_of_arrays(path: Path, arrays: Mapping[str, Any], names: Mapping[str, str] = _NONE) -> dict[str, Any]:
    """Those of the arrays, as `read_arrays` gives them, that are words of the vocabulary.

    Raises:
        ValueError: they have not a row per response, or one that is named is not there.
    """
    meant = {name: names.get(name) or _word(name) for name in arrays}
    batch: dict[str, Any] = {word: arrays[name] for name, word in meant.items() if word is not None}
    rows = {word: len(x) if x.ndim else None for word, x in batch.items()}
    if len(set(rows.values())) > 1:
        raise ValueError(f"{path}: arrays have {rows} rows; save one row per response")
    for name in names:
        if names[name] not in batch:
            raise ValueError(f"{path} has no array {name!r} that could be read as {names[name]!r}")
    for word, x in batch.items():
        if INPUTS[word].kind == "ids" and not INPUTS[word].per_token:
            batch[word] = x.tolist()
        else:
            batch[word] = x != 0 if INPUTS[word].kind == "flag" else x.astype(float)
    return batch


def sentences(found: Difference, most: int = 10) -> Sequence[str]:
    """What was found, for a person to read."""
    count = len(found.advantages[0])
    if not found.rows:
        lines = [f"{found.first} and {found.second} agree in all {count} rows: the advantage is not what differs"]
    else:
        lines = [
            f"{found.first} and {found.second} differ in {len(found.rows)} of {count} rows, by {found.largest:.6g} at "
            "most"
        ]
        for row in found.rows[:most]:
            one, two = (np.array2string(a[row], precision=6, separator=", ") for a in found.advantages)
            lines.append(f"  row {row}: {one} and {two}")
        if len(found.rows) > most:
            lines.append(f"  and {len(found.rows) - most} rows more")
    if found.exchanges is None and found.rows:
        lines.append("stage: the formulas themselves; the two are no settings of one")
    for exchange in (found.exchanges or []) if found.rows else []:
        whole = exchange.left <= 1e-5 * max(1.0, float(np.abs(found.advantages[1]).max(initial=0.0)))
        says = "explains all of it" if whole else f"explains a part: {exchange.left:.6g} is left"
        lines.append(
            f"stage {exchange.stage}: {exchange.setting} is {exchange.first!r} and {exchange.second!r}; moves "
            f"{len(exchange.rows)} rows, and {says}"
        )
    return lines + [f"remark: {remark}" for remark in found.remarks]
