"""Verifiers, length penalties, weights and their sum: what is scored, what is not, and what is refused."""

import asyncio
import copy
import importlib
import math
import os
import pickle
import signal
import sys
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import advantages
from advantages.rewards import (
    BUILT_IN,
    CosineLength,
    Exact,
    Format,
    MultipleChoice,
    Overlong,
    Rewards,
    Weight,
    answer_part,
    reasoning_part,
    resolve,
    text_of,
)

NAN = math.nan
DOCS = Path(__file__).resolve().parents[2] / "docs" / "rewards.md"


def one(reward, completion, **columns):
    (score,) = reward(completions=[completion], **{name: [entry] for name, entry in columns.items()})
    return score


# Texts


def test_chat_and_text_are_alike():
    chat = [{"role": "assistant", "content": "so #7"}]
    parts = [{"role": "assistant", "content": [{"type": "text", "text": "so "}, {"type": "text", "text": "#7"}]}]
    for completion in ("so #7", chat, parts):
        assert text_of(completion) == "so #7"
        assert one(Exact(marker="#"), completion, answer="7") == 1


def test_what_a_tool_says_is_not_the_models():
    chat = [
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "tool", "content": "#9"},
        {"role": "assistant", "content": "#7"},
    ]
    assert text_of(chat) == "\n#7"


@pytest.mark.parametrize("field", ["reasoning_content", "thinking"])
def test_parsed_reasoning_is_put_back(field):
    text = text_of([{"role": "assistant", "content": "7", field: "3+4"}])
    assert (reasoning_part(text), answer_part(text)) == ("3+4", "7")


@pytest.mark.parametrize("completion", [7, None, ["7"], {"content": "7"}])
def test_what_is_no_completion_is_refused(completion):
    with pytest.raises(TypeError, match="pass a string or a list of chat messages"):
        text_of(completion)


@pytest.mark.parametrize(
    ("text", "reasoning", "answer"),
    [
        ("<think>a</think>b", "a", "b"),
        ("a</think>b", "a", "b"),
        ("<think>a</think>b<think>c</think>d", "a</think>b<think>c", "d"),
        ("<think>a", "a", ""),
        ("a#b", "a", "a#b"),
        ("ab", "ab", "ab"),
        ("", "", ""),
    ],
)
def test_parts(text, reasoning, answer):
    assert (reasoning_part(text, "#"), answer_part(text)) == (reasoning, answer)


# Verifiers


@pytest.mark.parametrize(
    ("settings", "completion", "answer", "score"),
    [
        ({"marker": "#"}, "3+4=7,7+7=4#4", "4", 1),
        ({"marker": "#"}, "3+4=7,7+7=4#5", "4", 0),
        ({"marker": "#"}, "#4#5", "5", 1),
        ({"marker": "#"}, "#4#5", "4", 0),
        ({"marker": "####"}, "...\n####\n 1  000 \nBye", "1 000", 1),
        ({"marker": "####"}, "#### 72", "He sold 48/2 = 24.\n#### 72", 1),
        ({"marker": "#"}, "so\n4", "4", 1),
        ({"marker": "#", "strict": True}, "so\n4", "4", 0),
        ({"marker": "#", "strict": True}, "#", "4", 0),
        ({}, "so\n\n 4 \n", "4", 1),
        ({}, "4\nis it", "4", 0),
        ({}, "", "4", 0),
        ({}, "<think>4</think>\n4", "4", 1),
        ({}, "<think>4", "4", 0),
        ({}, "4", 4, 1),
        ({}, "paris", "Paris", 0),
        ({"ignore_case": True}, "paris", "Paris", 1),
        ({}, "4", None, None),
        ({}, "", "", None),
        ({"marker": "#"}, "4", "so #", None),
    ],
)
def test_exact(settings, completion, answer, score):
    assert one(Exact(**settings), completion, answer=answer) == score


