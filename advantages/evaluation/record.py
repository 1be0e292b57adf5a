"""The folder of an evaluation: what makes it stoppable at any moment.

evaluations/NAME/
    config.json         every setting, and fingerprints of the questions and the weights
    questions.jsonl     a line per problem: id, the prompt as the model reads it, the expected answer
    completions.jsonl   a line per completion, written and flushed to disk batch by batch
    results.json        the numbers; written last
"""

import fcntl
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from ..files import write_json, write_whole

__all__ = ["Record"]

MAY_CHANGE = ("batch_size", "k", "data", "map")
"""Settings that an evaluation may be taken up again with; of the data, the content is compared."""


class Record:
    """The completions that there are, and where the next ones go.

    It is a context manager: within, no other process can write to the folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: list[dict[str, Any]] = []
        self._file: BinaryIO | None = None

    @staticmethod
    def settings(folder: Path) -> dict[str, Any]:
        """The settings that a folder was started with.

        Raises:
            ValueError: it holds no evaluation.
        """
        try:
            found: dict[str, Any] = json.loads((folder / "config.json").read_text())["settings"]
        except (OSError, KeyError, TypeError, json.JSONDecodeError):
            raise ValueError(
                f"eval: {folder} holds no evaluation that could be resumed; pass the folder of one"
            ) from None
        return found

    def check(self, settings: Mapping[str, Any], fingerprints: Mapping[str, Any]) -> None:
        """Refuse a folder that belongs to something else; one that is new or empty is fine.

        Raises:
            ValueError: it was started with other settings, questions or weights, or holds other files.
        """
        file = self.folder / "config.json"
        if not file.exists():
            if self.folder.exists() and any(self.folder.iterdir()):
                raise ValueError(f"eval: {self.folder} holds other files; pass another --output")
            return
        was = self.settings(self.folder)
        for name in dict.fromkeys([*was, *settings]):
            if name not in MAY_CHANGE and was.get(name) != settings.get(name):
                raise ValueError(
                    f"eval: {self.folder} was started with {name}={was.get(name)!r} but now it is "
                    f"{settings.get(name)!r}; resume it as it was, or pass another --output"
                )
        written = json.loads(file.read_text())
        for name, value in fingerprints.items():
            if written.get(name) != value:
                raise ValueError(
                    f"eval: the {name} are not those that {self.folder} was started with; restore them, or pass "
                    "another --output"
                )

    def open(
        self,
        settings: Mapping[str, Any],
        fingerprints: Mapping[str, Any],
        questions: Iterable[Mapping[str, Any]],
    ) -> "Record":
        """Make the folder, or take it up again; a batch that was not written whole is dropped.

        Raises:
            ValueError: it belongs to something else, another process writes to it, or it is damaged.
        """
        self.check(settings, fingerprints)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._file = (self.folder / "completions.jsonl").open("ab+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise ValueError(f"eval: another process is writing to {self.folder}; wait for it, or stop it") from None
        if not (self.folder / "config.json").exists():
            write_whole(self.folder / "questions.jsonl", "".join(json.dumps(q) + "\n" for q in questions))
            write_json(self.folder / "config.json", {"settings": dict(settings), **fingerprints})
        try:
            self.rows = self._whole_batches()
        except ValueError:
            self._file.close()
            raise
        return self

    def _whole_batches(self) -> list[dict[str, Any]]:
        assert self._file is not None
        self._file.seek(0)
        rows: list[dict[str, Any]] = []
        batch: list[dict[str, Any]] = []
        end = 0
        for number, line in enumerate(self._file, 1):
            if not line.endswith(b"\n"):
                break
            try:
                batch.append(json.loads(line))
                whole = len(batch) == batch[0]["batch"]["size"]
            except (ValueError, KeyError, TypeError):
                raise ValueError(
                    f"eval: {self._file.name} line {number} is damaged; remove it and all lines below, and resume"
                ) from None
            if whole:
                rows += batch
                batch = []
                end = self._file.tell()
        self._file.truncate(end)
        return rows

    def append(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write a batch of completions, so that it survives whatever comes next."""
        assert self._file is not None
        self._file.write("".join(json.dumps(row) + "\n" for row in rows).encode())
        self._file.flush()
        os.fsync(self._file.fileno())
        self.rows += [dict(row) for row in rows]

    def finish(self, results: Mapping[str, Any]) -> Path:
        """Write the results."""
        file = self.folder / "results.json"
        write_json(file, results)
        return file

    def __enter__(self) -> "Record":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
