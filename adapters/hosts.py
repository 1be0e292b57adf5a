"""The frameworks that there are adapters for, and what each can hand to an estimator."""

from ..host import Flag, Host

__all__ = ["HOSTS"]

_RESPONSES = frozenset({"rewards", "groups", "mask", "lengths", "valid", "logprobs"})
_TOKENS = frozenset({"token_rewards", "token_logprobs", "ref_token_logprobs"})

HOSTS: dict[str, Host] = {
    host.name: host
    for host in (
        Host(
            "TRL",
            "trl",
            ">=1.16,<1.17",
            _RESPONSES | _TOKENS,
            real=True,
            fills={
                "weights": "pass reward_weights to the trainer's configuration",
                "components": "they are named after the reward functions",
            },
            samples="num_generations",
        ),
        Host(
            "verl",
            "verl",
            ">=0.9.1,<0.10",
            _RESPONSES | _TOKENS | {"values", "trajectories"},
            real=True,
            flags={"discount": Flag("algorithm.gamma"), "lambda_": Flag("algorithm.lam")},
            fills={
                "weights": "pass +algorithm.gdpo_reward_weights",
                "components": "they are named by +algorithm.gdpo_reward_keys",
            },
            samples="actor_rollout_ref.rollout.n",
        ),
        Host(
            "OpenRLHF",
            "openrlhf",
            ">=0.11.2,<0.12",
            _RESPONSES | _TOKENS | {"values"},
            real=True,
            flags={"discount": Flag("--algo.advantage.gamma"), "lambda_": Flag("--algo.advantage.lambd")},
            samples="--rollout.n_samples_per_prompt",
        ),
        Host(
            "tunix",
            "google-tunix",
            ">=0.1.7,<0.2",
            frozenset({"rewards", "groups", "valid"}),
            real=True,
            components=False,
            samples="num_generations",
        ),
        Host(
            "tunix PPO",
            "google-tunix",
            ">=0.1.7,<0.2",
            frozenset({"token_rewards", "values", "mask"}),
            real=True,
            flags={"discount": Flag("PPOConfig.gamma"), "lambda_": Flag("PPOConfig.gae_lambda", 0.95)},
        ),
        Host(
            "SkyRL",
            "skyrl",
            "==0.3.0",
            _RESPONSES | _TOKENS | {"values"},
            real=True,
            components=False,
            flags={"discount": Flag("trainer.algorithm.gamma"), "lambda_": Flag("trainer.algorithm.lambd")},
            samples="generator.n_samples_per_prompt",
        ),
        Host(
            "slime",
            "slime",
            "==0.3.1",
            _RESPONSES - {"mask"} | {"trajectories"},
            real=False,
            components=False,
            samples="--n-samples-per-prompt",
        ),
    )
}
