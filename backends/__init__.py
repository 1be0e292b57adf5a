"""One module per array library, each with the same few primitives; `backend_of` finds the right one."""

from types import ModuleType
from typing import Any

__all__ = ["backend_of", "library_of"]


def library_of(x: object) -> str | None:
    """Name of the array library that `x` belongs to: "numpy", "torch", "jax", or None.

    >>> import numpy as np
    >>> library_of(np.ones(2)), library_of([1.0, 1.0])
    ('numpy', None)
    """
    for cls in type(x).__mro__:
        match cls.__module__.partition(".")[0]:
            case "numpy":
                return "numpy"
            case "torch":
                return "torch"
            case "jax" | "jaxlib":
                return "jax"
    return None


def backend_of(x: Any) -> ModuleType:
    """The backend module for `x`; a library is imported only when one of its arrays appears.

    Raises:
        TypeError: `x` is no array of numpy, torch or JAX.
    """
    # An import statement inside a branch is the one lazy form that a cold torch.compile(fullgraph=True) can trace.
    match library_of(x):
        case "numpy":
            from . import numpy as numpy_backend

            return numpy_backend
        case "torch":
            from . import torch as torch_backend

            return torch_backend
        case "jax":
            from . import jax as jax_backend

            return jax_backend
    raise TypeError(f"expected a numpy, torch or JAX array, but got {type(x).__name__}; convert it to one of these")
