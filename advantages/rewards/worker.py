"""The other end of `Isolated`: two processes, of which one holds a reward function, and the other keeps it.

Run as a script, so that a spawned process never imports the user's own main module. The keeper alone talks to the
trainer. The judge, forked from it before anything is imported, calls the function, and can reach nothing but the
keeper: what it says counts only as the answer to the request that was put to it last. Between two requests the keeper
ends every process that the last one has left behind, also those in a session of their own, since it is their
subreaper: an orphan becomes its child.
"""

import asyncio
import contextlib
import ctypes
import inspect
import json
import os
import pickle
import signal
import socket
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

PDEATHSIG, DUMPABLE, NO_NEW_PRIVILEGES, SUBREAPER = 1, 4, 38, 36
"""Of prctl(2)."""
LANDLOCK_CREATE, LANDLOCK_RESTRICT = 444, 446
"""System calls."""
LANDLOCK_SCOPES = 6
"""The first version that has scopes: Linux 6.12."""
ABSTRACT_SOCKETS, SIGNALS = 1, 2
"""Scopes of Landlock: those of other processes cannot be reached."""
LONGEST = 2**26
"""Bytes of an answer."""
CLEARING_SECONDS = 10.0
"""How long descendants may take to die."""


def main(parent: Connection) -> None:
    """Answer until the parent hangs up; then nothing that was started here is left."""
    sys.path[:], payload, fresh = pickle.loads(parent.recv_bytes())
    _prctl(SUBREAPER, 1)
    keeper = _Keeper(parent, payload, fresh=fresh)
    try:
        with contextlib.suppress(EOFError, ConnectionError):  # the parent has hung up, or is gone
            keeper.serve()
    finally:
        keeper.clear(judge=True)


class _Ended(Exception):
    """The judge's process has ended, with a status."""


class _Keeper:
    def __init__(self, parent: Connection, payload: bytes, *, fresh: bool) -> None:
        self.parent = parent
        self.socket, theirs = socket.socketpair()
        self.judge = os.fork()
        if self.judge == 0:
            parent.close()
            self.socket.close()
            _judge(theirs, payload, fresh=fresh)
        theirs.close()
        self.alive = os.pidfd_open(self.judge) if sys.platform == "linux" else None
        self.status: int | None = None
        self.standing: set[tuple[int, str]] = set()
        """What `prepare` has started, which stays."""

    def serve(self) -> None:
        try:
            problem = self._answer(b"ready")
            self.parent.send_bytes(problem)
            self.standing = set(_descendants(self.judge))
            while True:
                token, columns = self.parent.recv_bytes().split(b"\n", 1)
                self.socket.sendall(len(columns).to_bytes(8) + token + b"\n" + columns)
                answer = self._answer(token)
                self.clear()
                self.parent.send_bytes(token + b" " + answer)
        except (_Ended, BrokenPipeError, ConnectionResetError):
            self._reap(wait_for_judge=True)
            self.clear(judge=True)
            self.parent.send_bytes(b"ended " + str(self.status).encode())

    def _answer(self, token: bytes) -> bytes:
        """What the judge says to a request; everything else that it says is nothing."""
        said = b""
        sources: list[Any] = [self.parent, self.socket, *([] if self.alive is None else [self.alive])]
        while True:
            ready = wait(sources)
            if self.parent in ready:  # it speaks only to a keeper that is idle
                raise EOFError
            said += (more := self.socket.recv(2**16) if self.socket in ready else b"")
            if not more or len(said) > LONGEST:
                raise _Ended
            *lines, said = said.split(b"\n")
            for line in lines:
                if line.startswith(token + b" "):
                    return line[len(token) + 1 :]

    def clear(self, *, judge: bool = False) -> None:
        """End all descendants but the judge and what stands beside it; or these, too."""
        end = time.monotonic() + CLEARING_SECONDS
        spared, spared_judge = (set(), 0) if judge else (self.standing, self.judge)
        if judge and self.status is None:
            _kill(-self.judge, signal.SIGKILL)  # its group, which is all that can be found without /proc
            _kill(self.judge, signal.SIGKILL)
        while left := [one[0] for one in _descendants(os.getpid()) if one not in spared and one[0] != spared_judge]:
            for number in (signal.SIGSTOP, signal.SIGKILL):  # what is stopped starts no other in the meantime
                for pid in left:
                    _kill(pid, number)
            self._reap()
            if time.monotonic() > end:
                if judge:
                    break
                raise _Ended
        self._reap(wait_for_judge=judge)

    def _reap(self, *, wait_for_judge: bool = False) -> None:
        if wait_for_judge and self.status is None:
            _kill_after(self.judge, 1.0)
            self.status = os.waitstatus_to_exitcode(os.waitpid(self.judge, 0)[1])
        with contextlib.suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                if found[0] == self.judge:
                    self.status = os.waitstatus_to_exitcode(found[1])


