"""`advantages eval`: options, live progress, the result table, and how it ends."""

import argparse
import dataclasses
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from ..evaluation.settings import Settings
from ..version import __version__
from .fields import add_options, read_options

__all__ = ["add_arguments", "run"]

FREE = ("batch_size", "k")
"""What may be given beside --resume."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `advantages eval`: one for each field of `Settings`, and the folder."""
    add_options(parser, Settings)
    parser.add_argument(
        "--output",
        type=Path,
        default=argparse.SUPPRESS,
        metavar="FOLDER",
        help="of the record; one that was stopped is gone on with (default: evaluations/MODEL-BENCHMARK)",
    )
    parser.add_argument(
        "--resume",
        type=Path,
        default=argparse.SUPPRESS,
        metavar="FOLDER",
        help="go on with an evaluation that was stopped, with its settings; --batch-size and --k may be others",
    )


class _Terminated(BaseException):
    """Somebody asked for an end; not an Exception, so that nothing in between takes it for a failure."""


def run(options: argparse.Namespace) -> int:
    """Evaluate what the options say; the exit status."""
    import torch

    from ..rewards.checks import NotStartedError

    given = {name: value for name, value in vars(options).items() if name != "command"}
    folder, settings = Path(), None
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        given |= read_options(Settings, given)
        folder, settings = (_resumed if "resume" in given else _started)(given)
        return _evaluate(settings, folder)
    except (KeyboardInterrupt, _Terminated) as stopped:
        again = f"; go on with: advantages eval --resume {folder}" if (folder / "config.json").is_file() else ""
        print(f"\nstopped{again}", file=sys.stderr)
        return 128 + (signal.SIGTERM if isinstance(stopped, _Terminated) else signal.SIGINT)
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:150]
        if isinstance(error, NotStartedError):
            raise SystemExit(f"advantages eval: {reason}") from None
        if not isinstance(error, (torch.OutOfMemoryError, MemoryError)) and "can't allocate memory" not in str(error):
            raise
        raise SystemExit(_out_of_memory(reason, settings, folder)) from None
    except (TypeError, ValueError) as error:
        raise SystemExit(f"advantages eval: {error}") from None
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise _Terminated


def _started(given: dict[str, Any]) -> tuple[Path, Settings]:
    for name in ("model", "benchmark"):
        if name not in given:
            raise ValueError(f"no {name} is named; pass --{name}, or --resume FOLDER; see advantages eval --help")
    output = given.pop("output", None)
    if "data" in given:
        given["data"] = str(Path(given["data"]).resolve())  # for a resumption from elsewhere
    if Path(given["model"]).expanduser().is_dir():
        given["model"] = str(Path(given["model"]).expanduser().resolve())
    settings = Settings(**given)
    model = [part for part in Path(settings.model).parts if part != "model"][-1]
    return output or Path("evaluations") / f"{model}-{settings.benchmark}", settings


def _resumed(given: dict[str, Any]) -> tuple[Path, Settings]:
    from ..evaluation.record import Record

    folder = given.pop("resume")
    if extra := [name for name in given if name not in FREE]:
        raise ValueError(
            f"--resume takes every setting from {folder}, but {', '.join(extra)} was given, too; drop it, or start "
            "another evaluation"
        )
    written = Record.settings(folder)
    try:
        settings = Settings(**{**written, "k": tuple(written["k"])})
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"{folder} was written by {Record.version(folder)} of rl-advantages, but this is {__version__} ({error}); "
            "use that version"
        ) from None
    return folder, dataclasses.replace(settings, **given)


def _evaluate(settings: Settings, folder: Path) -> int:
    from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined]
    from transformers.utils.logging import disable_progress_bar

    from ..evaluation.display import Display
    from ..evaluation.evaluate import evaluate
    from ..files import disk_errors

    disable_progress_bar()
    disable_progress_bars()
    with disk_errors(folder), Display(f"{Path(settings.model).name} on {settings.benchmark}") as display:
        results = evaluate(settings, folder, display)
    display.table(results)
    display.paths(folder)
    return 0


def _out_of_memory(reason: str, settings: Settings | None, folder: Path) -> str:
    sentence = f"advantages eval: out of memory ({reason}); "
    if settings is None or settings.batch_size == 1 or not (folder / "config.json").is_file():
        return sentence + "lower --max-new-tokens, or pass --precision bfloat16"
    return (
        sentence + f"what is finished is kept: go on with advantages eval --resume {folder} "
        f"--batch-size {settings.batch_size // 2}, or lower --max-new-tokens in another evaluation"
    )
