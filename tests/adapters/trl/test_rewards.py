"""One contract: TRL's reward functions work here, and these work in TRL."""

import warnings

import pytest

with warnings.catch_warnings(action="ignore"):
    pytest.importorskip("trl")
    pytest.importorskip("math_verify")
    pytest.importorskip("rapidfuzz")
    import torch
    from datasets import Dataset
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM
    from trl import GRPOConfig, GRPOTrainer
    from trl.rewards import get_cosine_scaled_reward, get_repetition_penalty_reward, get_soft_overlong_punishment

from advantages.rewards import Exact, Format, Isolated, Math, Overlong, Rewards, RougeL

CHATS = [
    [{"role": "assistant", "content": text}]
    for text in (r"<think>half</think>\boxed{\frac{1}{2}}", r"\boxed{0.5}", "0.5", r"<think>\boxed{1/2}")
]


def test_trls_functions_work_here():
    rewards = Rewards(
        {
            "trl.rewards:accuracy_reward": 1.0,
            "math": 1.0,
            "trl.rewards:think_format_reward": 0.1,
            "overlong": 0.5,
            "cosine": 0.1,
            "repetition": 0.1,
        },
        {
            "overlong": get_soft_overlong_punishment(10, 4),
            "cosine": get_cosine_scaled_reward(10),
            "repetition": get_repetition_penalty_reward(2),
        },
        settings={"math": {"strict": True}},
    )
    assert set(rewards.needs) == {"solution", "answer", "completion_ids"}
    ids = [[1] * length for length in (1, 6, 8, 20)]
    solution = ["$1/2$"] * 4
    scores = rewards(["p"] * 4, CHATS, {"solution": solution, "answer": solution, "completion_ids": ids})
    assert rewards.failures == {name: {} for name in rewards.names}
    table = dict(zip(scores.names, scores.values.T.tolist(), strict=True))
    assert table["trl.rewards:accuracy_reward"] == [1, 1, 0, 1]
    assert table["math"] == [1, 1, 0, 0]  # an answer inside unfinished reasoning is none
    assert table["trl.rewards:think_format_reward"] == [1, 0, 0, 0]
    assert table["overlong"] == [0, 0, -0.5, -1]
    assert set(scores.extra) == {"solution", "gold_parsed", "answer_parsed"}


def test_their_overlong_punishment_is_ours():
    theirs, ours = get_soft_overlong_punishment(100, 20), Overlong(max_length=100, buffer=20)
    lengths = [[1] * n for n in range(150)]
    assert ours(completions=lengths, completion_ids=lengths) == theirs(completion_ids=lengths)


def test_accuracy_can_be_isolated():
    reward = Isolated("trl.rewards:accuracy_reward", per_row=True, seconds=60.0)
    assert reward(completions=CHATS[:3], solution=["$1/2$"] * 3) == [1, 1, 0]


@pytest.mark.filterwarnings("ignore")
def test_ours_work_in_trl(tmp_path):
    letters = {"<pad>": 0, "<eos>": 1, "<unk>": 2} | {letter: 3 + i for i, letter in enumerate("0123456789+=#")}
    tokenizer = Tokenizer(models.WordLevel(letters, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    torch.manual_seed(0)
    model = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=len(letters),
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=8,
            pad_token_id=0,
            eos_token_id=1,
        )
    )
    trainer = GRPOTrainer(
        model=model,
        reward_funcs=[
            Exact(marker="#"),
            Math(),
            Format(pattern=".*#.*"),
            Overlong(max_length=8, buffer=4),
            RougeL(part="whole"),
        ],
        args=GRPOConfig(
            output_dir=str(tmp_path),
            per_device_train_batch_size=4,
            num_generations=4,
            max_completion_length=8,
            max_steps=1,
            logging_steps=1,
            report_to="none",
            use_cpu=True,
            save_strategy="no",
        ),
        train_dataset=Dataset.from_list([{"prompt": "3+4=", "answer": "7", "solution": "3+4=7#7"}] * 8),
        processing_class=PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>"
        ),
    )
    trainer.train()
    logged = trainer.state.log_history[0]
    for name in ("exact", "math", "format", "overlong", "rouge_l"):
        assert f"rewards/{name}/mean" in logged
    assert -1 <= logged["rewards/overlong/mean"] <= 0
