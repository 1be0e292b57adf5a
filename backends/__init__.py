"""One module per array library, each with the same few primitives; `backend_of` finds the right one."""

from collections.abc import Callable
from typing import Any, Protocol

__all__ = ["Backend", "backend_of", "library_of"]


class Backend(Protocol):
    """What each module of this folder provides: the primitives that all else is written in."""

    @property
    def xp(self) -> Any:
        """The module with the library's elementwise functions."""

    @property
    def STATIC(self) -> bool:
        """Whether every new shape is compiled anew, so that shapes must be few."""

    @property
    def GROUP_AXIS(self) -> int:
        """The axis inside a group, in what `blocks` gives."""

    @property
    def REORDERS(self) -> bool:
        """Whether groups of one size that lie scattered are better laid together; not where a shape is a program."""

    def kind(self, x: Any, /) -> str:
        """numpy's letter for the kind of dtype: f(loat), i(nteger), u(nsigned), b(ool), c(omplex)."""

    def device(self, x: Any, /) -> Any:
        """Where `x` is, or None where the library moves or refuses arrays by rules of its own."""

    def traced(self, x: Any, /) -> bool:
        """Whether the values of `x` do not exist yet, because a compiler or a transformation looks at its shape."""

    def transformed(self, x: Any, /) -> bool:
        """Whether a compiler or a transformation looks through `x`, so that what is made of it must not be kept."""

    def on_host(self, x: Any, /) -> bool:
        """Whether reading the values of `x` costs no device synchronisation."""

    def lent(self, x: Any, /) -> Any:
        """`x` as a numpy array where its values may be read, and numpy is quicker on few numbers; None elsewhere."""

    def on_gpu(self, *words: Any) -> bool:
        """Whether kernels of Triton may run on these arrays: they are on a GPU, exist, and want no gradient."""

    def extent(self, x: Any, /) -> tuple[float, float]:
        """The least and the greatest number, NaN where one is: reads the values, so only for an `x` on the host."""

    def norm(self, x: Any, /) -> float:
        """The root of the sum of the squares of floats on the host, in one pass; NaN or infinity where it says nothing
        about them.
        """

    def largest(self, x: Any, /) -> float:
        """The largest finite number of a floating dtype."""

    def to_numpy(self, x: Any, /) -> Any:
        """`x` as a numpy array."""

    def from_numpy(self, x: Any, like: Any, /) -> Any:
        """A numpy array as one of this library, on the device of `like`."""

    def finite(self, words: list[Any], /) -> Any:
        """(N,) whether all of the (N,) floats of each row are finite."""

    def finite_rows(self, words: list[Any], mask: Any, /) -> Any:
        """(N,) whether all of the (N, T) floats of each row are finite where `mask` is True."""

    def stop_gradient(self, x: Any, /) -> Any:
        """`x`, through which no gradient flows."""

    def working(self, x: Any, /) -> Any:
        """`x` in the precision that tokens are worked on: at least float32."""

    def wide_dtype(self, x: Any, /) -> Any:
        """The precision that statistics of responses are formed in: float64 where there is one."""

    def wide(self, x: Any, /) -> Any:
        """`x` in that precision."""

    def result_dtype(self, x: Any, /) -> Any:
        """The floating dtype of advantages made from rewards `x`."""

    def cast(self, x: Any, dtype: Any, bounded: bool = False, /) -> Any:
        """`x` in another dtype; a number that is too large for it becomes the largest that it has.

        `bounded` says that none is too large for float32.
        """

    def running_count(self, mask: Any, /) -> Any:
        """How often `mask` holds up to each place along its last axis."""

    def sums_before(self, x: Any, /) -> Any:
        """(N + 1, ...) sums of the first 0, 1 ... N of (N, ...) numbers."""

    def selected(self, x: Any, mask: Any, /) -> Any:
        """Floats `x` where `mask` of their shape holds, and 0 elsewhere."""

    def filled(self, x: Any, where: Any, number: float, /) -> Any:
        """`x` with a number where (broadcast) `where` holds."""

    def full(self, shape: tuple[int, ...], value: float, like: Any, /) -> Any:
        """An array of one number, with the dtype and device of `like`."""

    def arange(self, count: int, like: Any, /) -> Any:
        """0, 1, 2 ... below `count`, on the device of `like`."""

    def index(self, x: Any, /) -> Any:
        """`x` as integers that can index."""

    def segment(self, reduction: str, x: Any, slots: Any, count: int, /) -> Any:
        """Reduce (N,) `x` to at least (count,): the "sum", "min" or "max" over the rows of each slot; the "sum" also of
        (N, K) numbers, to (count, K).
        """

    def blocks(self, x: Any, size: int, /) -> Any:
        """(N,) `x` cut into groups of `size` neighbouring rows: two axes, one of them inside the group."""

    def rows(self, view: Any, /) -> Any:
        """(N,) what `blocks` gave, as it was."""

    def reduced(self, reduction: str, view: Any, /) -> Any:
        """The "sum", "min", "max", "mean" or "norm" inside each group of what `blocks` gave, kept for broadcasting."""

    def over_rows(self, function: Callable[[Any], Any], rows: Any, tile: int, /) -> Any:
        """`function(rows)` on at most `tile` of the (R,) row numbers at a time, joined along the first axis."""

    def fused(self, function: Callable[..., Any], settings: int = 1, /) -> Callable[..., Any]:
        """`function` of five arguments, compiled once where the library compiles, and anew for another value of the
        last `settings` of them. Overflow is silent.
        """

    def either(
        self, condition: Callable[[], Any], quick: Callable[[], Any], general: Callable[[], Any], like: Any, /
    ) -> Any:
        """What `quick` gives where one condition holds, else what `general` gives, which is right always, and what is
        taken where the values of `like` cannot be looked at.
        """

    def narrow(self, x: Any, /) -> Any:
        """`x` in the precision that pairs are worked on."""

    def sigmoid(self, x: Any, /) -> Any:
        """1 / (1 + exp(-x)), which may be written to the memory of `x`."""

    def contiguous(self, x: Any, /) -> Any:
        """`x` with its last axis along memory."""

    def reverse_scan(self, decay: Any, x: Any, /) -> Any:
        """y[:, t] = x[:, t] + decay[:, t] * y[:, t + 1], with zero beyond the end."""

    def advantages(self, rewards: Any, values: Any, mask: Any, discount: Any, lambda_: Any, /) -> Any:
        """(N, T) r_t + discount * u_{t+1} - V_t where `mask` is True and 0 elsewhere, with
        u_t = (1 - lambda) V_t + lambda (r_t + discount * u_{t+1}); values of None are all zero.

        Time steps over masked tokens. A finite reward on one belongs to the last trained token before it, or else
        to the first one; nothing else is read there. At least float32 inside; the result is in the floating dtype of
        the rewards, or wider.
        """

    def advantages_and_moments(
        self, rewards: Any, values: Any, mask: Any, discount: Any, lambda_: Any, /
    ) -> tuple[Any, Any]:
        """`advantages`, and the `row_moments` of them, formed while each row lies in the cache; None instead of these
        where a second call is as good.
        """

    def centered(
        self, x: Any, scored: Any, order: Any, place: Any, size: int, others: bool, ddof: int, epsilon: float, /
    ) -> Any:
        """(N,) floats on a device above the mean of the scored members of their group, or of the `others` among them,
        and if ddof >= 0 divided by the group's deviation plus `epsilon`; 0 for rows that are not scored. None where
        words for any groups are the better way.

        Groups are blocks of `size` rows, in an `order`, which `place` undoes; both are None where they stand so.
        """

    def row_moments(self, x: Any, mask: Any, /) -> tuple[Any, Any, Any, Any]:
        """Count, one of the numbers, mean above it and squared distances from the mean, of what counts in each row.

        Of (N, T) numbers where `mask` is True; the mean of a row is not finite where one of them is not. (N,) arrays in
        the precision of `wide`, of numpy where `x` is on the host, so that what follows on a few numbers costs the
        library nothing.
        """

    def whitened_alike(self, x: Any, mask: Any, ddof: int, epsilon: Any, /) -> Any:
        """`x` whitened over what is finite and under `mask`, each number alike, and 0 elsewhere, in one go; None where
        moments of rows are the better way.
        """

    def whitened(self, x: Any, mask: Any, origin: Any, mean: Any, scale: Any, own: bool = False, /) -> Any:
        """(N, T) (x - origin - mean) * scale where `mask` is True and 0 elsewhere.

        Where x is our `own`, in its memory, if that can be written to.
        """

    def add_at(self, x: Any, columns: Any, numbers: Any, /) -> Any:
        """(N, T) `x`, which may be written to, with one number added to one column of each row."""

    def gather(self, x: Any, across: Any, /) -> Any:
        """Stack an array of every rank along a new first axis; shapes are equal on all ranks.

        `across` is a torch process group, the name of a JAX axis, or a function that does it.
        """

    def rank(self, across: Any, /) -> Any:
        """The place of the own array in what `gather` gives; None where only a function knows it."""


_KNOWN: dict[type, Backend] = {}


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


def backend_of(x: Any) -> Backend:
    """The backend module for `x`; a library is imported only when one of its arrays appears.

    Raises:
        TypeError: `x` is no array of numpy, torch or JAX.
    """
    found = _KNOWN.get(type(x))
    if found is None:
        found = _KNOWN[type(x)] = _looked_up(x)
    return found


def _looked_up(x: Any) -> Backend:
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
