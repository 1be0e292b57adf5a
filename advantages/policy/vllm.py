"""vLLM as the engine of rollouts, beside the model in its process."""

import math
import os
import tempfile
from collections.abc import Sequence
from typing import Any

import torch

from .engine import NotFiniteError, end_tokens
from .rollout import Rollout, make_rollout

__all__ = ["VLLM"]


class VLLM:
    """The `Engine` that is vLLM, whose weights follow those of a model that is being trained.

    Its log-probabilities differ from the model's own by rounding; the rollout carries them, so that the loss can
    weigh the difference.

    Args:
        model: a causal language model of transformers.
        tokenizer: its tokenizer.
        context: tokens of the longest prompt and response together.
        dtype: of vLLM's weights.
        memory: share of the accelerator's memory that vLLM may take.

    Raises:
        ValueError: vLLM is not installed.
    """

    def __init__(self, model: Any, tokenizer: Any, *, context: int, dtype: torch.dtype, memory: float) -> None:
        os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"  # weights can be handed over within one process alone
        try:
            from vllm import LLM, SamplingParams  # pyright: ignore[reportMissingImports, reportAttributeAccessIssue]
        except ImportError:
            raise ValueError("engine is 'vllm', which is not installed; pip install vllm") from None
        with tempfile.TemporaryDirectory() as folder:
            model.config.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
            self._llm = LLM(
                model=folder,
                load_format="dummy",
                dtype=str(dtype).removeprefix("torch."),
                max_model_len=context,
                gpu_memory_utilization=memory,
                logprobs_mode="processed_logprobs",  # of the distribution that was sampled from
                generation_config="vllm",  # its own neutral settings, not those of the checkpoint
                trust_remote_code=False,
            )
        self._params = SamplingParams
        self._version: int | None = None

    def sample(
        self,
        model: Any,
        tokenizer: Any,
        prompts: Sequence[str],
        *,
        max_new_tokens: int,
        temperature: float = 1.0,
        top_p: float = 1.0,
        greedy: bool = False,
        version: int = 0,
    ) -> Rollout:
        """One response to each prompt; see `Engine`."""
        if version != self._version:
            self._llm.collective_rpc("reload_weights", kwargs={"weights_iterator": iter(model.state_dict().items())})
            self._llm.reset_prefix_cache()
            self._version = version
        ends = end_tokens(model, tokenizer)
        ids = tokenizer(list(prompts), add_special_tokens=False).input_ids
        seeds = torch.randint(2**31, (len(ids),)).tolist()
        how = {"temperature": 0.0} if greedy else {"temperature": temperature, "top_p": top_p}
        params = [
            self._params(**how, max_tokens=max_new_tokens, logprobs=0, stop_token_ids=ends, detokenize=False, seed=seed)
            for seed in seeds
        ]
        found = self._llm.generate([{"prompt_token_ids": row} for row in ids], params, use_tqdm=False)
        answers = [one.outputs[0] for one in found]
        responses = [list(answer.token_ids) for answer in answers]
        logprobs = [
            [place[token].logprob for place, token in zip(answer.logprobs, response, strict=True)]
            for answer, response in zip(answers, responses, strict=True)
        ]
        if not all(math.isfinite(x) for row in logprobs for x in row):
            raise NotFiniteError
        return make_rollout(ids, responses, tokenizer, ends, max_new_tokens, model.device, logprobs)
