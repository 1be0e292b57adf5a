"""Rollouts of files as numpy arrays: JSON Lines and Parquet a batch at a time, npz archives an array at a time."""

import functools
import reprlib
import zipfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

import numpy as np

from ..core.naming import did_you_mean
from ..core.vocabulary import INPUTS
from .files import no_column, row_batches

__all__ = ["EXTRA", "Interleaved", "batches", "joined", "read_batch", "whole_groups", "words_of_columns"]

Batch = dict[str, Any]
_NONE: Mapping[str, str] = MappingProxyType({})

EXTRA = {
    "advantages": ("advantages", "advantage"),
    "responses": ("responses", "response", "completion", "text"),
    "penalties": ("penalties", "penalty"),
    "second_rewards": ("second_rewards", "second_reward"),
    "unclipped": ("unclipped",),
}
"""Columns that are no words of the vocabulary, and the names that they have in files."""


class Interleaved(ValueError):
    """A group goes on after rows of other groups, so that no batch before the last can be known to hold all of it."""


def words_of_columns(pairs: Mapping[str, str], *, extra: bool = False) -> dict[str, str]:
    """Words of the vocabulary by column, whichever side of the pair the word stands on: "uid=groups", "group=uid".

    Args:
        pairs: as a person wrote them.
        extra: whether the words of `EXTRA` may be meant, too.

    Raises:
        ValueError: neither side is a word.
    """
    names = {}
    for left, right in pairs.items():
        sides = ((left, right), (right, left))
        found = [(column, word) for column, word in sides if word == _word(word, extra=extra)]
        found += [(column, meant) for column, word in sides if (meant := _word(word, extra=extra)) is not None]
        if not found:
            guess = did_you_mean(right, INPUTS) or did_you_mean(left, INPUTS)
            raise ValueError(f"--map {left}={right}: neither is a word of the vocabulary; write OWN=NAME{guess}")
        column, names[column] = found[0]
    return names


def _word(name: str, *, extra: bool) -> str | None:
    """The word that a column's name means: of the vocabulary, in the plural or the singular, or of `EXTRA`."""
    words = [word for word in (name, f"{name}s") if word in INPUTS]
    return next(iter(words + [word for word, names in EXTRA.items() if extra and name in names]), None)


def read_batch(path: Path, names: Mapping[str, str] = _NONE, **options: Any) -> Batch:
    """The columns of a file that are words of the vocabulary, as numpy arrays, and ids as lists.

    Args:
        path: of a JSON Lines or Parquet file, or of an npz archive. A list per row is one number per token; a reward
            that is null is unscored.
        names: the word that a column is, by its name in the file.
        options: as of `batches`.

    Raises:
        ValueError: it is no such file, or a record does not fit; the message says which line and what to write.
    """
    return joined(batches(path, names, **options))


def batches(
    path: Path,
    names: Mapping[str, str] = _NONE,
    *,
    extra: bool = False,
    words: Collection[str] | None = None,
    told: Callable[[float], None] = lambda _: None,
) -> Iterator[Batch]:
    """What `read_batch` gives, a batch of rows at a time; an npz archive is one batch.

    Args:
        path: of the file.
        names: the word that a column is, by its name in the file.
        extra: whether columns of `EXTRA` are read, too. Of a text its hash is kept.
        words: that are read, where not all are.
        told: hears the share of the file that has been read.

    Raises:
        ValueError: as `read_batch`.
    """

    def meant(where: str, columns: Iterable[str]) -> dict[str, str]:
        found = _meant(where, list(columns), names, extra=extra)
        return {column: word for column, word in found.items() if words is None or word in words}

    if path.suffix == ".npz":
        yield _batch_of_arrays(path, meant, told)
        return
    first = ""
    columns: dict[str, str] = {}
    chosen = functools.partial(meant, f"{path} row 1")
    for rows in row_batches(path, ("rewards", "groups"), chosen=chosen, told=told):
        if not first:
            first, row = rows[0]
            columns = meant(first, row)
        yield _batch_of_rows(path, rows, columns, first)


def _meant(where: str, columns: Sequence[str], names: Mapping[str, str], *, extra: bool) -> dict[str, str]:
    """The word of each column that has one: as it was named, else by its own name."""
    found = {column: names[column] for column in columns if column in names}
    named = set(found.values())
    if len(named) < len(found):
        raise ValueError(f"--map gives two columns one name ({', '.join(found.values())}); give each its own")
    by_word: dict[str, str] = {}
    for column in columns:
        word = _word(column, extra=extra)
        if word is None or word in named or column in found:
            continue
        if (other := by_word.setdefault(word, column)) != column:
            raise ValueError(f"{where}: {other} and {column} could both be {word}; say which: --map {column}={word}")
    for column, word in names.items():
        if word not in named and word not in by_word:
            raise ValueError(no_column(where, columns, column, word))
    return found | {column: word for word, column in by_word.items()}


