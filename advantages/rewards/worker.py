"""The other end of `Isolated`: a fresh interpreter that holds one reward function and answers request by request.

Run as a script, so that a spawned process never imports the user's own main module.
"""

import asyncio
import inspect
import pickle
import signal
import sys
from multiprocessing.connection import Connection
from typing import Any


def serve(parent: Connection) -> None:
    """Answer until the parent hangs up.

    `limit` seconds into a request the kernel ends this process: a parent that is alive has done so before.
    """
    sys.path[:], payload, limit = pickle.loads(parent.recv_bytes())
    try:
        function = pickle.loads(payload)
        getattr(function, "prepare", lambda: None)()
    except Exception as error:
        parent.send_bytes(pickle.dumps(f"{type(error).__name__}: {error}"))
        return
    parent.send_bytes(pickle.dumps(None))
    while True:
        try:
            columns = pickle.loads(parent.recv_bytes())
        except EOFError:
            return
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, limit)
        answer = _answer(function, columns)
        signal.setitimer(signal.ITIMER_REAL, 0)
        parent.send_bytes(answer)


def _answer(function: Any, columns: dict[str, Any]) -> bytes:
    """(result, None), or (None, (kind, cause)) where the function raised."""
    try:
        result = function(**columns)
        if inspect.isawaitable(result):
            result = asyncio.run(_awaited(result))
        return pickle.dumps((result, None))
    except BaseException as error:  # SystemExit too: a function that exits has failed, not this worker
        return pickle.dumps((None, (type(error).__name__, str(error))))


async def _awaited(result: Any) -> Any:
    return await result


if __name__ == "__main__":
    serve(Connection(int(sys.argv[1])))
