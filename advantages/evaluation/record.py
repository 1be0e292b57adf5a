"""The folder of an evaluation: what makes it stoppable at any moment.

evaluations/NAME/
    config.json         every setting, the version that wrote them, and fingerprints of questions, prompts and weights
    questions.jsonl     a line per problem: id, the prompt as the model reads it, the expected answer
    completions.jsonl   a line per completion, written and flushed to disk batch by batch; each with a checksum of
                        itself and of all lines above
    results.json        the numbers; written last
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from ..files import LOCK, append_lines, claim, disk_errors, read_json, write_json, write_whole, writer

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
        self._held = ExitStack()
        self._claimed = False
        self._sum = hashlib.sha256()

    @staticmethod
    def settings(folder: Path) -> dict[str, Any]:
        """The settings that a folder was started with.

        Raises:
            ValueError: it holds no evaluation, or its record is damaged.
        """
        file = folder / "config.json"
        found = read_json(file).get("settings") if file.exists() else None
        if not isinstance(found, dict):
            raise ValueError(f"{folder} holds no evaluation that could be resumed; pass the folder of one")
        return found

    @staticmethod
    def version(folder: Path) -> str:
        """Which version of this package started a folder, in words."""
        return writer(read_json(folder / "config.json").get("version"))

    def check(self, settings: Mapping[str, Any], fingerprints: Mapping[str, Any]) -> None:
        """Refuse a folder that belongs to something else; one that is new or empty is fine.

        Raises:
            ValueError: it was started with other settings, questions or weights, or holds other files.
        """
        file = self.folder / "config.json"
        if not file.exists():
            if self.folder.exists() and any(path.name != LOCK for path in self.folder.iterdir()):
                raise ValueError(f"{self.folder} holds other files; pass another --output")
            return
        was = self.settings(self.folder)
        for name in dict.fromkeys([*was, *settings]):
            if name not in MAY_CHANGE and was.get(name) != settings.get(name):
                raise ValueError(
                    f"{self.folder} was started with {name}={was.get(name)!r} but now it is "
                    f"{settings.get(name)!r}; resume it as it was, or pass another --output"
                )
        written = read_json(file)
        for name, value in fingerprints.items():
            if (name in written or "version" in written) and written.get(name) != value:
                raise ValueError(
                    f"the {name} are not those that {self.folder} was started with; restore them, or pass "
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
        self.__enter__()
        try:
            self.check(settings, fingerprints)
            file = self.folder / "config.json"
            asked = list(questions)
            write_whole(self.folder / "questions.jsonl", "".join(json.dumps(q) + "\n" for q in asked))
            if not file.exists():
                write_json(file, {"settings": dict(settings), **fingerprints}, sealed=True)
            self.rows = self._whole_batches({q["id"] for q in asked}, checked="version" in read_json(file))
        except BaseException:
            self._held.close()
            raise
        return self

    @property
    def _file(self) -> Path:
        return self.folder / "completions.jsonl"

    def _whole_batches(self, known: Collection[str], *, checked: bool) -> list[dict[str, Any]]:
        """The rows that are as they were written, until the end of the last whole batch; the rest is cut off.

        Args:
            known: ids of the questions.
            checked: whether every line has a checksum; the first lines of earlier versions have none.
        """
        about = {name: value for name, value in self.settings(self.folder).items() if name not in MAY_CHANGE}
        self._sum = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
        *lines, rest = self._file.read_bytes().split(b"\n") if self._file.exists() else [b""]
        rows: list[dict[str, Any]] = []
        batch: list[dict[str, Any]] = []
        seen: set[tuple[str, int]] = set()
        end, total, whole = 0, 0, self._sum.copy()
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
                sealed = checked or "check" in row
                checked = sealed
                row.pop("check", None)
                if line != (self._line(row) if sealed else json.dumps(row).encode()):
                    raise ValueError
                batch.append(row)
                if row["batch"] != batch[0]["batch"] or row["problem"] not in known:
                    raise ValueError
                if (row["problem"], row["sample"]) in seen:
                    raise ValueError
                seen.add((row["problem"], row["sample"]))
                complete = len(batch) == batch[0]["batch"]["size"]
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                raise ValueError(
                    f"{self._file} line {number} is damaged; remove it and all lines below, and resume"
                ) from None
            self._sum.update(line)
            total += len(line) + 1
            if complete:
                rows += batch
                batch, end, whole = [], total, self._sum.copy()
        self._sum = whole
        if end < total + len(rest):
            with disk_errors(self._file), self._file.open("rb+") as file:
                file.truncate(end)
        return rows

    def _line(self, row: Mapping[str, Any]) -> bytes:
        """A row as it is written after those that were."""
        found = self._sum.copy()
        found.update(json.dumps(row).encode())
        return json.dumps({**row, "check": found.hexdigest()[:16]}).encode()

    def append(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write a batch of completions, so that it survives whatever comes next."""
        lines = []
        for row in rows:
            lines.append(self._line(row))
            self._sum.update(lines[-1])
        append_lines(self._file, [line.decode() + "\n" for line in lines], durable=True)
        self.rows += [dict(row) for row in rows]

    def finish(self, results: Mapping[str, Any]) -> Path:
        """Write the results."""
        file = self.folder / "results.json"
        write_json(file, results)
        return file

    def __enter__(self) -> "Record":
        if not self._claimed:
            self._held.enter_context(claim(self.folder))
            self._claimed = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.close()
