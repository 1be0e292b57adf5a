"""Reward functions that may hang, crash or never return, called in a process of their own.

A thread cannot be cut off, and a signal reaches only the main thread and only between two Python instructions, so
neither ends a regular expression or a big-integer power that spins in C. A process can be killed. It is started with
`subprocess`, which forks and executes at once: safe where the parent has threads or CUDA, whose state a plain fork
would copy broken; and unlike a spawned `multiprocessing` process it does not run the user's main module again.
"""

import contextlib
import json
import math
import multiprocessing
import os
import pickle
import queue
import re
import secrets
import signal
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ..core.settings import Count, FinitePositive, check_arguments
from .checks import EXTRAS, Ledger, NotStartedError, WrongTypeError, column, name_of, needs_of, scores_of, taken
from .names import resolve

__all__ = ["Isolated"]

START_SECONDS = 300.0
"""How long a worker may take to import what the function needs."""
ENDING_SECONDS = 15.0
"""How long a worker may take to end what it has started."""
MARK = "ADVANTAGES_JUDGE"
"""Variable by which a worker's descendants are known where the worker is gone."""
SECRET = re.compile(r"TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|_KEY(_|$)|^KEY_", re.IGNORECASE)
DISTRIBUTED = re.compile(r"(LOCAL_|GROUP_|ROLE_)?(RANK|WORLD_SIZE)$|MASTER_(ADDR|PORT)$|TORCHELASTIC_")
SCRIPT = str(Path(__file__).with_name("worker.py"))
LIVE = (*EXTRAS, "environments")
"""What TRL passes that is no data, and cannot be sent to another process."""

Failure = tuple[str, str]
"""What kind of failure, and in words."""


