"""Run by `accelerate launch`: each process saves what it made of its share of each run's generation batch."""

import sys
from pathlib import Path

import torch
from trl_runs import Watched, make_trainer

from advantages.adapters.trl import GRPOTrainer, RLOOTrainer

RUNS = {
    "lampo": (GRPOTrainer, {"advantage": "lampo"}),
    "gdpo": (GRPOTrainer, {"advantage": "gdpo"}),
    "reinforce_plus_plus": (GRPOTrainer, {"advantage": "reinforce_plus_plus"}),
    "reinforce_plus_plus_baseline": (GRPOTrainer, {"advantage": "reinforce_plus_plus_baseline", "num_iterations": 2}),
    "rloo": (RLOOTrainer, {"advantage": "rloo", "beta": 0.0}),
    "rloo with a penalty": (RLOOTrainer, {"advantage": "rloo", "beta": 0.5}),
}


def main(folder, output):
    for name, (trainer_class, options) in RUNS.items():
        # Three groups of four on two processes: the second group is split, and responses are of different lengths.
        trainer = make_trainer(
            folder,
            output,
            trainer_class,
            max_steps=2,
            per_device_train_batch_size=6,
            per_device_eval_batch_size=6,
            max_completion_length=16,
            **options,
        )
        watched = Watched(trainer)
        trainer.train()
        trained = torch.cat([parameter.detach().flatten() for parameter in trainer.model.parameters()])
        evaluated = trainer.evaluate()
        torch.save(
            {
                "batches": watched.batches,
                "scores": watched.scores,
                "losses": watched.losses,
                "trained": trained,
                "logged": trainer.state.log_history[0],
                "column": list(trainer._logs["advantages"]),
                "evaluated": {key: value for key, value in evaluated.items() if key.startswith("eval_advantages")},
            },
            Path(output) / f"{name}.{trainer.accelerator.process_index}.pt",
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
