"""Mathematical answers: what math-verify finds equal, what nobody can say, and what takes too long."""

import pickle
import threading

import pytest

pytest.importorskip("math_verify")

from advantages.rewards import CosineLength, Math, Rewards


@pytest.fixture(scope="module")
def math():
    return Math(seconds=5.0)


@pytest.mark.parametrize(
    ("answer", "response", "score"),
    [
        ("1/2", r"so \boxed{\frac{2}{4}}", 1),
        (r"\frac12", "The answer is $0.5$", 1),
        (r"\boxed{\frac12}", r"\boxed{0.5}", 1),
        ("$0.5$", r"\boxed{\tfrac{1}{2}}", 1),
        ("0.5", r"\boxed{50\%}", 1),
        ("5", r"\boxed{5\text{ cm}}", 1),
        (r"5\text{ cm}", r"\boxed{5 \mathrm{~cm}}", 1),
        (r"90^\circ", r"\boxed{90}", 1),
        ("(1,2]", r"\boxed{x\in(1,2]}", 1),
        ("(1,2]", r"\boxed{[1,2]}", 0),
        (r"(-\infty,3)\cup(5,\infty)", r"\boxed{(5,\infty)\cup(-\infty,3)}", 1),
        (r"\{1,2\}", r"\boxed{2, 1}", 1),
        (r"\{1,2\}", r"\boxed{\{1,3\}}", 0),
        ("10^{5}", r"\boxed{100000}", 1),
        ("10^{5}", r"\boxed{10}", 0),
        ("y=2x+3", r"\boxed{y = 3 + 2x}", 1),
        (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\boxed{\begin{pmatrix}1\\2\end{pmatrix}}", 1),
        (r"2\sqrt{3}", r"\boxed{\sqrt{12}}", 1),
        ("1,234", r"\boxed{1234}", 1),
        ("x=5", r"\boxed{5}", 1),
        ("He sold 48/2 = 24.\n#### 72", "#### 72", 1),
        ("He sold 48/2 = 24.\n#### 72", r"\boxed{24}", 0),
        (72, "72", 1),
        ("72", r"The final answer is $71$. I hope it is correct. No: \boxed{72}", 1),
        ("72", "", 0),
        ("72", "I do not know.", 0),
        ("72", r"\boxed{\frac{72}{", 0),
        ("72", r"<think>\boxed{71}</think>\boxed{72}", 1),
        ("72", r"<think>\boxed{72}", 0),
        ("72", None, 0),
    ],
)
def test_verdicts(math, answer, response, score):
    response = [{"role": "assistant", "content": response}] if response is None else response
    assert math(completions=[response], answer=[answer]) == [score]


def test_strict_reads_announced_latex_only():
    completions = ["so 5", "The answer is 5.", r"\boxed{5}", "The final answer is $5$. I hope it is correct."]
    assert Math(strict=True)(completions=completions, answer=["5"] * 4) == [0, 0, 1, 1]


def test_an_unreadable_expected_answer_is_unscored_and_spoken_of():
    rewards = Rewards({"math": 1.0})
    with (
        pytest.warns(UserWarning, match=r"math: .*the expected answer '\?\?\?' cannot be parsed"),
        pytest.warns(UserWarning, match="math: has no score for some responses .*; 1 response is unscored"),
    ):
        scores = rewards(["p"] * 4, ["5"] * 4, {"answer": ["???", "5", "", None]})
    assert str(scores.values.tolist()) == "[[nan], [1.0], [nan], [nan]]"
    assert rewards.failures == {"math": {"UnreadableAnswerError": 2, "no score": 1}}


def test_a_response_that_hangs_the_verifier_is_cut_off_and_the_next_are_graded():
    math = Math(seconds=1.0)
    math(completions=["5"], answer=["5"])
    with pytest.warns(
        UserWarning, match="math: gave no score within 1 seconds and was cut off; 1 response is unscored"
    ):
        scores = math(completions=["5", r"\boxed{\sum_{k=1}^{99999999} \sin(k^2)}", "6"], answer=["5"] * 3)
    assert scores == [1.0, None, 0.0]
    assert math.failures == {"too slow": 1}


def test_a_verifier_inside_another_reward_is_heard_too():
    rewards = Rewards({"length": 1.0}, {"length": CosineLength(verifier=Math(), max_length=8)})
    with pytest.warns(UserWarning, match="math: .*cannot be parsed") as caught:
        scores = rewards(["p"] * 2, ["5", "5"], {"answer": ["5", "???"], "completion_ids": [0, 0]})
    assert str(scores.values.tolist()) == "[[2.0], [nan]]"
    assert len(caught) == 1
    assert rewards.failures == {"length": {"UnreadableAnswerError": 1}}


def test_many_threads_share_it(math):
    """math-verify's own time limit is a signal, and fails outside the main thread."""
    results = {}

    def grade(i):
        results[i] = math(completions=[str(i), "no"], answer=[str(i), "5"])

    threads = [threading.Thread(target=grade, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {i: [1.0, 0.0] for i in range(8)}


def test_many_workers_keep_the_order():
    numbers = [str(i) for i in range(40)]
    answers = [str(i - i % 3) for i in range(40)]
    assert Math(workers=3)(completions=numbers, answer=answers) == [float(i % 3 == 0) for i in range(40)]


def test_it_can_be_sent_elsewhere(math):
    again = pickle.loads(pickle.dumps(math))
    assert again == math
    assert again(completions=["5"], answer=["5"]) == [1.0]


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"seconds": 0}, ValueError, "math: seconds is 0; pass a finite number above 0"),
        ({"seconds": "1"}, TypeError, "math: seconds is '1'; pass a finite number above 0"),
        ({"workers": 0}, ValueError, "math: workers is 0; pass a whole number of at least 1"),
        ({"strict": "yes"}, TypeError, "math: strict is 'yes'; pass True or False"),
        ({"marker": ""}, ValueError, "math: marker is empty; pass None"),
    ],
)
def test_settings_are_checked(settings, error, message):
    with pytest.raises(error, match=message):
        Math(**settings)