@pytest.mark.parametrize(
    ("completion", "choice"),
    [
        ("Answer: C", "C"),
        ("**Answer:** C", "C"),
        ("The answer is (C).", "C"),
        ("the correct option is **C**", "C"),
        (r"The final answer is $\textbf{C}$", "C"),
        (r"\boxed{C}", "C"),
        (r"\boxed{\text{(C)}}", "C"),
        (r"\boxed{c} or is the answer: B", "C"),
        ("I think the answer is A. No.\nAnswer: B", "B"),
        ("Option A is wrong.\n(D)", "D"),
        ("<think>Answer: A</think>\nB.", "B"),
        ("<think>Answer: A", None),
        ("All of them are. Answer: All", None),
        ("the answer is a set", None),
        ("A or D", None),
        ("Answer: E", None),
        ("", None),
    ],
)
def test_multiple_choice(completion, choice):
    assert MultipleChoice().choice(completion) == choice
    for letter in "ABCD":
        assert one(MultipleChoice(), completion, answer=letter) == (letter == choice)


@pytest.mark.parametrize(("answer", "score"), [("C", 1), ("(C)", 1), (" C.", 1), ("CD", None), (None, None), (2, None)])
def test_expected_letters(answer, score):
    assert one(MultipleChoice(), "Answer: C", answer=answer) == score


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        (
            "think",
            ["<think>a\nb</think>c", " <think></think>\n c\n"],
            ["a", "<think>a</think> ", "<think>a", "a</think>b"],
        ),
        ("think", [], ["<think>a<think>b</think>c", "<think>a</think>b</think>c", "x<think>a</think>b"]),
        ("think_opened", ["a\n</think>\nb"], ["a", "a</think>", "<think>a</think>b", "a</think>b</think>c"]),
        (
            "think_answer",
            ["<think>a</think>\n<answer>b</answer>\n"],
            ["<think>a</think>b", "<think>a</think><answer> </answer>", "<think>a</think><answer>b</answer>c"],
        ),
        (r".*#\d", ["a\n#1"], ["a\n#12", "#"]),
    ],
)
def test_format(pattern, good, bad):
    reward = Format(pattern=pattern)
    assert reward(completions=good) == [1.0] * len(good)
    assert reward(completions=bad) == [0.0] * len(bad)


# Lengths


@given(st.integers(0, 10**6), st.integers(1, 10**4), st.integers(0, 10**4))
def test_overlong_is_dapos_equation(length, max_length, buffer):
    buffer = min(buffer, max_length)
    score = one(Overlong(max_length=max_length, buffer=buffer), "", completion_ids=length)
    if length <= max_length - buffer:
        assert score == 0
    elif length <= max_length:
        assert score == ((max_length - buffer) - length) / buffer
    else:
        assert score == -1


def test_tokens_are_counted_not_characters():
    reward = Overlong(max_length=20_480, buffer=4_096)
    text = "word " * 4_000
    assert one(reward, text, completion_ids=[1] * 4_000) == 0
    with pytest.raises(TypeError, match="has a str for response 0; pass the number of its tokens, or their ids"):
        one(reward, text, completion_ids=text)
    with pytest.raises(TypeError, match="needs a column 'completion_ids', and the columns are answer"):
        one(reward, text, answer="4")


def test_overlong_is_pure_and_does_not_grow_into_a_bonus():
    columns = {"completion_ids": [[1] * 100, [1]]}
    before = copy.deepcopy(columns)
    reward = Overlong(max_length=10, buffer=5)
    first = reward(completions=["a", "b"], **columns)
    assert first == reward(completions=["a", "b"], **columns) == [-1.0, 0.0]
    assert columns == before


@given(st.integers(0, 200), st.booleans())
def test_cosine_length_is_the_papers_equation(length, right):
    reward = CosineLength(verifier="exact", max_length=100, right=(1.0, 0.5), wrong=(-1.0, -0.5), exceeded=None)
    score = one(reward, "7" if right else "8", answer="7", completion_ids=length)
    low, high = (0.5, 1.0) if right else (-0.5, -1.0)
    t = min(length, 100)
    assert score == pytest.approx(low + 0.5 * (high - low) * (1 + math.cos(t * math.pi / 100)))


def test_cosine_length_takes_a_verifier_that_takes_nothing_else():
    reward = CosineLength(verifier=lambda completions: [0.0] * len(completions), max_length=4)
    assert reward(prompts=["p"], completions=["7"], answer=["7"], completion_ids=[0]) == [-10.0]