def joined(parts: Iterable[Batch]) -> Batch:
    """One batch of several. Rows of tokens become as long as the longest; what is joined is let go at once.

    Raises:
        ValueError: rows of the same word have other shapes.
    """
    every = list(parts)
    if len(every) == 1:
        return every[0]
    whole: Batch = {}
    for word in list(every[0]):
        mine = [part.pop(word) for part in every]
        if isinstance(mine[0], list):
            whole[word] = [x for some in mine for x in some]
            continue
        width = max(x.shape[-1] for x in mine)
        shapes = {x.shape[1:] if word == "rewards" or x.ndim == 1 else (width,) for x in mine}
        if len(shapes) > 1:
            raise ValueError(f"{word} are lists of several lengths, or lists in some rows; write all alike")
        whole[word] = np.zeros((sum(map(len, mine)), *shapes.pop()), mine[0].dtype)
        at = 0
        while mine:
            x = mine.pop(0)
            whole[word][at : at + len(x)][..., : x.shape[-1]] = x  # all columns, or as many as the part has
            at += len(x)
    return whole


def whole_groups(parts: Iterable[Batch]) -> Iterator[Batch]:
    """The same rows in batches that hold whole groups: the last group of each waits for the rows that follow.

    Raises:
        Interleaved: a group goes on after rows of other groups, in another batch.
    """
    ended: set[Any] = set()
    held: Batch | None = None

    def ending(batch: Batch) -> Batch:
        mine = set(batch["groups"])
        if not ended.isdisjoint(mine):
            raise Interleaved(f"the group {next(iter(ended & mine))!r} goes on after rows of other groups")
        ended.update(mine)
        return batch

    for part in parts:
        if held is not None:
            ids = held["groups"]
            last = next((i for i in range(len(ids), 0, -1) if ids[i - 1] != ids[-1]), 0)
            if last:
                yield ending(_rows(held, slice(0, last)))
            part = joined([_rows(held, slice(last, None)), part])
        held = part
    if held is not None:
        yield ending(held)


def _rows(batch: Batch, which: slice) -> Batch:
    return {word: x[which] for word, x in batch.items()}


def _batch_of_rows(
    path: Path, rows: Sequence[tuple[str, dict[str, Any]]], columns: Mapping[str, str], first: str
) -> Batch:
    """The columns of rows, as numpy arrays and lists.

    Args:
        path: of the file, for messages.
        rows: where each stands, and what it holds.
        columns: the words of columns.
        first: where the first row of the file stands, whose columns all must have.
    """
    for where, row in rows:
        for column, word in columns.items():
            if column not in row and word in INPUTS:
                raise ValueError(f"{where} has no {column}, which {first} has; give every record the same columns")
    tokens = [column for column, word in columns.items() if word in INPUTS and INPUTS[word].per_token]
    batch: Batch = {}
    width = 0
    for where, row in rows:
        lengths = {column: len(row[column]) for column in tokens if isinstance(row[column], list)}
        for column, length in lengths.items():
            width = max(width, length)
            if length != lengths[(one := next(iter(lengths)))]:
                raise ValueError(
                    f"{where}: {column} has {length} tokens and {one} has {lengths[one]}; write one per token"
                )
    for column, word in columns.items():
        if word not in INPUTS:
            continue
        cells = [_cell(where, column, word, row[column]) for where, row in rows]
        if INPUTS[word].kind == "ids" and not INPUTS[word].per_token:
            batch[word] = cells
            continue
        if INPUTS[word].per_token:
            cells = [cell + [cell[0] * 0 if cell else 0] * (width - len(cell)) for cell in cells]
        try:
            batch[word] = np.array(cells, bool if INPUTS[word].kind == "flag" else float)
        except ValueError:
            raise ValueError(f"{path}: {column} has lists of several lengths; write one number per record") from None
    for column, word in columns.items():
        if word not in INPUTS:
            batch[word] = _extra_column(column, word, rows, batch.get("mask"))
    return batch


