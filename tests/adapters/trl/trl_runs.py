"""Real trainers of TRL on a tiny random Qwen3 that lies in a folder: offline, on a CPU."""

import inspect

import pytest

PROMPTS = ["1+2=", "3=", "20+11=", "7+5+3="]


def share(completions, **_):
    """Share of even digits among the letters."""
    return [sum(letter in "02468" for letter in text) / (len(text) or 1) for text in completions]


def short(completions, **_):
    """Minus the length; texts of even length are not scored."""
    return [None if len(text) % 2 == 0 else -len(text) / 8 for text in completions]


def save_model(path):
    """A model and its tokenizer, for `from_pretrained`."""
    from advantages.policy.tiny import character_tokenizer, tiny_model

    tokenizer = character_tokenizer("0123456789+=")
    tokenizer.save_pretrained(path)
    tiny_model("qwen3", tokenizer, seed=0).save_pretrained(path)


def make_trainer(folder, output, trainer, *, rewards=(share, short), **options):
    """A trainer of one step; options that its configuration does not know go to the trainer itself."""
    import trl
    from datasets import Dataset
    from transformers import AutoTokenizer

    config = trl.RLOOConfig if issubclass(trainer, trl.RLOOTrainer) else trl.GRPOConfig
    defaults = {
        "output_dir": str(output),
        "per_device_train_batch_size": 8,
        "per_device_eval_batch_size": 8,
        "num_generations": 4,
        "max_completion_length": 6,
        "learning_rate": 0.5,
        "optim": "sgd",  # rounding of the gradient stays rounding, where Adam would make a step of it
        "max_steps": 1,
        "logging_steps": 1,
        "report_to": "none",
        "use_cpu": True,
        "bf16": False,
        "save_strategy": "no",
        "disable_tqdm": True,
    }
    own = {key: value for key, value in options.items() if not hasattr(config, key)}
    base = trl.RLOOTrainer if issubclass(trainer, trl.RLOOTrainer) else trl.GRPOTrainer
    known = {*inspect.signature(base.__init__).parameters, "advantage", "advantage_options"}
    if not own.keys() <= known:
        pytest.skip(f"TRL {trl.__version__} has no {', '.join(own.keys() - known)}")
    data = Dataset.from_list([{"prompt": prompt} for prompt in PROMPTS * 3])
    return trainer(
        str(folder),
        list(rewards),
        config(**defaults | {key: value for key, value in options.items() if key not in own}),
        train_dataset=data,
        eval_dataset=data.select(range(4)),
        processing_class=AutoTokenizer.from_pretrained(folder, model_input_names=["input_ids", "attention_mask"]),
        **own,
    )


class Watched:
    """What a trainer makes of each generation batch, and what its loss then gets."""

    def __init__(self, trainer):
        self.scores, self.batches, self.losses = [], [], []
        self._watch(trainer, "_calculate_rewards", lambda _, result: self.scores.append(result))
        self._watch(trainer, "_generate_and_score_completions", lambda _, result: self.batches.append(dict(result)))
        self._watch(trainer, "_compute_loss", lambda arguments, _: self.losses.append(dict(arguments[1])))

    def _watch(self, trainer, name, see):
        method = getattr(trainer, name)

        def watched(*arguments):
            result = method(*arguments)
            see(arguments, result)
            return result

        setattr(trainer, name, watched)


def words_of(batch, model, rewards):
    """The words of a batch, from its tokens alone: by other means than the adapter's and TRL's.

    Args:
        batch: prompt_ids and prompt_mask, completion_ids, completion_mask, and a tool_mask where there is one.
        model: the policy that sampled.
        rewards: (N,) or (N, K).
    """
    import torch

    mask = batch["completion_mask"].bool()
    if "tool_mask" in batch:
        mask = mask & batch["tool_mask"].bool()
    prompts = [ids[keep.bool()] for ids, keep in zip(batch["prompt_ids"], batch["prompt_mask"], strict=True)]
    token_logprobs, token_rewards = torch.full(mask.shape, torch.nan), torch.zeros(mask.shape)
    for row, prompt in enumerate(prompts):
        length = int(batch["completion_mask"][row].sum())
        response = batch["completion_ids"][row, :length]
        with torch.no_grad():
            logits = model(torch.cat([prompt, response])[None]).logits[0, len(prompt) - 1 : -1]
        token_logprobs[row, :length] = logits.log_softmax(-1)[range(length), response]
        if rewards.ndim == 1 and mask[row].any():
            token_rewards[row, mask[row].nonzero().max()] = rewards[row]
    return {
        "rewards": rewards,
        "groups": [tuple(prompt.tolist()) for prompt in prompts],
        "logprobs": torch.where(mask, token_logprobs, 0.0).sum(1),
        "lengths": mask.sum(1),
        "mask": mask,
        "token_rewards": token_rewards,
        "token_logprobs": token_logprobs,
    }


def bare(estimator, batch, model, scores, weights=None, **options):
    """The estimator, called directly on the words of a batch."""
    import torch

    from advantages.core.definition import definition_of

    d = definition_of(estimator)
    if ("N", "K") in d.shapes.get("rewards", ()):
        rewards = scores
    else:
        rewards = (scores * (1.0 if weights is None else torch.tensor(weights))).nansum(1)
        rewards[scores.isnan().all(1)] = torch.nan
    words = words_of(batch, model, rewards)
    return estimator(**{name: words[name] for name in d.inputs if name in words}, **options)


def by_response(batch):
    """The advantage of each response, keyed by its prompt and text: equal keys have equal advantages."""
    found = {}
    for row, length in enumerate(batch["completion_mask"].sum(1).tolist()):
        key = tuple(batch["prompt_ids"][row].tolist()), tuple(batch["completion_ids"][row, :length].tolist())
        advantages = batch["advantages"][row]
        found[key] = advantages[:length].tolist() if advantages.ndim else advantages.item()
    return found