def test_cosine_length_defaults_and_unscored():
    reward = CosineLength(verifier=Exact(marker="#"), max_length=4)
    assert reward.needs == ("completion_ids", "answer")
    assert reward(completions=["#7"] * 5, answer=["7", "7", "8", "8", None], completion_ids=[0, 3, 0, 4, 1]) == [
        2.0,
        pytest.approx(1 + (1 + math.cos(0.75 * math.pi)) / 2),
        -10.0,
        -10.0,
        None,
    ]


# Weights


@given(st.floats(-10, 10), st.floats(-10, 10), st.integers(1, 1000), st.integers(0, 2000))
def test_weights_go_from_value_to_end_and_stay(value, end, steps, step):
    for decay in ("linear", "cosine"):
        weight = Weight(value, decay=decay, steps=steps, end=end)
        assert weight(0) == pytest.approx(value)
        assert weight(steps) == weight(steps + step) == end
        assert min(value, end) - 1e-9 <= weight(step) <= max(value, end) + 1e-9
    assert Weight(value)(step) == value


def test_decays_in_between():
    assert Weight(1.0, decay="linear", steps=4)(1) == 0.75
    assert Weight(1.0, decay="cosine", steps=4)(1) == pytest.approx((1 + math.sqrt(0.5)) / 2)


# The contract, and the weighted sum


def length_of_text(completions, **columns):
    return [len(completion) for completion in completions]


def sometimes(completions, **columns):
    return [None if completion == "?" else 1.0 for completion in completions]


def test_columns_and_names():
    rewards = Rewards({"exact": 2.0, "length": 0.5}, {"length": length_of_text})
    scores = rewards(["p", "p"], ["7", "no"], {"answer": ["7", "7"]})
    assert scores.names == rewards.names == ("exact", "length")
    assert scores.values.dtype == np.float64
    assert scores.values.tolist() == [[1, 1], [0, 2]]
    assert scores.total().tolist() == [2.5, 1.0]
    assert scores.log() == {
        "rewards/exact/mean": 0.5,
        "rewards/exact/std": pytest.approx(math.sqrt(0.5)),
        "rewards/exact/unscored": 0,
        "rewards/exact/weight": 2,
        "rewards/length/mean": 1.5,
        "rewards/length/std": pytest.approx(math.sqrt(0.5)),
        "rewards/length/unscored": 0,
        "rewards/length/weight": 0.5,
    }


def test_an_empty_batch_calls_nobody():
    def never(completions):
        raise AssertionError

    scores = Rewards({"f": 1.0}, {"f": never})([], [])
    assert scores.values.shape == (0, 1)
    assert scores.total().shape == (0,)
    assert math.isnan(scores.log()["rewards/f/mean"])


def test_weights_follow_the_step():
    rewards = Rewards({"exact": 1.0, "format": Weight(1.0, decay="linear", steps=10)})
    for step, total in ((0, 2.0), (5, 1.5), (10, 1.0), (99, 1.0)):
        scores = rewards(["p"], ["<think></think>7"], {"answer": ["7"]}, step)
        assert scores.total().tolist() == [total]
        assert scores.log()["rewards/format/weight"] == pytest.approx(total - 1)


def test_unscored_in_a_component_that_counts_is_unscored():
    rewards = Rewards({"exact": 1.0, "f": 0.5}, {"f": sometimes})
    with pytest.warns(UserWarning, match=r"f: has no score for some .*name it in `optional`.*; 1 response is unscored"):
        scores = rewards(["p"] * 2, ["7", "?"], {"answer": ["7", "7"]})
    np.testing.assert_array_equal(scores.values, [[1, 1], [0, NAN]])
    np.testing.assert_array_equal(scores.total(), [1.5, NAN])
    assert rewards.failures == {"exact": {}, "f": {"no score": 1}}


def test_a_weight_of_zero_cannot_leave_anything_unscored():
    scores = Rewards({"exact": 1.0, "f": 0.0}, {"f": sometimes})(["p"], ["?"], {"answer": ["?"]})
    assert np.isnan(scores.values[0, 1])
    assert scores.total().tolist() == [1.0]


def test_nothing_scored_is_unscored():
    assert np.isnan(Rewards({"exact": 1.0}, optional=["exact"])(["p"], ["7"], {"answer": [None]}).total()).all()
    assert np.isnan(Rewards({"format": 0.0})(["p"], ["7"]).total()).all()


