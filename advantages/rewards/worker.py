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
import resource
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

PDEATHSIG, DUMPABLE, NO_NEW_PRIVILEGES, SUBREAPER = 1, 4, 38, 36
"""Of prctl(2)."""
LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446
"""System calls."""
LANDLOCK_NETWORK, LANDLOCK_SCOPES = 4, 6
"""The first versions that have a network, of Linux 6.7, and scopes, of 6.12."""
ABSTRACT_SOCKETS, SIGNALS = 1, 2
"""Scopes of Landlock: those of other processes cannot be reached."""
WRITE_FILE = 1 << 1
WRITES = WRITE_FILE | sum(1 << bit for bit in range(4, 15))
"""Rights of Landlock: to write, make, move, cut and remove."""
TCP = 3
"""To listen and to connect."""
NEW_NETWORK = 0x40000000
"""Of unshare(2)."""
CAPABILITIES = 0x20080522
"""The version of capset(2)."""
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
LONGEST = 2**26
"""Bytes of an answer."""
LONGEST_CAUSE = 2000
"""Characters of a failure."""
CLEARING_SECONDS = 10.0
"""How long descendants may take to die."""


def main(parent: Connection) -> None:
    """Answer until the parent hangs up; then nothing that was started here is left."""
    sys.path[:], payload, fresh, gigabytes, sealed = pickle.loads(parent.recv_bytes())
    _prctl(SUBREAPER, 1)
    folder = tempfile.mkdtemp(prefix="judge-") if sealed else None
    keeper = _Keeper(parent, payload, fresh=fresh, gigabytes=gigabytes, folder=folder)
    try:
        with contextlib.suppress(EOFError, ConnectionError):  # the parent has hung up, or is gone
            keeper.serve()
    finally:
        keeper.clear(judge=True)
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


class _Ended(Exception):
    """The judge's process has ended, with a status."""


class _Keeper:
    def __init__(
        self, parent: Connection, payload: bytes, *, fresh: bool, gigabytes: float | None, folder: str | None
    ) -> None:
        self.parent = parent
        self.folder = folder
        self.socket, theirs = socket.socketpair()
        self.judge = os.fork()
        if self.judge == 0:
            parent.close()
            self.socket.close()
            _judge(theirs, payload, fresh=fresh, gigabytes=gigabytes, folder=folder)
        theirs.close()
        self.alive = os.pidfd_open(self.judge) if sys.platform == "linux" else None
        self.status: int | None = None
        self.standing: set[tuple[int, str, bool]] = set()
        """What `prepare` has started, which stays."""

    def serve(self) -> None:
        try:
            problem = self._answer(b"ready")
            self.parent.send_bytes(problem)
            self.standing = _descendants(self.judge)
            while True:
                token, columns = self.parent.recv_bytes().split(b"\n", 1)
                self.socket.sendall(len(columns).to_bytes(8) + token + b"\n" + columns)
                answer = self._answer(token)
                self.clear()
                _empty(self.folder)
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
        """End all descendants but the judge and what stands beside it; or these, too.

        One look is not enough: while it goes on, a parent can end, whose child moves to where it has already looked.
        Such a child stands where the next look sees it, or has changed what that sees.
        """
        end = time.monotonic() + CLEARING_SECONDS
        spared, spared_judge = (set(), 0) if judge else (self.standing, self.judge)
        if judge and self.status is None:
            _kill(-self.judge, signal.SIGKILL)  # its group, which is all that can be found without /proc
            _kill(self.judge, signal.SIGKILL)
        before: set[tuple[int, str, bool]] = set()
        while True:
            seen = _descendants(os.getpid())
            left = [pid for pid, _, lives in seen - spared if lives and pid != spared_judge]
            if not left and seen == before:
                break
            before = seen
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


def _empty(folder: str | None) -> None:
    """Remove what a request has left in the folder that is its own."""
    if folder is None:
        return
    os.chmod(folder, 0o700)
    for entry in Path(folder).iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)


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


def _descendants(ancestor: int) -> set[tuple[int, str, bool]]:
    """Processes below one, each with when it was started and whether it lives; none where there is no /proc."""
    found, todo = set(), _children(ancestor)
    while todo:
        pid = todo.pop()
        try:
            state, *rest = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:  # it has ended, and its parent knows
            found.add((pid, "", False))
            continue
        todo += _children(pid)
        found.add((pid, rest[18], state not in "ZX"))
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


