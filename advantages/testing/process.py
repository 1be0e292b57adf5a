"""What all code in a process shares, so that a check can see whether a function changes it."""

import contextlib
import decimal
import gc
import logging
import os
import random
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

__all__ = ["restored", "state", "unsettle"]


class _Shared(NamedTuple):
    """A setting of the process."""

    name: str
    read: Callable[[], Any]
    write: Callable[[Any], Any]
    unusual: tuple[Any, Any]
    """Two values, so that setting either shows, and setting any other does twice."""


def _collected(on: bool) -> None:
    (gc.enable if on else gc.disable)()


def _settings() -> Iterator[_Shared]:
    """Those that one value says; of libraries that are loaded only."""
    limit = sys.getrecursionlimit()
    yield _Shared("the recursion limit", sys.getrecursionlimit, sys.setrecursionlimit, (limit + 1, limit + 2))
    yield _Shared("the garbage collector", gc.isenabled, _collected, (True, False))
    yield _Shared(
        "the level that logging is disabled to", lambda: logging.root.manager.disable, logging.disable, (1, 2)
    )
    yield _Shared("the level of the root logger", lambda: logging.root.level, logging.root.setLevel, (28, 29))
    context = decimal.getcontext()
    yield _Shared("the precision of decimal", lambda: context.prec, lambda x: setattr(context, "prec", x), (27, 29))
    if torch := sys.modules.get("torch"):
        dtypes = (torch.float32, torch.float64)
        yield _Shared("torch's default dtype", torch.get_default_dtype, torch.set_default_dtype, dtypes)
        yield _Shared("torch's gradient mode", torch.is_grad_enabled, torch.set_grad_enabled, (False, True))
        yield _Shared("torch's number of threads", torch.get_num_threads, torch.set_num_threads, (1, 2))
        anomalies = torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly
        yield _Shared("torch's anomaly mode", *anomalies, (False, True))
        yield _Shared("torch's deterministic mode", _deterministic, _make_deterministic, ((False, False), (True, True)))


def _deterministic() -> tuple[bool, bool]:
    torch = sys.modules["torch"]
    return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()


def _make_deterministic(how: tuple[bool, bool]) -> None:
    sys.modules["torch"].use_deterministic_algorithms(how[0], warn_only=how[1])


def state() -> dict[str, Any]:
    """Everything that is looked at, by name."""
    found: dict[str, Any] = {one.name: one.read() for one in _settings()}
    found |= {
        "the state of random": random.getstate(),
        "numpy's random state": repr(np.random.get_state(legacy=False)),  # noqa: NPY002
        "numpy's handling of floating-point errors": (np.geterr(), np.geterrcall()),
        "numpy's print options": repr(np.get_printoptions()),
        "the filters of warnings": list(warnings.filters),
        "the handlers of the root logger": list(logging.root.handlers),
        "the environment": dict(os.environ),
        "the working folder": os.getcwd(),
        "sys.path": list(sys.path),
    }
    if torch := sys.modules.get("torch"):
        found |= {
            "torch's random state": torch.get_rng_state().numpy().tobytes(),
            "torch's default device": torch.get_default_device(),
        }
    if jax := sys.modules.get("jax"):
        found |= {
            "JAX's default precision": jax.config.jax_enable_x64,
            "JAX's check for NaN": jax.config.jax_debug_nans,
            "JAX's switch for compilation": jax.config.jax_disable_jit,
        }
    return found


def unsettle(unusual: bool) -> None:
    """Put what is shared where no function would put it, one way or the other, so that setting it shows.

    A function may have done so before. So in the unusual way there is no variable of the environment, and no handler of
    messages, and the working folder is another.
    """
    random.random()
    np.random.random()  # noqa: NPY002
    np.seterr(all="warn" if unusual else "ignore")
    np.set_printoptions(precision=7 if unusual else 5)
    warnings.filterwarnings("default", "no such warning")
    if unusual:
        os.environ.clear()
        logging.root.handlers.clear()
        os.chdir(tempfile.gettempdir())
    for one in _settings():
        one.write(one.unusual[unusual])
    if torch := sys.modules.get("torch"):
        torch.rand(())


@contextlib.contextmanager
def restored() -> Iterator[None]:
    """Put back whatever the block, or the function in it, changes."""
    generator, numpy_generator = random.getstate(), np.random.get_state()  # noqa: NPY002
    environment, folder, path = dict(os.environ), os.getcwd(), list(sys.path)
    handlers = list(logging.root.handlers)
    with contextlib.ExitStack() as stack:
        stack.enter_context(np.errstate())
        stack.enter_context(np.printoptions())
        stack.enter_context(warnings.catch_warnings())
        for one in _settings():
            stack.callback(one.write, one.read())
        if torch := sys.modules.get("torch"):
            stack.enter_context(torch.random.fork_rng(devices=[]))
        if jax := sys.modules.get("jax"):
            for name in ("jax_enable_x64", "jax_debug_nans", "jax_disable_jit"):
                stack.callback(jax.config.update, name, getattr(jax.config, name))
        try:
            yield
        finally:
            random.setstate(generator)
            np.random.set_state(numpy_generator)  # noqa: NPY002
            if dict(os.environ) != environment:
                os.environ.clear()
                os.environ.update(environment)
            os.chdir(folder)
            sys.path[:] = path
            logging.root.handlers[:] = handlers