def test_an_optional_component_adds_nothing_where_it_does_not_apply():
    rewards = Rewards({"format": 1.0, "f": 0.5}, {"f": sometimes}, optional=["f"])
    good, ids = "<think>a</think>b", ["a", "a", "b", "b"]
    scores = rewards(["p"] * 4, ["?", "?", "?", good])
    np.testing.assert_array_equal(scores.total(), [0, 0, 0, 1.5])
    # In group "b" it applied, and failed for one of two: that one must not be compared with its sibling.
    np.testing.assert_array_equal(scores.total(ids), [0, 0, NAN, 1.5])
    np.testing.assert_array_equal(scores.total(np.array([3, 3, -1, -1])), [0, 0, NAN, 1.5])
    np.testing.assert_array_equal(scores.total(advantages.Groups(ids)), [0, 0, NAN, 1.5])
    with pytest.raises(ValueError, match="4 responses but 2 ids in groups"):
        scores.total(["a", "b"])


@given(
    st.integers(1, 8).flatmap(
        lambda n: st.tuples(
            st.lists(
                st.lists(st.sampled_from([None, NAN, 0.0, 1.0, -2.0]), min_size=3, max_size=3), min_size=n, max_size=n
            ),
            st.lists(st.sampled_from("ab"), min_size=n, max_size=n),
        )
    ),
    st.lists(st.sampled_from([0.0, 1.0, -0.5]), min_size=3, max_size=3),
    st.sets(st.sampled_from("xyz")),
)
def test_the_total_is_what_it_says(drawn, weights, optional):
    table, groups = drawn
    weights = dict(zip("xyz", weights, strict=True))
    columns = zip(*table, strict=True)
    functions = {
        name: partial(lambda completions, column: column, column=column)
        for name, column in zip("xyz", columns, strict=True)
    }
    with warnings.catch_warnings(action="ignore"):
        scores = Rewards(weights, functions, optional=optional)(groups, groups)

    def unscored(row, k):
        return table[row][k] is None or math.isnan(table[row][k])

    for ids in (None, groups):
        for row, total in enumerate(scores.total(ids)):
            siblings = [row] if ids is None else [other for other in range(len(ids)) if ids[other] == ids[row]]
            parts = []
            for k, name in enumerate("xyz"):
                if weights[name] == 0 or (name in optional and all(unscored(sibling, k) for sibling in siblings)):
                    continue
                parts.append(NAN if unscored(row, k) else weights[name] * table[row][k])
            np.testing.assert_allclose(total, sum(parts) if parts else NAN)


def test_estimators_take_what_rewards_give():
    rewards = Rewards({"exact": 1.0, "f": 0.5}, {"f": sometimes})
    ids = ["a"] * 3 + ["b"] * 3
    with pytest.warns(UserWarning, match="no score"):
        scores = rewards(["p"] * 6, ["7", "8", "?", "7", "7", "8"], {"answer": ["7"] * 6})
    a = advantages.grpo(scores.total(ids), ids)
    assert np.isfinite(a).all()
    assert a[2] == 0
    assert a[0] == -a[1] > 0
    per_component = advantages.gdpo(scores.values, ids, weights=scores.weights.tolist(), components=list(scores.names))
    assert np.isfinite(per_component).all()
    assert per_component[2] < 0, "a row keeps the advantage of the components that it is scored in"


# Robustness


def test_a_function_that_raises_leaves_its_column_unscored_and_says_so_once():
    def judge(completions, **columns):
        raise {"7": ValueError("no such model"), "8": ConnectionError("refused")}[completions[0]]

    rewards = Rewards({"exact": 1.0, "judge": 1.0}, {"judge": judge})
    with pytest.warns(UserWarning, match="judge: raised ValueError: no such model; 2 responses are unscored"):
        scores = rewards(["p"] * 2, ["7"] * 2, {"answer": ["7"] * 2})
    np.testing.assert_array_equal(scores.values, [[1, NAN], [1, NAN]])
    assert np.isnan(scores.total()).all()
    rewards(["p"] * 2, ["7"] * 2, {"answer": ["7"] * 2})  # no second warning: warnings are errors here
    with pytest.warns(UserWarning, match="judge: raised ConnectionError: refused"):
        rewards(["p"], ["8"], {"answer": ["8"]})
    assert rewards.failures == {"exact": {}, "judge": {"ValueError": 4, "ConnectionError": 1}}