def _kill(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _kill_after(pid: int, seconds: float) -> None:
    """Kill a child that does not end by itself."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return
        time.sleep(0.001)
    _kill(pid, signal.SIGKILL)


def _descendants(ancestor: int) -> list[tuple[int, str]]:
    """Living processes below one, each with when it was started; none where there is no /proc."""
    found, todo = [], _children(ancestor)
    while todo:
        pid = todo.pop()
        try:
            state, *rest = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        todo += _children(pid)
        if state not in "ZX":
            found.append((pid, rest[18]))
    return found


def _children(parent: int) -> list[int]:
    """Of all its threads, as the kernel lists them where it was built to; else from every process's own word."""
    found: list[int] = []
    if Path(f"/proc/self/task/{os.getpid()}/children").exists():
        with contextlib.suppress(OSError):  # it has ended
            for thread in os.listdir(f"/proc/{parent}/task"):
                with contextlib.suppress(OSError):  # the thread has, and its children are another's
                    found += map(int, Path(f"/proc/{parent}/task/{thread}/children").read_text().split())
    elif Path("/proc/self/stat").exists():
        for pid in filter(str.isdecimal, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                if int(Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[1]) == parent:
                    found.append(int(pid))
    return found


# The judge


def _judge(keeper: socket.socket, payload: bytes, *, fresh: bool) -> None:
    """Import the function, and call it for each request; never returns."""
    status = 1
    try:
        os.setsid()
        _prctl(PDEATHSIG, signal.SIGKILL)
        _confine()
        stream = keeper.makefile("rb")
        problem, function = _loaded(payload)
        keeper.sendall(b"ready " + json.dumps(problem).encode() + b"\n")
        while problem is None and (size := stream.read(8)):
            token = stream.readline().rstrip(b"\n")
            columns = stream.read(int.from_bytes(size))
            call = _in_a_fork if fresh else _call
            call(keeper, token, function, columns)
        status = 0
    finally:
        os._exit(status)


def _loaded(payload: bytes) -> tuple[str | None, Any]:
    """What went wrong, and the function."""
    try:
        function = pickle.loads(payload)
        getattr(function, "prepare", lambda: None)()
    except Exception as error:
        return f"{type(error).__name__}: {error}", None
    return None, function


def _call(keeper: socket.socket, token: bytes, function: Callable[..., Any], columns: bytes) -> None:
    """Answer [result, null], or [null, [kind, cause]] where the function raised."""
    try:
        result = function(**pickle.loads(columns))
        if inspect.isawaitable(result):
            result = asyncio.run(_awaited(result))
        answer = json.dumps([_plain(result), None])
    except BaseException as error:  # SystemExit too: a function that exits has failed, not this process
        answer = json.dumps([None, [type(error).__name__, str(error)]])
    keeper.sendall(token + b" " + answer.encode() + b"\n")


def _in_a_fork(keeper: socket.socket, token: bytes, function: Callable[..., Any], columns: bytes) -> None:
    """The same in a copy of this process, so that nothing the call changes is there in the next one."""
    pid = os.fork()
    if pid == 0:
        try:
            _confine()
            _call(keeper, token, function, columns)
            sys.stdout.flush()
        finally:
            os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    failure = ["ended", f"its process ended with exit status {status}"]
    keeper.sendall(token + b" " + json.dumps([None, failure]).encode() + b"\n")  # nothing, where it has answered


async def _awaited(result: Any) -> Any:
    return await result


def _plain(result: Any) -> Any:
    """A result as JSON has it: numbers, texts and lists."""
    if result is None or isinstance(result, (bool, int, float, str)):
        return result
    if hasattr(result, "tolist"):
        return _plain(result.tolist())
    if isinstance(result, (list, tuple)):
        return [_plain(entry) for entry in result]
    if hasattr(result, "__float__"):
        return float(result)
    raise TypeError(f"returned {result!r}; return numbers")


# Linux


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _confine() -> None:
    """Whom this process and its descendants can reach: one another.

    With Landlock they can send no signal to others, nor open their memory or files, even as root (who can still read
    an environment, with CAP_PERFMON). Before Linux 6.12, the memory of this process at least is closed to the user's.
    """
    _prctl(DUMPABLE, 0)
    _prctl(NO_NEW_PRIVILEGES, 1)
    if sys.platform != "linux":
        return
    call = ctypes.CDLL(None).syscall
    if call(LANDLOCK_CREATE, None, ctypes.c_size_t(0), 1) >= LANDLOCK_SCOPES:
        rules = (ctypes.c_uint64 * 3)(0, 0, ABSTRACT_SOCKETS | SIGNALS)
        handle = call(LANDLOCK_CREATE, rules, ctypes.c_size_t(ctypes.sizeof(rules)), 0)
        if handle >= 0:
            call(LANDLOCK_RESTRICT, handle, 0)
            os.close(handle)


if __name__ == "__main__":
    main(Connection(int(sys.argv[1])))
