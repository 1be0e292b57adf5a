"""The experiences of one rollout of OpenRLHF as one batch of the vocabulary."""

from collections.abc import Callable, Sequence
from typing import Any

from ... import ops
from ...core.groups import Groups
from ...diagnostics import diagnose

__all__ = ["Rollout", "joined"]


class Rollout:
    """The experiences of one rollout as one batch: row after row, in the order in which OpenRLHF holds them.

    Each experience is a micro-batch with a width of its own; the batch is padded on the right to the widest.
    """

    def __init__(self, experiences: list[Any], token_rewards: list[Any]) -> None:
        import torch

        self.experiences, self.token_rewards = experiences, token_rewards
        self.rewards = torch.cat([e.rewards for e in experiences])
        self.mask = joined([e.action_mask != 0 for e in experiences])
        self.trained = self.mask.any(1)
        """(N,) rows with at least one trained token: a prompt that fills the context leaves none."""

    def parts(self, x: Any) -> list[Any]:
        """(N,) or (N, T) numbers, per experience."""
        parts = x.split([len(e.rewards) for e in self.experiences])
        return [
            part if part.ndim == 1 else part[:, : e.action_mask.shape[1]]
            for e, part in zip(self.experiences, parts, strict=True)
        ]

    def groups(self, per_prompt: int) -> Any:
        """(N,) the number of the prompt that a row answers, from the place that OpenRLHF noted when it sampled.

        Raises:
            ValueError: rows that should answer one prompt have several, as where a response was lost.
        """
        import torch

        ids, prompt_of = [], dict[int, str]()
        for e in self.experiences:
            for place, prompt in zip(e.index, e.prompts, strict=True):
                number = place // per_prompt
                ids.append(number)
                if prompt_of.setdefault(number, prompt) != prompt:
                    raise ValueError(
                        f"responses {number * per_prompt} to {(number + 1) * per_prompt - 1} of the rollout should "
                        f"answer one prompt (--rollout.n_samples_per_prompt is {per_prompt}), but they answer "
                        f"{prompt_of[number]!r} and {prompt!r}; let every prompt return all its responses"
                    )
        return torch.tensor(ids)

    def components(self, names: Sequence[str]) -> Any:
        """(N, K) what the reward function returned under these names, in `extra_logs`."""
        import torch

        columns = []
        for name in names:
            found = [e.info[name] for e in self.experiences if name in e.info]
            if sum(map(len, found)) != len(self.rewards):
                raise ValueError(
                    f"{name} is in extra_logs of {sum(map(len, found))} of {len(self.rewards)} responses; "
                    "return every component for every response, NaN where it was not scored"
                )
            columns.append(torch.cat(found).to(self.rewards.dtype))
        return torch.stack(columns, 1)

    def scored(self, components: Sequence[str] | None) -> Any:
        """(N,) rows with a trained token and a finite reward, or one finite component."""
        import torch

        finite = torch.isfinite(self.rewards if components is None else self.components(components))
        return self.trained & (finite if finite.ndim == 1 else finite.any(1))

    def words(
        self, groups: Any, components: Sequence[str] | None, *, asks_for_valid: bool
    ) -> dict[str, Callable[[], Any]]:
        """The vocabulary, as far as OpenRLHF has it.

        An `@estimator` knows unscored rows by their NaN, and strict=True raises on them; a plain function may ask.
        """

        def of(name: str) -> Callable[[], Any]:
            return lambda: joined([getattr(e, name) for e in self.experiences])

        return {
            "rewards": lambda: self.rewards if components is None else self.components(components),
            "groups": lambda: groups,
            "valid": lambda: self.scored(components) if asks_for_valid else self.trained,
            "lengths": lambda: self.mask.sum(1),
            "mask": lambda: self.mask,
            "logprobs": lambda: ops.sequence_logprobs(of("action_log_probs")(), self.mask),
            "token_logprobs": of("action_log_probs"),
            "ref_token_logprobs": of("base_action_log_probs"),
            "token_rewards": lambda: joined(self.token_rewards),
            "values": of("values"),
        }

    def log(self, groups: Any) -> None:
        """Write the numbers that OpenRLHF logs, and drop the KL divergences, as it does."""
        import torch

        for e, token_rewards in zip(self.experiences, self.token_rewards, strict=True):
            e.info["return"] = token_rewards.sum(1)
            e.kl = None
        if groups is not None:
            deviations = ops.group_std(self.rewards, Groups(groups).where(torch.isfinite(self.rewards)))
            for e, part in zip(self.experiences, self.parts(deviations), strict=True):
                e.info["group_reward_std"] = part
        advantages = joined([e.advantages for e in self.experiences])
        ids = torch.arange(len(self.rewards)) if groups is None else groups
        look = diagnose(self.rewards, advantages, ids, mask=self.mask, valid=self.trained)
        for name, value in look.metrics().items():  # OpenRLHF logs means over responses
            for e in self.experiences:
                e.info[name] = torch.full((len(e.rewards),), value)


def joined(parts: Sequence[Any]) -> Any:
    """(N, T) tensors of several widths as one, with zeros on the right."""
    import torch

    width = max(part.shape[1] for part in parts)
    return torch.cat([torch.nn.functional.pad(part, (0, width - part.shape[1])) for part in parts])