def test_a_time_limit_that_is_no_exception_is_no_crash_either():
    class TimeoutException(BaseException):  # as in math-verify
        pass

    def judge(completions):
        raise TimeoutException("5 s")

    with pytest.warns(UserWarning, match="raised TimeoutException: 5 s"):
        Rewards({"judge": 1.0}, {"judge": judge})(["p"], ["7"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("late", [False, True])
def test_a_run_can_be_stopped_inside_a_function(number, late, monkeypatch):
    def stop(number, frame):
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(143)

    def judge(completions):
        signal.raise_signal(number)

    async def judge_later(completions):
        signal.raise_signal(number)

    before = signal.signal(number, stop)
    try:
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            Rewards({"judge": 1.0}, {"judge": judge_later if late else judge})(["p"], ["7"])
        assert signal.getsignal(number) is stop
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize("leave", [exit, sys.exit, lambda: sys.exit("bye"), lambda: quit(3), lambda: os._exit(0)])
@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_a_function_that_leaves_has_failed_and_the_run_goes_on(leave, error):
    def judge(completions):
        leave()

    def raises(completions):
        raise error

    async def later(completions):
        raise error

    functions = {"judge": judge, "raises": raises, "later": later, "length": lambda completions: [1.0, 2.0]}
    rewards = Rewards(dict.fromkeys(functions, 1.0), functions, optional=("judge", "raises", "later"))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        scores = rewards(["p"] * 2, ["7"] * 2)
    assert len(said) == 3
    np.testing.assert_array_equal(scores.total(), [1.0, 2.0])
    assert rewards.failures["judge"] == {"SystemExit": 2}
    assert rewards.failures["raises"] == rewards.failures["later"] == {error.__name__: 2}


@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning", "ignore:.*fork:DeprecationWarning")  # jax, elsewhere
@pytest.mark.parametrize("how", ["returns", "raises", "leaves"])
def test_a_child_that_a_function_forks_never_comes_back(how, tmp_path):
    def judge(completions):
        child = os.fork()
        if child:
            return [float(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))]
        if how == "leaves":
            os._exit(7)
        if how == "raises":
            raise KeyboardInterrupt
        return [0.0]

    process = os.getpid()
    try:
        scores = Rewards({"judge": 1.0}, {"judge": judge})(["p"], ["7"])
    finally:
        if os.getpid() != process:
            (tmp_path / "came back").touch()
            os._exit(1)
    assert scores.total() == [7.0 if how == "leaves" else 0.0]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("result", "error", "message"),
    [
        ([1.0], ValueError, "f: returned 1 scores for 2 responses; return one for each"),
        (1.0, TypeError, "f: returned a float; return a list with one number per response"),
        (None, TypeError, "f: returned a NoneType; return a list"),
        ("ab", TypeError, "f: returned a str; return a list"),
        ([1.0, "1"], TypeError, "f: returned a str for response 1; return a number, or None for no score"),
        ([1.0, [1.0]], TypeError, "f: returned a list for response 1"),
        (np.ones((2, 1)), TypeError, "f: returned a list for response 0"),
    ],
)
def test_what_breaks_the_contract_is_refused(result, error, message):
    with pytest.raises(error, match=message):
        Rewards({"f": 1.0}, {"f": lambda completions: result})(["p"] * 2, ["a"] * 2)


@pytest.mark.parametrize("result", [[True, 2], (1, 2.0), np.array([1, 2]), [np.float32(1), np.array(2.0)]])
def test_numbers_of_any_kind_are_scores(result):
    scores = Rewards({"f": 1.0}, {"f": lambda completions: result})(["p"] * 2, ["a"] * 2)
    assert scores.values.tolist() == [[1.0], [2.0]]


def test_an_infinite_score_is_none():
    rewards = Rewards({"f": 1.0}, {"f": lambda completions: [1.0, math.inf]})
    with pytest.warns(UserWarning, match="f: returned an infinite score for response 1; 1 response is unscored"):
        np.testing.assert_array_equal(rewards(["p"] * 2, ["a"] * 2).total(), [1.0, NAN])


