"""Files that are read and written in one way everywhere: never half written, checked, and by one process at a time."""

import errno
import hashlib
import json
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .version import __version__

__all__ = [
    "LOCK",
    "MAP",
    "append_lines",
    "claim",
    "claim_free",
    "disk_errors",
    "flush",
    "read_json",
    "read_lines",
    "sha256",
    "whole_lines",
    "write_json",
    "write_whole",
    "writer",
]

LOCK = ".lock"
_ATTEMPTS = 100
"""Times that a folder is made whose parents others remove meanwhile."""
MAP = "own=name, such as question=prompt"
"""How a column of a file is given its name here."""
_OF_THE_DISK = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.EFBIG),
    *(errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ESTALE),
)
"""Errors that say something about the disk, and nothing about the program."""


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Within, a full disk, a read-only folder and their like are sentences that name the file.

    Args:
        path: what is named where the error itself names no file.

    Raises:
        ValueError: instead of such an OSError.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _OF_THE_DISK:
            raise
        advice = "make room" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "make it writable"
        name = error.filename if isinstance(error.filename, str) else path
        raise ValueError(f"{name} cannot be written ({error.strerror}); {advice}, or write elsewhere") from None


@contextmanager
def claim(folder: Path) -> Iterator[Path]:
    """Hold a folder: within, no other process that claims it gets it.

    It is made where it is missing, and removed again, with parents that were made, where nothing was written to it.
    The lock ends with the process, however that ends.

    Raises:
        ValueError: another process holds the folder, or it cannot be written to.
    """
    with _held(folder, _missing(folder)):
        yield folder


@contextmanager
def claim_free(root: Path, stem: str) -> Iterator[Path]:
    """Hold the first of `root/stem-1`, `root/stem-2` ... that does not exist; as `claim` in all else."""
    missing = _missing(root)
    folder = _make_free(root, stem)
    with _held(folder, [folder, *missing]):
        yield folder


def _make_free(root: Path, stem: str) -> Path:
    number = 1
    while True:
        folder = root / f"{stem}-{number}"
        with suppress(FileExistsError):
            _make(folder, new=True)
            return folder
        number += 1


def _missing(folder: Path) -> list[Path]:
    with disk_errors(folder):
        return [path for path in (folder, *folder.parents) if not path.exists()]


def _make(folder: Path, *, new: bool = False) -> None:
    """Make a folder, with its parents.

    Args:
        new: it must not be there yet.

    Raises:
        FileExistsError: it is.
        ValueError: it cannot be made.
    """
    for _ in range(_ATTEMPTS):
        try:
            with disk_errors(folder):
                return folder.mkdir(parents=True, exist_ok=not new)
        except FileNotFoundError:  # another process has just removed a parent
            continue
        except FileExistsError:
            if new and os.path.lexists(folder):
                raise
            break
    raise ValueError(f"{folder} cannot be made, as in a link to nowhere; write elsewhere")


@contextmanager
def _held(folder: Path, made: Iterable[Path]) -> Iterator[None]:
    with disk_errors(folder):
        handle = _locked(folder)
    try:
        yield
    finally:
        with suppress(OSError):  # a folder that is not empty stays, as does one on a disk that fails
            (folder / LOCK).unlink()
            for path in made:
                path.rmdir()
        os.close(handle)


def _locked(folder: Path) -> int:
    import fcntl  # not on Windows, where the other functions of this module work

    file = folder / LOCK
    while True:
        _make(folder)
        try:
            handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except FileNotFoundError:  # its last holder has just removed the folder
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise ValueError(f"another process is writing to {folder}; wait for it, or stop it") from None
        except OSError as error:
            warnings.warn(
                f"{folder} cannot be locked ({error.strerror}); see to it that no other process writes to it",
                stacklevel=5,
            )
            return handle
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), os.stat(file)):
                return handle
        os.close(handle)  # its last holder has removed the file in between


def sha256(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def whole_lines(path: Path) -> list[bytes]:
    """The lines of a record, ends included; none where there is no file. A last one that was cut off is left out."""
    *lines, _ = path.read_bytes().split(b"\n") if path.exists() else [b""]
    return [line + b"\n" for line in lines]


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a record in JSON Lines; a last line that was cut off is left out.

    Raises:
        ValueError: a line is no JSON object; the message names it.
    """
    found = []
    for number, line in enumerate(whole_lines(path), 1):
        try:
            found.append(json.loads(line))
            found[-1].keys()
        except (ValueError, RecursionError, AttributeError):
            raise ValueError(f"{path} line {number} is damaged: it is no JSON object; restore it") from None
    return found


def append_lines(path: Path, lines: Iterable[str], *, durable: bool = False) -> None:
    """Append lines to a record.

    Args:
        lines: each with its end.
        durable: whether they are on the disk when this returns.

    Raises:
        ValueError: the file cannot be written.
    """
    with disk_errors(path), path.open("ab") as file:
        file.write("".join(lines).encode())
        file.flush()
        if durable:
            os.fsync(file.fileno())


def write_whole(path: Path, content: str) -> None:
    """Write a file under another name, flush it to disk, and rename it.

    Raises:
        ValueError: it cannot be written; what was there is as it was.
    """
    partial = path.with_name(path.name + ".partial")
    with disk_errors(path):
        try:
            with partial.open("w", encoding="utf-8") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except OSError:
            with suppress(OSError):
                partial.unlink()  # the room is needed
            raise
        flush(path.parent)


def flush(path: Path) -> None:
    """Have a file's content, or a folder's names, on the disk when this returns."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path: Path, content: Any, *, sealed: bool = False) -> None:
    """Write an object as JSON, whole or not at all.

    Args:
        sealed: with the version of this package, and with a checksum that `read_json` looks at.
    """
    if sealed:
        content = {**content, "version": __version__}
        content["sha256"] = _seal(content)
    write_whole(path, json.dumps(content, indent=2) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """The object that `write_json` wrote; of a sealed one the version, without the checksum.

    Raises:
        ValueError: there is no such file, or it is damaged; the message names it.
    """
    try:
        found = json.loads(path.read_bytes())
        reason = None if isinstance(found, dict) else f"it holds a {type(found).__name__}"
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}); restore it") from None
    except (ValueError, RecursionError) as error:
        found, reason = {}, str(error)
    if reason is None and ("version" in found or "sha256" in found):
        seal = found.pop("sha256", None)
        reason = None if seal == _seal(found) else "its checksum does not fit"
    if reason is not None:
        raise ValueError(f"{path} is damaged ({reason}); restore it")
    return dict(found)


def _seal(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(json.loads(json.dumps(content)), sort_keys=True).encode()).hexdigest()


def writer(version: str | None) -> str:
    """Who wrote a record that says this version, or none, for messages."""
    return f"version {version}" if version else "an earlier version"
