"""Three steps on given responses, by as many processes as there are."""

from pathlib import Path

PROMPTS, SAMPLES = 3, 4
CASES = (("lampo", "token"), ("reinforce_plus_plus", "sequence"))
"""Estimators, and how the loss is averaged."""


def steps(folder: Path) -> list[list[dict[str, float | None]]]:
    """The metrics of the steps of each case, whose weights are left in the folder."""
    from safetensors.torch import save_file

    from advantages.runs.config import Config
    from advantages.tasks.chain import TASKS
    from advantages.training.distributed import Distributed
    from advantages.training.loop import Training
    from advantages.training.start import load, open_source

    metrics = []
    with Distributed(device="cpu", precision="float32") as world:  # one group of processes serves all cases
        for estimator, aggregation in CASES:
            config = Config(
                prompts=PROMPTS,
                group_size=SAMPLES,
                minibatches=1,
                micro_batch=2,
                estimator=estimator,
                aggregation=aggregation,
                rewards={"steps_of_processes:digits": 1.0},
                kl=0.1,
            )
            model, tokenizer = load(config, TASKS["chain"], "cpu")
            training = Training(config, model, tokenizer, open_source(config), world)
            training.collector.sampler.engine = Given(world.rank)
            metrics.append([training.step() for _ in range(3)])
            if world.main:
                bare = world.accelerator.unwrap_model(training.model)
                folder.mkdir(exist_ok=True)
                save_file({name: x.clone() for name, x in bare.state_dict().items()}, folder / estimator)
    return metrics


class Given:
    """An engine that gives the same response for the same row of the step, whichever process asks for it."""

    def __init__(self, rank):
        self.rank, self.asked = rank, 0

    def sample(self, model, tokenizer, prompts, *, max_new_tokens, **_):
        import torch

        from advantages.policy.rollout import make_rollout

        ids = tokenizer(list(prompts), add_special_tokens=False).input_ids
        first = self.asked * PROMPTS * SAMPLES + self.rank * len(prompts)
        self.asked += 1
        responses = []
        for row in range(first, first + len(prompts)):
            dice = torch.Generator().manual_seed(row)
            length = int(torch.randint(2, 6, (), generator=dice))
            responses.append([*torch.randint(2, 12, (length,), generator=dice).tolist(), tokenizer.eos_token_id])
        return make_rollout(ids, responses, tokenizer, [tokenizer.eos_token_id], max_new_tokens, model.device)


def digits(*, completions, **_):
    """A reward that differs within groups."""
    return [float(len(text) % 3) for text in completions]
