"""Files that are read and written in one way everywhere: JSON Lines, and whole files that are never half written."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

__all__ = ["append_line", "json_lines", "read_lines", "write_json", "write_whole"]


def json_lines(path: Path) -> Iterator[tuple[str, Any]]:
    """Where each object of a JSON Lines file stands, and the object.

    Raises:
        ValueError: a line is no JSON; the message names it.
    """
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                try:
                    yield f"{path} line {number}", json.loads(line)
                except json.JSONDecodeError as error:
                    raise ValueError(
                        f"{path} line {number} is no JSON ({error.msg}); write one object a line"
                    ) from None


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON Lines file; a last line that was cut off is left out."""
    if not path.exists():
        return []
    lines = path.read_text().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def write_whole(path: Path, content: str) -> None:
    """Write a file under another name, flush it to disk, and rename it."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("w") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def write_json(path: Path, content: Any) -> None:
    """Write an object as JSON, whole or not at all."""
    write_whole(path, json.dumps(content, indent=2) + "\n")


def append_line(path: Path, line: Mapping[str, Any]) -> None:
    """Append an object to a JSON Lines file."""
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")