class Isolated:
    """A reward function that is cut off where it takes too long, and whose crashes stay its own.

    What a response that is run by the function can do ends there, too. It cannot answer for the function, since each
    request has a number and a secret of its own; answers are plain data; no process that it starts outlives the call
    (on Linux, also those in a session of their own; elsewhere only the function's own process group is ended); and on
    Linux from 6.12 on, with Landlock, it can send no signal to the trainer and open neither its memory nor, unless
    as root, its environment; where memory runs out, the kernel ends it before the trainer. It can do what the user may
    with files and the network, unless `sealed`. A response that is executed in the function's own interpreter, as by
    `exec`, can look at what the function knows, and so give itself any score: run it as a program of its own.

    Responses whose scoring failed are None, one warning tells of the first of each kind, and `failures` counts them.
    The first call starts the worker process (about a second, and the imports of the function's module); a worker
    that had to be killed is started anew. Workers end with this object, or with the parent.

    Args:
        function: a reward function, or the name of one; it is pickled by its path, so it must be importable: no
            lambda, nothing defined in `__main__`. It is sent the columns, not the live objects that TRL also passes.
        seconds: the longest that one call may take.
        per_row: call the function once per response, so that only the response that it fails on is unscored. For
            functions that look at one response at a time.
        workers: processes that share the responses, where `per_row`.
        fresh: make each call in a copy of the process that has imported the function, so that what one call changes
            there is undone before the next. For functions that run responses in their own interpreter, as by `exec`;
            a model on a GPU, or a connection, would have to be made anew for each call.
        gigabytes: the most memory of the function's process, and of each that it starts, on Linux; beyond it, it sees a
            MemoryError. Counted is what is allocated, not what is used: torch takes some 2 when it is imported.
        sealed: give the function no network, no power of root's, and one folder to write in, which is where it runs, is
            emptied after each call and removed in the end; on Linux from 6.7 on, elsewhere it is refused. It still
            reads what the user may, sets modes and times of the user's files, and reaches sockets that are files; a
            user who is not root keeps UDP.
        environment: names of variables that the function needs although they look like secrets (`OPENAI_API_KEY`), or
            like a place in the trainer's process group (`RANK`). Others of these are kept from it.

    Raises:
        TypeError, ValueError: a setting, or a function that cannot be sent to another process.
        NotStartedError: the first worker does not start, as where an import fails; on the first call.

    >>> from advantages.rewards import Format
    >>> evil = Isolated(Format(pattern="(a+)+b"), seconds=0.5, per_row=True)
    >>> import warnings
    >>> with warnings.catch_warnings(action="ignore"):
    ...     evil(completions=["aab", "a" * 64, "b"])
    [1.0, None, 0.0]
    >>> dict(evil.failures)
    {'too slow': 1}
    """

    def __init__(
        self,
        function: str | Callable[..., Any],
        *,
        seconds: FinitePositive = 30.0,
        per_row: bool = False,
        workers: Count = 1,
        fresh: bool = False,
        gigabytes: FinitePositive | None = None,
        sealed: bool = False,
        environment: Sequence[str] = (),
    ) -> None:
        self.function = resolve(function) if isinstance(function, str) else function
        if not callable(self.function):
            raise TypeError(f"Isolated: function is a {type(function).__name__}; pass a reward function")
        self.__name__ = name_of(self.function)
        check_arguments(
            self.__name__,
            Isolated.__init__,
            seconds=seconds,
            per_row=per_row,
            workers=workers,
            fresh=fresh,
            gigabytes=gigabytes,
            sealed=sealed,
        )
        if isinstance(environment, str) or not all(isinstance(name, str) for name in environment):
            raise TypeError(f"{self.__name__}: environment is {environment!r}; pass a list of names of variables")
        if workers > 1 and not per_row:
            raise ValueError(f"{self.__name__}: workers is {workers} but per_row is False; only rows can be shared")
        if os.name != "posix":
            raise RuntimeError(f"{self.__name__}: cannot be isolated on this system; Linux or macOS is needed")
        self.seconds = seconds
        self.per_row = per_row
        self.workers = workers
        self.fresh = fresh
        self.gigabytes = gigabytes
        self.sealed = sealed
        self.environment = tuple(environment)
        self._payload = _pickled(self.__name__, self.function)
        self._start()

    def _start(self) -> None:
        self._ledger = Ledger(self.__name__)
        self._idle: queue.LifoQueue[_Worker] = queue.LifoQueue()
        for _ in range(self.workers):
            self._idle.put(_Worker(self, self._payload))

    @property
    def needs(self) -> tuple[str, ...]:
        """Columns that the function needs."""
        return needs_of(self.function)

    @property
    def failures(self) -> dict[str, int]:
        """Responses left unscored, by what happened: "too slow", "ended" or the exception's name."""
        return dict(self._ledger.counts)

    def __call__(self, **columns: Any) -> list[float | None]:
        """One score per completion; None where scoring it failed."""
        scores: list[float | None] = []
        for result, rows in self._called(columns):
            found = [math.nan] * rows if result is None else scores_of(self.__name__, result, rows)
            scores += [None if score != score else score for score in found]
        return scores

    def results(self, **columns: Any) -> list[Any]:
        """One entry per completion, of whatever the function returns a list of; None where it failed."""
        entries: list[Any] = []
        for result, rows in self._called(columns):
            entries += [None] * rows if result is None else result
        return entries

    def _called(self, columns: dict[str, Any]) -> Iterator[tuple[Any, int]]:
        """What each call returned, None where it failed, and of how many completions."""
        rows = len(columns["completions"])
        given = taken(self.function, columns)
        lists = {name: list(column(self.__name__, name, given, rows)) for name in given if name not in LIVE}
        if not self.per_row:
            yield self._read(self._ask(lists), rows), rows
            return
        requests = [{name: values[row : row + 1] for name, values in lists.items()} for row in range(rows)]
        if self.workers == 1:
            answers = list(map(self._ask, requests))
        else:
            with ThreadPoolExecutor(self.workers) as threads:
                answers = list(threads.map(self._ask, requests))
        for answer in answers:
            yield self._read(answer, 1), 1

    def _ask(self, columns: dict[str, Any]) -> tuple[Any, Failure | None]:
        worker = self._idle.get()
        try:
            return worker.ask(columns)
        finally:
            self._idle.put(worker)

    def _read(self, answer: tuple[Any, Failure | None], rows: int) -> Any:
        result, failure = answer
        if failure is not None:
            self._ledger.add(failure[0], rows, failure[1])
            return None
        if result is None:
            raise WrongTypeError(f"{self.__name__}: returned a NoneType; return a list with one entry per response")
        return result

    def close(self) -> None:
        """End the workers; a later call starts new ones."""
        for worker in list(self._idle.queue):
            worker.stop()

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key not in ("_idle", "_ledger")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._start()

    def __repr__(self) -> str:
        return f"Isolated({self.function!r}, seconds={self.seconds}, per_row={self.per_row}, workers={self.workers})"


def _pickled(who: str, function: Any) -> bytes:
    try:
        payload = pickle.dumps(function)
    except Exception as error:
        raise TypeError(f"{who}: cannot be sent to another process ({error}); define it in a module") from None
    if b"__main__" in payload:
        raise ValueError(f"{who}: is defined in __main__, which another process cannot import; move it to a module")
    return payload


