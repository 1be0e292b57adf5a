"""Problems of files: JSON Lines, gzipped or not, in UTF-8 or UTF-16, and Parquet."""

import gzip
import io
import json
import math
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from .problem import HELD_OUT, Problem, shared

__all__ = ["Files", "cell", "column_of", "no_column", "read_problems", "read_rows", "row_batches"]

_PROMPT = ("prompt", "problem", "question")
"""What published data sets call the same column."""
_WANTED = ("prompt", "answer")
_NONE: Mapping[str, str] = MappingProxyType({})
ROWS, BYTES = 8192, 1 << 24
"""The most rows and, about, bytes of a file that are rows of Python at one time where it is read in batches."""


class Files:
    """Problems of a file, in an order that is shuffled anew for each pass; some are held out.

    Args:
        problems: of the file.
        seed: of what is held out, and of the order.
        held_out: how many of the problems are held out. None: a tenth, and at most `HELD_OUT`.
        least: how many must be left to train on where some are held out: as many as a step asks.
        evaluation: problems of another file, which are held out instead.

    Raises:
        ValueError: too few are left to train on, or more are asked for than there are.
    """

    def __init__(
        self,
        problems: Sequence[Problem],
        seed: int,
        held_out: int | None = None,
        *,
        least: int = 1,
        evaluation: Sequence[Problem] | None = None,
    ) -> None:
        count, own = len(problems), evaluation is None
        self.problems = [*problems, *(evaluation or ())]
        if own:
            aside = min(HELD_OUT, max(1, count // 10)) if held_out is None else held_out
            if aside and count - aside < least:
                raise ValueError(
                    f"of {count} problems {aside} would be held out, which leaves {max(0, count - aside)} to train on, "
                    f"but a step asks {least}; lower --evaluation or --prompts, or pass other problems as --eval-data"
                )
            order = np.random.default_rng([seed, 2]).permutation(count)
            self._train = [problems[i] for i in order[: count - aside]]
            self._held_out = [problems[i] for i in order[count - aside :]]
        else:
            assert evaluation is not None
            if held_out is not None and held_out > len(evaluation):
                raise ValueError(
                    f"evaluation is {held_out}, but --eval-data holds {len(evaluation)} problems; pass at most so many"
                )
            self._train, self._held_out = list(problems), list(evaluation[:held_out])
        self.remarks = self._remarks(own, least)
        self._seed, self._position = seed, 0

    def _remarks(self, own: bool, least: int) -> list[str]:
        count, aside = len(self._train), len(self._held_out)
        where = f"of the {count + aside} problems" if own else "of --eval-data"
        remarks = [f"{count} problems to train on; {aside} {where} are held out to measure accuracy on"]
        if count < least:
            remarks.append(f"warning: a step asks {least} problems, so that it asks some of them more than once")
        if aside and (both := shared(self._held_out, self._train)):
            remarks.append(
                f"warning: {both} of the {aside} held-out problems are asked in the training, too, so that accuracy "
                "on them says nothing of new problems; remove what the data holds twice"
            )
        return remarks

    def draw(self, count: int) -> list[Problem]:
        first = self._position
        self._position += count
        return [self._at(place) for place in range(first, self._position)]

    def _at(self, position: int) -> Problem:
        epoch, place = divmod(position, len(self._train))
        return self._train[np.random.default_rng([self._seed, 1, epoch]).permutation(len(self._train))[place]]

    def held_out(self, count: int | None = None) -> list[Problem]:
        return self._held_out[:count]

    def state(self) -> dict[str, Any]:
        return {"position": self._position}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._position = int(state["position"])


def read_problems(path: Path, names: Mapping[str, str] = _NONE) -> list[Problem]:
    """Problems of a JSON Lines or Parquet file with columns prompt, answer and, optionally, solution.

    Args:
        path: of the file.
        names: what a column is called here, by its name in the file.

    Raises:
        ValueError: there is no such file, it is no such table, or a row lacks something; the message names the line.
    """
    return [_problem(where, row) for where, row in read_rows(path, names)]


def _problem(where: str, row: Mapping[str, Any]) -> Problem:
    prompt, answer, solution = (column_of(row, name) for name in ("prompt", "answer", "solution"))
    rest = {name: x for name, x in row.items() if name not in (prompt, answer, solution)}
    return Problem(
        cell(where, row, "prompt"),
        cell(where, row, "answer"),
        None if solution is None or _missing(row[solution]) else cell(where, row, "solution"),
        rest,
        where,
    )


def read_rows(
    path: Path,
    names: Mapping[str, str] = _NONE,
    wanted: Sequence[str] = _WANTED,
) -> list[tuple[str, dict[str, Any]]]:
    """Where each row of a file stands, and its columns.

    What the file is, its content says: JSON Lines in UTF-8, or in UTF-16 with a byte order mark, either of them
    gzipped or not; or Parquet.

    Args:
        path: of the file.
        names: what a column is to be called, by its name in the file.
        wanted: the columns that a row needs, for messages.

    Raises:
        ValueError: there is no such file, it is no such table, or it is empty; the message names the line.
    """
    rows = [row for batch in row_batches(path, wanted) for row in batch]
    if len(set(names.values())) < len(names):
        raise ValueError(f"--map gives two columns one name ({', '.join(names.values())}); give each its own")
    return _renamed(rows, names)


def row_batches(
    path: Path,
    wanted: Sequence[str] = _WANTED,
    *,
    chosen: Callable[[Sequence[str]], Collection[str]] = lambda columns: columns,
    told: Callable[[float], None] = lambda _: None,
) -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """What `read_rows` gives, a batch at a time, so that a file may be larger than the memory.

    Args:
        path: of the file.
        wanted: the columns that a row needs, for messages.
        chosen: the columns that are read of all that there are; asked of Parquet alone, where it saves work.
        told: hears the share of the file that has been read.

    Raises:
        ValueError: as `read_rows`.
    """
    if not path.is_file():
        raise ValueError(f"data is {str(path)!r}, but there is no such file; check the path")
    empty, form = True, "one JSON object a line"
    try:
        with path.open("rb") as raw:
            size = max(path.stat().st_size, 1)
            zipped = raw.peek(2).startswith(b"\x1f\x8b")
            file = io.BufferedReader(gzip.GzipFile(fileobj=raw)) if zipped else raw
            if file.peek(4).startswith(b"PAR1") or path.suffix == ".parquet":
                form = "a table that has some"
                found = _parquet(path, io.BytesIO(file.read()) if zipped else file, chosen)
            else:
                found = ((raw.tell() / size, batch) for batch in _lines(path, file))
            for share, batch in found:
                for where, row in batch:
                    if not isinstance(row, dict):
                        raise ValueError(f"{where} is a {type(row).__name__}; write an object with {_listed(wanted)}")
                if batch:
                    empty = False
                    yield batch
                told(share)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} cannot be read ({error or type(error).__name__}); restore it") from None
    if empty:
        raise ValueError(f"{path} holds no row; write {form}")


def _lines(path: Path, file: Any) -> Iterator[list[tuple[str, Any]]]:
    batch: list[tuple[str, Any]] = []
    size = 0
    for number, line in enumerate(_in_utf_8(path, file), 1):
        where = f"{path} line {number}"
        size += len(line)
        if not line.strip():
            continue
        try:
            batch.append((where, json.loads(line.decode(), object_pairs_hook=_object)))
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{where} is not in UTF-8 (byte 0x{line[error.start]:02x}, which is {chr(line[error.start])!r} in "
                "Latin-1); save the file as UTF-8"
            ) from None
        except (ValueError, RecursionError) as error:  # numbers of thousands of digits are a ValueError
            said = "nested too deeply" if isinstance(error, RecursionError) else getattr(error, "msg", str(error))
            said = "NUL bytes, as of UTF-16 without a byte order mark" if b"\0" in line else said
            raise ValueError(f"{where} is no JSON ({said}); write one object a line") from None
        if len(batch) >= ROWS or size >= BYTES:
            yield batch
            batch, size = [], 0
    yield batch


def _in_utf_8(path: Path, file: Any) -> Iterator[bytes]:
    """The lines of a file; what follows a byte order mark of UTF-16 is encoded anew."""
    start = file.peek(3)
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            text = io.TextIOWrapper(file, "utf-16", newline="\n")
            for line in text:
                yield line.encode()
            text.detach()  # or it would close the file
        except UnicodeError as error:
            raise ValueError(f"{path} is no utf-16 as it begins to be ({error}); save it as UTF-8") from None
    else:
        if start.startswith(b"\xef\xbb\xbf"):
            file.read(3)
        yield from file


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Of JSON, where json itself would take the last of two values of one name."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"it gives {next(name for name in found if names.count(name) > 1)!r} twice")
    return found


def _parquet(
    path: Path, file: Any, chosen: Callable[[Sequence[str]], Collection[str]]
) -> Iterator[tuple[float, list[tuple[str, Any]]]]:
    """Batches of rows, and the share of the file that ends with each."""
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise ValueError("Parquet files need pyarrow; pip install pyarrow") from None
    try:
        table = parquet.ParquetFile(file, buffer_size=1 << 20, pre_buffer=False)  # not a row group at once
        columns = list(chosen(table.schema_arrow.names))
        number = 0
        for part in table.iter_batches(_rows_at_once(table.metadata, columns), columns=columns):
            rows = part.to_pylist() if columns else [{}] * part.num_rows
            batch = [(f"{path} row {at}", row) for at, row in enumerate(rows, number + 1)]
            number += len(rows)
            yield number / table.metadata.num_rows, batch
    except (ArrowException, OSError) as error:
        raise ValueError(f"{path} is no Parquet file ({error}); restore it") from None


def _rows_at_once(metadata: Any, columns: Sequence[str]) -> int:
    """As many rows of a Parquet file as hold about `BYTES`."""
    size = 0
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        for column in map(group.column, range(metadata.num_columns)):
            if column.path_in_schema.partition(".")[0] in columns:
                size += column.total_uncompressed_size
    return max(1, min(ROWS, BYTES * metadata.num_rows // max(size, 1)))


def _renamed(found: Sequence[tuple[str, dict[str, Any]]], names: Mapping[str, str]) -> list[tuple[str, dict[str, Any]]]:
    for where, row in found:
        for old, new in names.items():
            if old in row and new in row and new not in names:
                raise ValueError(f"{where} has both {old!r} and {new!r}; rename {new!r}, too: --map {new}=OTHER")
    for old, new in names.items():
        if not any(old in row or column_of(row, new) for _, row in found):
            raise ValueError(no_column(*found[0], old, new))
    return [(where, {names.get(name, name): x for name, x in row.items()}) for where, row in found]


def no_column(where: str, row: Iterable[str], old: str, new: str) -> str:
    """The sentence where a column that was named is not there."""
    return (
        f"{where} has no column {old!r} that could be read as {new!r}, but {_columns(row)}; write the file's own name "
        "first: --map OWN=NAME"
    )


def column_of(row: Mapping[str, Any], name: str) -> str | None:
    """The one column of a row that is meant: of that name, else in other letter case or of another usual name."""
    if name in row:
        return name
    usual = _PROMPT if name in _PROMPT else (name.lower(),)
    found = [column for column in row if column.lower() in usual]
    return found[0] if len(found) == 1 else None


def cell(where: str, row: Mapping[str, Any], name: str, wanted: Sequence[str] = _WANTED) -> str:
    """The text in a column of a row.

    Args:
        where: the row stands, for messages.
        row: its columns.
        name: of the column.
        wanted: all that a row needs, for messages.

    Raises:
        ValueError: there is no such column, or what it holds is no text.
    """
    column = column_of(row, name)
    if column is None:
        raise ValueError(
            f"{where} has no {name}, but {_columns(row)}; give it one, or name the column that is it: --map OWN={name} "
            f"(a row needs {_listed(wanted)})"
        )
    x = row[column]
    if _missing(x):
        raise ValueError(f"{where} has no {name}: it is {x!r}; give it one, or remove the row")
    if isinstance(x, bool) or not isinstance(x, (str, int, float)):
        raise ValueError(f"{where}: {name} is a {type(x).__name__}; pass a text")
    text = str(x)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{where}: {name} holds half of a surrogate pair, which is no text; mend it") from None
    return text


def _missing(x: Any) -> bool:
    return x is None or (isinstance(x, float) and not math.isfinite(x)) or (isinstance(x, str) and not x.strip())


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _columns(row: Iterable[str]) -> str:
    return ", ".join(map(str, row)) or "nothing"
