"""Everything that an evaluation depends on; every field is an option of `advantages eval`."""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["Settings"]

PRECISIONS = ("auto", "float32", "bfloat16")


def _option(default: Any, meaning: str, *, least: float | None = None, most: float | None = None) -> Any:
    facts = {"meaning": meaning, "least": least, "most": most}
    if isinstance(default, Mapping):
        return dataclasses.field(default_factory=lambda: dict(default), metadata=facts)
    return dataclasses.field(default=default, metadata=facts)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """What is evaluated, and how.

    Raises:
        ValueError: a setting is out of range, or two do not fit together.
    """

    model: str = _option(dataclasses.MISSING, "hub id, local folder, or folder of a run of `advantages train`")
    benchmark: str = _option(dataclasses.MISSING, "what it is asked")
    data: str | None = _option(
        None, "JSON Lines or Parquet in the schema of the hub data set, where the hub is not to be asked"
    )
    map: Mapping[str, str] = _option({}, "columns of the file that have other names: question=problem,gold=answer")
    limit: int = _option(0, "ask only so many of the problems; 0: all", least=0)
    samples: int = _option(8, "completions per problem", least=1, most=1000)
    k: tuple[int, ...] = _option((), "sizes k of pass@k and maj@k (default: powers of two, and the samples)")
    temperature: float = _option(0.6, "of the sampling; 0: the likeliest token each time", least=0)
    top_p: float = _option(0.95, "share of the probability that is sampled from", least=1e-6, most=1)
    max_new_tokens: int = _option(0, "longest completion; 0: the benchmark's", least=0)
    system: str | None = _option(None, "system prompt of the chat template")
    instruction: str | None = _option(None, 'what is written under each problem; "": nothing (default: to box it)')
    thinking: bool = _option(True, "let the chat template ask for thinking, where it can")
    batch_size: int = _option(16, "completions that are sampled at once", least=1)
    device: str = _option("auto", "cpu, cuda, or auto: an accelerator where there is one")
    precision: str = _option("auto", "auto: bfloat16 on an accelerator, else float32")
    seed: int = _option(0, "of the sampling and the order of options", least=0)

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value, least, most = getattr(self, field.name), field.metadata["least"], field.metadata["most"]
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"{field.name} is {value}; pass a finite number")
            if least is not None and value < least:
                raise ValueError(f"{field.name} is {value}; pass a number of at least {least:g}")
            if most is not None and value > most:
                raise ValueError(f"{field.name} is {value}; pass a number of at most {most:g}")
        if self.map and self.data is None:
            raise ValueError("got map, but no data; pass --data, too")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision is {self.precision!r}; pass one of {', '.join(PRECISIONS)}")
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