def _judge(keeper: socket.socket, payload: bytes, *, fresh: bool, gigabytes: float | None, folder: str | None) -> None:
    """Import the function, and call it for each request; never returns."""
    status = 1
    try:
        os.setsid()
        _prctl(PDEATHSIG, signal.SIGKILL)
        _limit_memory(gigabytes)
        stream = keeper.makefile("rb")
        problem = None if folder is None else _seal(folder)
        _confine()
        home = os.getcwd()
        function: Any = None
        if problem is None:
            problem, function = _loaded(payload)
        keeper.sendall(b"ready " + json.dumps(problem).encode() + b"\n")
        while problem is None and (size := stream.read(8)):
            token = stream.readline().rstrip(b"\n")
            columns = stream.read(int.from_bytes(size))
            signal.alarm(0)  # neither an alarm nor another folder is left to the next request
            with contextlib.suppress(OSError):
                os.chdir(home)
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
        answer = json.dumps([None, [type(error).__name__, str(error)[:LONGEST_CAUSE]]])
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


def _limit_memory(gigabytes: float | None) -> None:
    """What is allocated beyond is a MemoryError; where memory runs out all the same, this process goes first."""
    if gigabytes is not None:
        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        bytes_ = int(gigabytes * 2**30)
        bytes_ = bytes_ if most == resource.RLIM_INFINITY else min(bytes_, most)
        resource.setrlimit(resource.RLIMIT_DATA, (bytes_, bytes_))
    with contextlib.suppress(OSError):  # there is none outside of Linux
        Path("/proc/self/oom_score_adj").write_text("1000")


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
    if _landlock_version() >= LANDLOCK_SCOPES:
        _restrict(0, 0, ABSTRACT_SOCKETS | SIGNALS)


def _seal(folder: str) -> str | None:
    """Leave this process and its descendants one folder to write in, no network, and no power of root's.

    Returns:
        What is missing here, None where it was done.
    """
    version = _landlock_version()
    if version < LANDLOCK_NETWORK:
        return "sealed is True, which takes Landlock as of Linux 6.7; pass sealed=False, and use a container"
    _prctl(NO_NEW_PRIVILEGES, 1)
    os.environ["TMPDIR"] = tempfile.tempdir = folder
    os.chdir(folder)
    ctypes.CDLL(None).unshare(NEW_NETWORK)  # root may, and is left without UDP, too
    if not _restrict(WRITES, TCP, 0, {folder: WRITES, **dict.fromkeys(DEVICES, WRITE_FILE)}):
        return "sealed is True, but Landlock refuses to restrict files; pass sealed=False, and use a container"
    header, none = (ctypes.c_uint32 * 2)(CAPABILITIES, 0), (ctypes.c_uint32 * 6)()
    ctypes.CDLL(None).capset(header, none)
    return None


def _landlock_version() -> int:
    """0 where there is none."""
    if sys.platform != "linux":
        return 0
    return max(0, ctypes.CDLL(None).syscall(LANDLOCK_CREATE, None, ctypes.c_size_t(0), 1))


def _restrict(files: int, network: int, scopes: int, allowed: dict[str, int] | None = None) -> bool:
    """Take rights from this process by Landlock, but for those allowed below paths; whether it was done."""
    call = ctypes.CDLL(None).syscall
    size = 24 if scopes else 16  # what older versions know
    handled = (ctypes.c_uint64 * 3)(files, network, scopes)
    rules = call(LANDLOCK_CREATE, handled, ctypes.c_size_t(size), 0)
    if rules < 0:
        return False
    try:
        for path, rights in (allowed or {}).items():
            if os.path.exists(path):
                below = os.open(path, os.O_PATH | os.O_CLOEXEC)
                call(LANDLOCK_ADD, rules, 1, rights.to_bytes(8, sys.byteorder) + below.to_bytes(4, sys.byteorder), 0)
                os.close(below)
        return bool(call(LANDLOCK_RESTRICT, rules, 0) == 0)
    finally:
        os.close(rules)


if __name__ == "__main__":
    main(Connection(int(sys.argv[1])))
