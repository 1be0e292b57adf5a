"""Everything that an evaluation depends on; every field is an option of `advantages eval`."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from ..core.settings import Count, FiniteNonNegative, Range, Whole, check_fields, option
from ..files import MAP

__all__ = ["Settings"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """What is evaluated, and how.

    Raises:
        TypeError, ValueError: a setting has the wrong type or is out of range, or two do not fit together.
    """

    model: str = option(dataclasses.MISSING, "hub id, local folder, or folder of a run of `advantages train`")
    benchmark: str = option(dataclasses.MISSING, "what it is asked")
    data: str | None = option(
        None, "JSON Lines or Parquet in the schema of the hub data set, where the hub is not to be asked"
    )
    map: Mapping[str, str] = option(
        {},
        "columns of the file that have other names: question=problem,gold=answer",
        form=MAP,
    )
    limit: Whole = option(0, "ask only so many of the problems; 0: all")
    samples: Annotated[int, Range(1, 1000, whole=True)] = option(8, "completions per problem")
    k: tuple[Count, ...] = option((), "sizes k of pass@k and maj@k (default: powers of two, and the samples)")
    temperature: FiniteNonNegative = option(0.6, "of the sampling; 0: the likeliest token each time")
    top_p: Annotated[float, Range(1e-6, 1.0)] = option(0.95, "share of the probability that is sampled from")
    max_new_tokens: Whole = option(0, "longest completion; 0: the benchmark's")
    system: str | None = option(None, "system prompt of the chat template")
    instruction: str | None = option(None, 'what is written under each problem; "": nothing (default: to box it)')
    thinking: bool = option(True, "let the chat template ask for thinking, where it can")
    batch_size: Count = option(16, "completions that are sampled at once")
    device: str = option("auto", "cpu, cuda, or auto: an accelerator where there is one")
    precision: Literal["auto", "float32", "bfloat16"] = option("auto", "auto: bfloat16 on an accelerator, else float32")
    seed: Whole = option(0, "of the sampling and the order of options")

    def __post_init__(self) -> None:
        check_fields(self)
        if self.map and self.data is None:
            raise ValueError("got map, but no data; pass --data, too")
        if self.temperature == 0 and self.samples > 1:
            raise ValueError(
                f"temperature is 0, so the {self.samples} samples of a problem would be one and the same; pass "
                "--samples 1, or a temperature above 0"
            )
        for k in self.k:
            if not 1 <= k <= self.samples:
                raise ValueError(f"k is {k} but there are {self.samples} samples; pass a k from 1 to that")

    @property
    def sizes(self) -> tuple[int, ...]:
        """The k of pass@k and maj@k, 1 always among them."""
        powers = (2**power for power in range(self.samples.bit_length()))
        return tuple(sorted({1, *(self.k or (*powers, self.samples))}))

    @property
    def model_folder(self) -> str:
        """The model's folder where it is a local one or a run's, else its hub id.

        Raises:
            ValueError: the folder holds no model.
        """
        folder = Path(self.model).expanduser()
        if not folder.is_dir():
            if self.model.count("/") > 1:
                raise ValueError(f"model is {self.model!r}, but there is no such folder; pass a folder or a hub id")
            return self.model
        if (folder / "model").is_dir():
            return str(folder / "model")
        if (folder / "experiment.json").is_file():
            runs = ", ".join(str(path.parent) for path in sorted(folder.glob("*/model"))) or "none that has ended"
            raise ValueError(f"{folder} is not one run that has ended with a model; of these it holds {runs}")
        return str(folder)