def test_functions_cannot_spoil_each_others_columns():
    def vandal(prompts, completions, answer, **columns):
        answer.clear()
        completions.reverse()
        return [0.0] * 2

    batch = ["p", "q"], ["7", "8"], {"answer": ["7", "8"], "ids": np.arange(2)}
    before = copy.deepcopy(batch)
    scores = Rewards({"vandal": 1.0, "exact": 1.0}, {"vandal": vandal})(*batch)
    assert scores.values[:, 1].tolist() == [1, 1]
    assert repr(batch) == repr(before)


def test_functions_get_the_columns_that_they_take_and_what_trl_passes():
    seen = {}

    def strict(completions, answer):
        seen["strict"] = answer
        return [1.0]

    def trl(prompts, completions, trainer_state, log_metric, log_extra, **columns):
        seen["trl"] = columns
        log_metric("depth", trainer_state.global_step)
        log_metric("depth", 0)
        log_extra("seen", ["yes"])
        return [1.0]

    rewards = Rewards({"strict": 1.0, "trl": 1.0}, {"strict": strict, "trl": trl})
    assert rewards.needs == ("answer",)
    scores = rewards(["p"], ["7"], {"answer": np.array([7]), "solution": ("s",)}, step=4)
    assert seen == {"strict": [7], "trl": {"answer": [7], "solution": ["s"]}}
    assert (scores.metrics, scores.extra) == ({"depth": 2.0}, {"seen": ["yes"]})
    assert scores.log()["depth"] == 2.0


def test_async_functions_run_at_once_in_a_loop_or_out_of_one():
    arrived = []

    async def waits(completions, **columns):
        arrived.append(1)
        for _ in range(1000):
            if len(arrived) == 2:
                return [1.0] * len(completions)
            await asyncio.sleep(0.01)
        return [0.0] * len(completions)

    async def fails(completions):
        raise ValueError("no")

    def call():
        arrived.clear()
        rewards = Rewards(dict.fromkeys("abc", 1.0), {"a": waits, "b": waits, "c": fails})
        with pytest.warns(UserWarning, match="c: raised ValueError: no"):
            return rewards(["p"], ["7"]).values.tolist()

    async def inside():
        return call()

    np.testing.assert_array_equal(call(), [[1, 1, NAN]])
    np.testing.assert_array_equal(asyncio.run(inside()), [[1, 1, NAN]])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((["p"], ["7", "8"], {}), ValueError, "there are 2 completions but 1 entries in prompts"),
        ((["p"], ["7"], {"answer": ["7", "8"]}), ValueError, "there are 1 completions but 2 entries in answer"),
        ((["p"], ["7"], {}), TypeError, "exact: needs answer, but the columns are none; pass it"),
        ((["p"], ["7"], {"Answer": ["7"]}), TypeError, "exact: needs answer, but the columns are Answer"),
        ((["p"], ["7"], {"answer": "7"}), TypeError, "answer is a str; pass a list with one entry per response"),
        ((["p"], "7", {"answer": ["7"]}), TypeError, "completions is a str; pass a list"),
        ((["p"], ["7"], {"prompts": ["7"]}), ValueError, "a column is called 'prompts'"),
    ],
)
def test_a_batch_that_does_not_fit_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        Rewards({"exact": 1.0})(*arguments)


