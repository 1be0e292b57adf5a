"""The processes that train together, and how they share a step."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, Self, TypeVar

import numpy as np
import torch

from ..policy.rollout import Rollout, joined

__all__ = ["Distributed"]

T = TypeVar("T")


class Distributed:
    """A thin hold on accelerate: one process or many, with replicated (DDP) or sharded (FSDP) weights.

    As a context manager, it leaves the process group at the end: threads of one that is still there when Python goes
    can abort a process that has done all its work.
    """

    def __init__(self, *, device: str, precision: str) -> None:
        try:
            from accelerate import Accelerator
            from accelerate.state import AcceleratorState, is_initialized
        except ImportError:
            raise ValueError("needs accelerate; pip install 'rl-advantages[train]'") from None
        mixed = precision == "mixed" or (precision == "auto" and not device.startswith("cpu"))
        wanted = "bf16" if mixed else "no"
        if is_initialized() and (begun := AcceleratorState().mixed_precision) != wanted:
            raise ValueError(
                f"precision {precision!r} needs a new process: this one began with mixed precision {begun!r}, "
                f"and accelerate has one for all that a process trains; here it is {wanted!r}"
            )
        self.accelerator = Accelerator(mixed_precision=wanted, cpu=device.startswith("cpu"))
        self.rank: int = self.accelerator.process_index
        self.size: int = self.accelerator.num_processes
        self.main: bool = self.accelerator.is_main_process
        self.device: torch.device = self.accelerator.device

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.accelerator.end_training()

    def prepare(self, model: Any, optimizer: Any) -> tuple[Any, Any]:
        prepared: tuple[Any, Any] = self.accelerator.prepare(model, optimizer)
        return prepared

    def share(self, rows: int) -> slice:
        """This process's share of the rows of a step.

        Raises:
            ValueError: the rows do not divide.
        """
        if rows % self.size:
            raise ValueError(
                f"{rows} responses do not divide among {self.size} processes; change --prompts or --group-size"
            )
        each = rows // self.size
        return slice(self.rank * each, (self.rank + 1) * each)

    def join(self, rollout: Rollout, pad: int) -> Rollout:
        """All processes' responses, in the order of their ranks."""
        if self.size == 1:
            return rollout
        return joined(self.everyones(rollout.to("cpu")), pad).to(self.device)

    def join_rows(self, x: torch.Tensor) -> torch.Tensor:
        """All processes' rows, in the order of their ranks; widths must agree."""
        return x if self.size == 1 else torch.cat(self.everyones(x.cpu())).to(x.device)

    def join_scores(self, x: Any) -> Any:
        """All processes' rows of a numpy array."""
        return np.concatenate(self.everyones(x))

    def sum(self, x: float) -> float:
        """The sum of a number over all processes."""
        return float(sum(self.everyones(x)))

    def mean(self, x: dict[str, float | None]) -> dict[str, float | None]:
        """Each number's mean over the processes that know it; None where none does."""
        everyone = self.everyones(x)
        known = {name: [one[name] for one in everyone if one[name] is not None] for name in x}
        return {name: float(np.mean(some)) if some else None for name, some in known.items()}

    def any(self, flag: bool) -> bool:
        """Whether it holds on some process."""
        return any(self.everyones(flag))

    def everyones(self, x: Any) -> list[Any]:
        """Each process's object, in the order of their ranks."""
        if self.size == 1:
            return [x]
        from accelerate.utils import gather_object

        return list(gather_object([x]))

    def on_main(self, function: Callable[[], T]) -> T:
        """What a function gives in the main process, handed to all.

        Raises:
            ValueError: in all processes, where it does in the main one.
        """
        found: Any = None
        refused: str | None = None
        if self.main:
            try:
                found = function()
            except ValueError as error:
                refused = str(error)
        found, refused = self.everyones((found, refused))[0]
        if refused is not None:
            raise ValueError(refused)
        result: T = found
        return result

    @contextmanager
    def held(self, hold: Callable[[], AbstractContextManager[T]]) -> Iterator[T]:
        """What a context manager yields in the main process, which alone enters it, handed to all."""
        with ExitStack() as stack:
            yield self.on_main(lambda: stack.enter_context(hold()))

    @contextmanager
    def whole(self, model: Any) -> Iterator[Any]:
        """The model as `generate` needs it: unwrapped, with whole weights."""
        bare = self.accelerator.unwrap_model(model)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.accelerator.mixed_precision == "bf16"):
            if self.accelerator.distributed_type == "FSDP" and hasattr(model, "unshard"):
                for module in model.modules():
                    if hasattr(module, "unshard"):
                        module.unshard()
                try:
                    yield bare
                finally:
                    for module in model.modules():
                        if hasattr(module, "reshard"):
                            module.reshard()
            elif self.accelerator.distributed_type == "FSDP":
                from torch.distributed.fsdp import FullyShardedDataParallel

                with FullyShardedDataParallel.summon_full_params(model, writeback=False, recurse=True):
                    yield bare
            else:
                yield bare