class _Worker:
    """A keeper and its judge: started when asked, ended where they do not answer in time."""

    def __init__(self, settings: Isolated, payload: bytes) -> None:
        self.who = settings.__name__
        self.seconds = settings.seconds
        self.environment = settings.environment
        self.start_with = (payload, settings.fresh, settings.gigabytes, settings.sealed)
        self.asked = 0
        self.started = False
        self.connection: Connection | None = None
        self.end: Callable[[], None] | None = None
        self.owner = 0

    def ask(self, columns: dict[str, Any]) -> tuple[Any, Failure | None]:
        """The function's result, or a failure."""
        try:
            request = pickle.dumps(columns)
        except Exception as error:
            raise WrongTypeError(
                f"{self.who}: the columns {', '.join(columns)} cannot be sent to another process ({error}); "
                "pass plain data"
            ) from None
        try:
            return self._answer(request)
        except NotStartedError as error:
            if not self.started:
                raise
            return None, ("not started", str(error))
        except (EOFError, OSError):
            self.stop()
            return None, ("ended", "its process was ended from outside")
        except BaseException:  # such as Ctrl-C: the answer to this request must not be taken for the next one's
            self.stop()
            raise

    def _answer(self, request: bytes) -> tuple[Any, Failure | None]:
        connection = self.start()
        self.asked += 1
        token = f"{self.asked}-{secrets.token_hex(16)}".encode()
        connection.send_bytes(token + b"\n" + request)
        if not connection.poll(self.seconds):
            self.stop()
            return None, ("too slow", f"gave no score within {self.seconds:g} seconds and was cut off")
        word, answer = connection.recv_bytes().split(b" ", 1)
        if word == b"ended":
            self.stop()
            return None, ("ended", f"its process ended with exit status {answer.decode()}")
        try:
            if word != token:
                raise ValueError("it is of another request")
            result, failure = json.loads(answer)
            if failure is None:
                return result, None
            kind, cause = map(str, failure)
        except (ValueError, TypeError, RecursionError) as error:
            self.stop()
            return None, ("unreadable", f"gave an answer that cannot be read ({error})")
        return None, (kind, cause if kind == "ended" else f"raised {kind}: {cause}")

    def start(self) -> Connection:
        """The connection to the keeper, which is started where there is none."""
        if self.connection is not None and self.owner == os.getpid():
            return self.connection
        mark = secrets.token_hex(16)
        try:
            ours, theirs = multiprocessing.Pipe()
            with theirs:
                process = subprocess.Popen(
                    [sys.executable, "-P", SCRIPT, str(theirs.fileno())],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    env={**_environment(self.environment), MARK: mark},
                    start_new_session=True,  # Ctrl-C is the parent's to handle, and the terminal its own
                )
        except OSError as error:  # such as too many processes, or no memory for one
            raise NotStartedError(f"{self.who}: its worker process could not be started ({error})") from None
        self.connection = ours
        self.owner = os.getpid()
        self.end = weakref.finalize(self, _end, process, ours, self.owner, mark)
        try:
            ours.send_bytes(pickle.dumps((sys.path, *self.start_with)))
            problem = json.loads(ours.recv_bytes()) if ours.poll(START_SECONDS) else "it took too long"
        except (EOFError, OSError, ValueError):
            problem = "it ended before it was ready"
        if problem is not None:
            self.stop()
            raise NotStartedError(f"{self.who}: its worker process did not start ({problem}); see what it printed")
        self.started = True
        return ours

    def stop(self) -> None:
        """End the keeper, and with it everything that it has started."""
        end, self.end, self.connection = self.end, None, None
        if end is not None:
            end()


def _environment(names: tuple[str, ...]) -> dict[str, str]:
    """Variables that a judge gets: without what looks like a secret, or like a place in the trainer's own group."""
    return {
        name: value
        for name, value in os.environ.items()
        if name in names or not (SECRET.search(name) or DISTRIBUTED.match(name))
    }


def _end(process: "subprocess.Popen[bytes]", connection: Connection, owner: int, mark: str) -> None:
    connection.close()
    if os.getpid() != owner:  # a fork of the owner, which has no say over the process
        return
    clean = False
    try:
        with contextlib.suppress(subprocess.TimeoutExpired):
            clean = process.wait(ENDING_SECONDS) == 0
    finally:
        if not clean:  # a keeper that was stopped or killed, or is not waited for, leaves others behind
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            for file in Path("/proc").glob("[0-9]*/environ"):
                with contextlib.suppress(OSError):
                    if f"{MARK}={mark}".encode() in file.read_bytes().split(b"\0"):
                        os.kill(int(file.parent.name), signal.SIGKILL)