class Model:
    def forward(self, ids):
        return ids

    __call__ = forward


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Rewards({}), ValueError, "there are no components"),
        (lambda: Rewards([len]), TypeError, "weights is a list; pass a dict, by names of functions"),
        (lambda: Rewards({"a": 1.0}, [len]), TypeError, "functions is a list; pass a dict, by names"),
        (
            lambda: Rewards({"exakt": 1.0}),
            ValueError,
            "reward 'exakt': there is none; pass one of cosine_length, exact",
        ),
        (lambda: Rewards({"no.such:f": 1.0}), ValueError, "cannot be imported .*; check the spelling"),
        (lambda: Rewards({"math:tau2": 1.0}), ValueError, "cannot be imported .*'tau2'"),
        (lambda: Rewards({"math:pi": 1.0}), ValueError, "is a float; name a function or a class"),
        (lambda: Rewards({"exact": "1"}), TypeError, "the weight of 'exact' is a str"),
        (lambda: Rewards({"exact": True}), TypeError, "the weight of 'exact' is a bool"),
        (lambda: Rewards({"exact": NAN}), ValueError, "the weight of 'exact' is nan at step 0"),
        (lambda: Rewards({"exact": 1.0}, {"exakt": Exact()}), ValueError, "functions has 'exakt', which has no weight"),
        (lambda: Rewards({"exact": 1.0}, optional="exact"), TypeError, "optional is 'exact'; pass a list of names"),
        (lambda: Rewards({"exact": 1.0}, optional=["rouge_l"]), ValueError, "optional has 'rouge_l'"),
        (lambda: Rewards({"exact": 1.0}, settings={"exact": {"mark": "#"}}), TypeError, "takes no setting 'mark'"),
        (lambda: Rewards({"overlong": 1.0}), TypeError, "reward 'overlong': needs a setting 'max_length'"),
        (lambda: Rewards({"f": 1.0}, {"f": length_of_text}, settings={"f": {}}), ValueError, "given as a function"),
        (lambda: Rewards({"f": 1.0}, {"f": 3}), TypeError, "'f' is a int; pass a reward function"),
        (lambda: Rewards({"f": 1.0}, {"f": Model()}), TypeError, "'f' is a model; pass a function that"),
        (lambda: Exact(marker=""), ValueError, "exact: marker is empty"),
        (lambda: Exact(strict=True), ValueError, "exact: strict is True but marker is None"),
        (lambda: Exact(strict=1), TypeError, "exact: strict is 1; pass True or False"),
        (lambda: Exact(column=3), TypeError, "exact: column is 3; pass a string with something in it"),
        (lambda: MultipleChoice(letters="abc"), ValueError, "letters is 'abc'; pass capital letters"),
        (lambda: Format(pattern="("), ValueError, "is no regular expression"),
        (lambda: Overlong(max_length=10, buffer=20), ValueError, "buffer is 20 but max_length 10"),
        (lambda: Overlong(max_length=10.0, buffer=2), ValueError, "max_length is 10.0; pass a whole number"),
        (lambda: Overlong(max_length=0, buffer=0), ValueError, "max_length is 0; pass a whole number of at least 1"),
        (lambda: CosineLength(verifier=3, max_length=1), TypeError, "verifier is a int; pass a reward function"),
        (lambda: CosineLength(verifier="exact", max_length=1, right=1.0), TypeError, "right is 1.0; pass two numbers"),
        (lambda: Weight(1.0, decay="linear"), TypeError, "decay is 'linear' but steps is None"),
        (lambda: Weight(1.0, decay="step", steps=1), ValueError, "decay is 'step'; pass one of constant, linear, cos"),
        (lambda: Weight(1.0, steps=3), ValueError, "got steps or end without a decay"),
        (lambda: Weight(math.inf), ValueError, "Weight: value is inf; pass a finite number"),
        (lambda: Weight("1"), TypeError, "Weight: value is '1'; pass a finite number"),
    ],
)
def test_what_cannot_work_is_refused_at_once(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_names_of_functions_and_their_settings():
    assert resolve("advantages.rewards:Exact", {"marker": "#"}) == Exact(marker="#")
    assert resolve("math:pow") is math.pow
    assert resolve("math:pow", {"y": 2}).keywords == {"y": 2}


@pytest.mark.parametrize("name", BUILT_IN)
def test_ready_made_functions_are_found_and_documented(name):
    module, _, attribute = BUILT_IN[name].partition(":")
    assert vars(getattr(importlib.import_module(module), attribute))["__name__"] == name
    assert f"| `{name}` | `{attribute}` |" in DOCS.read_text()


@pytest.mark.parametrize(
    "reward",
    [Exact(marker="#"), MultipleChoice(), Format(), Overlong(max_length=4, buffer=2), Weight(1.0)],
    ids=lambda reward: type(reward).__name__,
)
def test_they_are_values(reward):
    again = pickle.loads(pickle.dumps(reward))
    assert again == reward
    assert hash(again) == hash(reward)
    assert eval(repr(reward)) == reward
