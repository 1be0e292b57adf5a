"""ROUGE-L: equal to the rouge-score package, number for number."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

pytest.importorskip("rapidfuzz")
rouge_score = pytest.importorskip("rouge_score.rouge_scorer")

from advantages.rewards import Rewards, RougeL, rouge_l

SCORERS = {stemmer: rouge_score.RougeScorer(["rougeL"], use_stemmer=stemmer) for stemmer in (False, True)}

TEXT = r"the a add adding added 3 4 7 42 3+4=7 x, (y) . Thus THUS running runs \frac{1}{2} naïve Ünal 数学"
words = st.sampled_from(TEXT.split())
prose = st.lists(words, max_size=40).map(" ".join)
texts = st.one_of(prose, st.text(max_size=60), st.text("aAbB19 .-_\n\t\u0130\xdf\u017fS\u212a\xe9\u0416", max_size=60))


@given(texts, texts, st.booleans())
@example("", "", False)
@example("a", "", False)
@example("", "a", True)
@example("...", "a", False)
@example("\u0130", "i", False)  # one letter that becomes two in lower case
@example("\u212a", "k", True)  # the Kelvin sign, k in lower case
@example("\xdf", "ss", False)  # the German sharp s, which lower case leaves alone and case folding does not
@example("aaaa", "aaa aaaaa", True)
def test_equals_rouge_score(reference, response, stemmer):
    theirs = SCORERS[stemmer].score(reference, response)["rougeL"]
    assert rouge_l(reference, response, stemmer=stemmer) == (theirs.precision, theirs.recall, theirs.fmeasure)


@given(prose, prose)
def test_sides_swap_precision_and_recall(reference, response):
    one, other = rouge_l(reference, response), rouge_l(response, reference)
    assert (one.precision, one.recall) == (other.recall, other.precision)
    assert one.f1 == pytest.approx(other.f1)


@pytest.mark.parametrize("measure", ["f1", "precision", "recall"])
@pytest.mark.parametrize("stemmer", [False, True])
@given(prose, prose)
def test_the_reward_is_the_measure(measure, stemmer, solution, response):
    reward = RougeL(measure=measure, part="whole", stemmer=stemmer)
    (score,) = reward(completions=[response], solution=[solution])
    expected = rouge_l(solution, response, stemmer=stemmer)
    assert score == (getattr(expected, measure) if _has_words(solution) else None)


def _has_words(text):
    return any(letter.isascii() and letter.isalnum() for letter in text)


def test_only_the_reasoning_is_compared():
    solution = "first add 3 and 4 #### 7"
    for response in (
        "<think>first add 3 and 4</think>banana",
        "first add 3 and 4</think>banana",
        "first add 3 and 4 #### 9",
    ):
        assert RougeL(marker="####")(completions=[response], solution=[solution]) == [1.0]
        assert RougeL(part="whole")(completions=[response], solution=[solution]) == [rouge_l(solution, response).f1]
        assert rouge_l(solution, response).f1 < 1


def test_rows_without_a_solution_are_unscored():
    reward = RougeL()
    assert reward(completions=["a b"] * 4, solution=["a b", None, "", "数学"]) == [1.0, None, None, None]
    rewards = Rewards({"format": 1.0, "rouge_l": 0.1}, optional=["rouge_l"])
    scores = rewards(["p"] * 2, ["<think>a b</think>c"] * 2, {"solution": ["a b", None]})
    assert scores.total().tolist() == [1.1, 1.0]


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"measure": "f2"}, ValueError, "rouge_l: measure is 'f2'; pass one of precision, recall, f1"),
        ({"part": "answer"}, ValueError, "rouge_l: part is 'answer'; pass one of reasoning, whole"),
        ({"stemmer": "porter"}, TypeError, "rouge_l: stemmer is 'porter'; pass True or False"),
    ],
)
def test_settings_are_checked(settings, error, message):
    with pytest.raises(error, match=message):
        RougeL(**settings)


def test_a_solution_must_be_a_text():
    with pytest.raises(TypeError, match="the solution of response 1 is a list; pass a text"):
        RougeL()(completions=["a", "b"], solution=["a", ["b"]])