def _cell(where: str, column: str, word: str, x: Any) -> Any:
    """What a record holds of a word."""
    meant = INPUTS[word]
    if meant.per_token:
        if not isinstance(x, (list, tuple)):
            raise ValueError(f"{where}: {column} is {reprlib.repr(x)}; write a list, {meant.each}")
        return [_one(where, column, word, y) for y in x]
    if isinstance(x, (list, tuple)) and word == "rewards":
        return [_one(where, column, word, y) for y in x]
    return _one(where, column, word, x)


def _one(where: str, column: str, word: str, x: Any) -> Any:
    kind = INPUTS[word].kind
    if kind == "ids":
        if isinstance(x, (list, dict, float)) or x is None:
            raise ValueError(f"{where}: {column} is {reprlib.repr(x)}; write an id: a text or a whole number")
        return x
    if x is None and INPUTS[word].reward_unit:
        return float("nan")
    if kind == "flag" and x not in (0, 1):
        raise ValueError(f"{where}: {column} is {reprlib.repr(x)}; write true or false")
    if kind != "flag" and (isinstance(x, bool) or not isinstance(x, (int, float))) and not isinstance(x, bool):
        raise ValueError(f"{where}: {column} is {reprlib.repr(x)}; write a number")
    return x


def _extra_column(column: str, word: str, rows: Sequence[tuple[str, dict[str, Any]]], mask: Any) -> Any:
    cells = []
    for where, row in rows:
        x = row.get(column)
        if word == "responses":
            if not isinstance(x, (str, int)):
                raise ValueError(f"{where}: {column} is {reprlib.repr(x)}; write a text, or a hash of it")
            x = hash(x) if isinstance(x, str) else x  # a text may be long, and only tells one response from another
        elif isinstance(x, list):
            if not all(isinstance(y, (int, float)) for y in x):
                raise ValueError(f"{where}: {column} holds what is no number; write one per token")
        elif x is not None and (isinstance(x, bool) or not isinstance(x, (int, float))):
            raise ValueError(f"{where}: {column} is {reprlib.repr(x)}; write a number")
        cells.append(x)
    if word == "responses":
        return cells
    lists = [x for x in cells if isinstance(x, list)]
    if lists:
        if len(lists) < len(cells) or mask is None:
            raise ValueError(f"{column} has a list per row; give every row one, and a mask beside it")
        width = mask.shape[1]
        for (where, _), x in zip(rows, lists, strict=True):
            if len(x) > width:
                raise ValueError(f"{where}: {column} has {len(x)} tokens, and the longest mask {width}; write as many")
        return np.array([x + [0.0] * (width - len(x)) for x in lists], float)
    return np.array([np.nan if x is None else x for x in cells], float)


class _Watched:
    """A member of an archive that tells how much of it was read."""

    def __init__(self, file: IO[bytes], told: Callable[[int], None]) -> None:
        self._file, self._told = file, told

    def read(self, size: int = -1) -> bytes:
        found = self._file.read(size)
        self._told(len(found))
        return found


def _batch_of_arrays(
    path: Path, meant: Callable[[str, Iterable[str]], dict[str, str]], told: Callable[[float], None]
) -> Batch:
    """The arrays of an npz archive that have a word; the others may be of any kind."""
    if not path.is_file():
        raise ValueError(f"data is {str(path)!r}, but there is no such file; check the path")
    with _archive(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
    columns = meant(str(path), names)
    batch: Batch = {}
    done = 0
    with _archive(path) as archive:
        whole = sum(archive.getinfo(f"{column}.npy").file_size for column in columns)

        def more(count: int) -> None:
            nonlocal done
            done += count
            told(done / whole)

        for column, word in columns.items():
            with archive.open(f"{column}.npy") as file:
                batch[word] = np.lib.format.read_array(_Watched(file, more), allow_pickle=False)
    rows = {word: len(x) if x.ndim else None for word, x in batch.items()}
    if len(set(rows.values())) > 1:
        raise ValueError(f"{path}: arrays have {rows} rows; save one row per response")
    if 0 in rows.values():
        raise ValueError(f"{path} holds no row; save one row per response")
    return {word: _of_kind(path, word, x) for word, x in batch.items()}


@contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} cannot be read ({error}); save arrays of numbers or texts with numpy.savez") from None


def _of_kind(path: Path, word: str, x: Any) -> Any:
    if word == "responses" or (word in INPUTS and INPUTS[word].kind == "ids" and not INPUTS[word].per_token):
        return x.tolist()
    if x.dtype.kind not in "biuf":
        raise ValueError(f"{path}: the array of {word} holds {x.dtype}; save numbers")
    return x != 0 if word in INPUTS and INPUTS[word].kind == "flag" else x.astype(float)
