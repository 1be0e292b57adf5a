"""What OpenRLHF imports from vLLM, which needs CUDA; none of it is called in the tests."""

__version__ = "0"


class SamplingParams: ...
