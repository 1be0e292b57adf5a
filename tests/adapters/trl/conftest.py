"""Real trainers of TRL on a tiny random Qwen3 that lies in a folder, offline and on a CPU."""

import os
from collections import defaultdict

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"

PROMPTS = ["1+2=", "3=", "20+11=", "7+5+3="]


def share(completions, **_):
    """Share of the letters that are even digits: some number for every text."""
    return [sum(letter in "02468" for letter in text) / (len(text) or 1) for text in completions]


def short(completions, **_):
    """Minus the length; a text that holds a "+" before any "=" is not scored."""
    return [None if "+" in text.partition("=")[0] else -len(text) / 8 for text in completions]


def never(completions, **_):
    """Scores only texts that begin with a digit."""
    return [1.0 if text[:1].isdigit() else None for text in completions]


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A model and its tokenizer, as a path that `from_pretrained` reads."""
    from advantages.training.tiny import character_tokenizer, tiny_model

    path = tmp_path_factory.mktemp("model")
    tokenizer = character_tokenizer("0123456789+=")
    tokenizer.save_pretrained(path)
    tiny_model("qwen3", tokenizer, seed=0).save_pretrained(path)
    return str(path)


@pytest.fixture
def make(folder, tmp_path):
    """Make a trainer: `make(GRPOTrainer, advantage="lampo", num_generations=4)`; unknown words go to its config."""
    import trl
    from datasets import Dataset
    from transformers import AutoTokenizer

    def make(trainer, *, config=None, rewards=(share, short), arguments=None, **options):
        own = {key: options.pop(key) for key in ("advantage", "advantage_options", "rollout_func") if key in options}
        config = config or (trl.RLOOConfig if issubclass(trainer, trl.RLOOTrainer) else trl.GRPOConfig)
        defaults = {
            "output_dir": str(tmp_path),
            "per_device_train_batch_size": 8,
            "per_device_eval_batch_size": 8,
            "num_generations": 4,
            "max_completion_length": 6,
            "learning_rate": 1e-2,
            "max_steps": 1,
            "logging_steps": 1,
            "report_to": "none",
            "use_cpu": True,
            "bf16": False,
            "save_strategy": "no",
            "disable_tqdm": True,
        }
        data = Dataset.from_list([{"prompt": prompt} for prompt in PROMPTS])
        return trainer(
            folder,
            list(rewards),
            config(**defaults | options),
            train_dataset=data,
            eval_dataset=data,
            processing_class=AutoTokenizer.from_pretrained(folder),
            **own,
        )

    return make


class Watched:
    """What a trainer makes of each batch, before it is shuffled, and what its loss then gets."""

    def __init__(self, trainer):
        self.scores, self.batches, self.losses = [], [], []
        self._watch(trainer, "_calculate_rewards", self.scores.append)
        self._watch(trainer, "_generate_and_score_completions", lambda output: self.batches.append(dict(output)))
        compute_loss = trainer._compute_loss
        trainer._compute_loss = lambda model, inputs: (self.losses.append(dict(inputs)), compute_loss(model, inputs))[1]

    def _watch(self, trainer, name, see):
        method = getattr(trainer, name)

        def watched(*args, **kwargs):
            result = method(*args, **kwargs)
            see(result)
            return result

        setattr(trainer, name, watched)


def rows(batch):
    """The advantage of each response, on its tokens, by prompt and response: equal texts have equal ones."""
    found = defaultdict(set)
    tokens = batch["completion_mask"].sum(1)
    for row, length in enumerate(tokens.tolist()):
        key = tuple(batch["prompt_ids"][row].tolist()), tuple(batch["completion_ids"][row, :length].tolist())
        advantages = batch["advantages"][row]
        found[key].add(tuple(advantages[:length].tolist()) if advantages.ndim else advantages.item())
    return dict(found)


@pytest.fixture
def watch():
    return Watched


@pytest.fixture
def by_row():
    return rows
