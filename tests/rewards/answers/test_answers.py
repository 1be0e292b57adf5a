"""Which answer a response gives: found, read, compared, and the same in training and in evaluation."""

import random
from pathlib import Path

import pytest

pytest.importorskip("math_verify")

from advantages.evaluation.grading import Mathematics
from advantages.rewards import Math, MultipleChoice
from advantages.rewards.answers import PAIRS, Reasoning, UnreadableAnswerError, equal, find_answers, reasoning_of
from advantages.rewards.answers.letters import find_letter
from advantages.rewards.mathematics import Grader

CORPUS = [line for line in Path(__file__).with_name("corpus.txt").read_text("utf-8").splitlines() if line]
"""Answers as data sets write them: each line is one."""
DELIMITED = (
    "{}",
    r"\boxed{{{}}}",
    r"$\boxed{{{}}}$",
    r"\fbox{{{}}}",
    r"\boxed {{ {} }}. \boxed{{}}",
    "<answer>{}</answer>",
    r"<answer>\boxed{{{}}}</answer>",
    "Work: 1+1=3.\n#### {}",
    "#### {}\nThat is it.",
    "The answer is {}",
    "The answer is {}.",
    "Answer: {}",
    "**Answer:** {}",
    r"The answer is \({}\).",
    "The answer is:\n\\[{}\\]",
    r"\boxed{{{}.}}",
    "The answer is `{}`",
    r"First \boxed{{31}}. No: \boxed{{{}}}",
)


def verdict(expected, given):
    """True, False, or None where the expected answer cannot be read."""
    try:
        return equal(expected, given)
    except UnreadableAnswerError:
        return None


@pytest.mark.parametrize("delimited", DELIMITED)
def test_every_answer_equals_itself_however_it_is_delimited(delimited):
    assert len(CORPUS) > 400
    grader = Grader()
    assert [a for a in CORPUS if not grader.grade(delimited.format(a), a)[0]] == []


def test_the_order_of_the_arguments_does_not_matter():
    dice = random.Random(0)
    pairs = [dice.sample(CORPUS, 2) for _ in range(1500)] + [[a, b] for a, b, _ in EQUALITIES]
    assert [pair for pair in pairs if (verdict(*pair) is True) != (verdict(*pair[::-1]) is True)] == []


EQUALITIES = [
    ("pi/2", r"\frac{\pi}{2}", True),
    ("-2*pi", r"-2\pi", True),
    ("exp(16)-1", "e^{16}-1", True),
    ("√2", r"\sqrt{2}", True),
    ("x²", "x^2", True),
    ("½", "0.5", True),
    ("10**3", "1000", True),
    ("1e3", "1000", True),
    ("On", "No", False),
    ("e", "E", False),
    ("N", "n", False),
    ("42", "42,", True),
    ("42", "42.", True),
    ("42", "**42**", True),
    ("1000000", r"1\,000\,000", True),
    (r"\emptyset", r"\varnothing", True),
    ("9 (apples)", "9", True),
    ("9 (apples)", "90", False),
    ("1 000", "1000", True),
    ("1 000", "0", False),
    ("12 345", "12345", True),
    ("12 345", "357", False),
    ("2 500", "502", False),
    ("10{,}000", "10000", True),
    (r"|x|=-1", r"\sqrt{x}=-2", False),
    ("5", "2x+3=5", False),
    ("2x+4=6", "x+2=3", True),
    ("x=5", "5", True),
    ("x=5", "y=5", False),
    ("6*7=42", "42", True),
    ("6*7=43", "43", False),
    ("b > a > c", "b > a", False),
    ("b > a > c", "c < a < b", True),
    (r"\frac{1}{2^{98}}", r"\frac{1}{2^{99}}", False),
    ("10^{-20}x", r"2\cdot 10^{-20}x", False),
    ("0.00000001", "0.00000002", False),
    ("1000000", "1000001", False),
    ("10000000.0", "10000001", False),
    ("2.3", "2.333", False),
    ("1/3", "0.333333", True),
    ("1/3", "0.33", False),
    ("3.14", r"\pi", False),
    ("0.5", r"50\%", True),
    ("50%", "50", True),
    ("5 cm", "5", True),
    ("5 cm", "5 centimeters", True),
    ("5 cm", "5 m", False),
    ("20 square feet", "20 ft^2", True),
    ("$18", "18 dollars", True),
    ("$18", "18 cents", False),
    (r"90^\circ", "90", True),
    ("9", "9个", True),
    ("9", "\uff19", True),
    ("-5", "\u22125", True),
    ("(1,2]", r"1 < x \le 2", True),
    ("(1,2)", "[1,2]", False),
    ("(3,4)", "(4,3)", False),
    ("x<1 or x>3", r"(-\infty,1)\cup(3,\infty)", True),
    ("x<1 or x>3", "x<1 and x>3", False),
    (r"x=\pm 2", "2, -2", True),
    ("1, 1, 2", "1, 2", False),
    ("2(3)", "6", True),
    ("2(3)", "5", False),
    ("3 3/4", "3.75", True),
    (r"0.\overline{3}", "1/3", True),
    ("y'", "y", False),
    (r"\sin^2 x", r"1-\cos^2 x", True),
    ("July 4, 1776", "4 July 1776", True),
    ("2024-05-01", "2024-04-02", False),
    ("50-60", "-10", False),
    ("1011_2", "1011", False),
    (r"\text{odd}", "odd", True),
    (r"\mathbb{R}", r"(-\infty,\infty)", True),
    (r"\begin{pmatrix}1\\ 2\end{pmatrix}", r"\begin{bmatrix}1\\2.0\end{bmatrix}", True),
    (r"\begin{pmatrix}1&2\end{pmatrix}", r"\begin{pmatrix}1\\2\end{pmatrix}", False),
]


@pytest.mark.parametrize(("expected", "given", "same"), EQUALITIES)
def test_equal_is_what_a_careful_reader_calls_equal(expected, given, same):
    assert (verdict(expected, given) is True) is same


@pytest.mark.parametrize("unreadable", ["???", r"\{x \mid x>0\}", r"A\cap B", r"7 \pmod{12}", ""])
def test_what_cannot_be_read_is_unscored_and_never_wrong(unreadable):
    assert verdict(unreadable, "7") is None


@pytest.mark.parametrize(
    "answer",
    ["10^{10^{10}}", "9^{9^{9}}", "(1000000!)!", "{" * 100_000 + "5" + "}" * 100_000, "9" * 100_000, "(" * 50_000],
)
def test_answers_that_never_end_are_unscored_or_wrong(answer):
    assert verdict("5", answer) in (None, False)
    grader = Grader()
    assert grader.grade(r"\boxed{" * 20_000 + "5", "5") == (False, None)


FOUND = [
    ("First compute 6*7 = 42 and then we subtract", None),
    ("<think>a</think><answer>42</answer>", "42"),
    ("<think>6*7 = 42. But the task wants the square", None),
    ("so \\boxed{41}, no: \\boxed { 42 } \\boxed{}", "42"),
    ("\\boxed{\\frac{1}{2}", None),
    ("#### 42\nThis is because 6*7 = 43.", "42"),
    ("The answer is 42, because 6*7 = 42.", "42"),
    ("The final answer is $42$. I hope it is correct.", "42"),
    ("答案是42", "42"),
    ("**Answer: 42**", "42"),
    ("42", "42"),
    ("I have no idea what it may be", None),
    ("", None),
]


@pytest.mark.parametrize(("text", "answer"), FOUND)
def test_the_answer_is_found_where_it_is_given_and_nowhere_else(text, answer):
    found = find_answers(Reasoning().answer(text))
    assert (found[-1].strip(" $") if found else None) == answer


def test_training_and_evaluation_agree_on_every_text():
    """By their public faces, each in a process of its own."""
    dice = random.Random(1)
    rows = [(text, "42") for text, _ in FOUND]
    rows += [(dice.choice(DELIMITED).format(a), dice.choice([a, dice.choice(CORPUS)])) for a in CORPUS[::2]]
    texts, answers = [text for text, _ in rows], [answer for _, answer in rows]
    with pytest.warns(UserWarning, match="cannot be"):
        trained = Math()(completions=texts, answer=answers)
    evaluated = [None if g.right is None else float(g.right) for g in Mathematics().grade(texts, answers)]
    assert trained == evaluated
    assert {0.0, 1.0, None} == set(trained)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.opens)
def test_every_pair_of_tags_is_detected_and_separates_reasoning_from_the_answer(pair):
    template = "{% for m in messages %}{{ m.content }}{% endfor %}" + pair.opens
    inside = reasoning_of(template, "Hi" + pair.opens + "\n")
    assert inside.opened == pair.opens
    assert inside.answer("6*7 = 42. But the task") == ""
    assert inside.answer(f"7{pair.closes}42") == reasoning_of(template, "Hi").answer("42") == "42"
    assert Reasoning().answer(f"{pair.opens}7{pair.closes}42") == "42"
    assert Reasoning().answer(f"{pair.opens}7") == ""
    assert MultipleChoice()(completions=["Answer: C"], answer=["C"], reasoning_tags=[inside]) == [0.0]


LETTERS = [line.rsplit("|", 1) for line in Path(__file__).with_name("letters.txt").read_text("utf-8").splitlines()]
"""What a careful reader says that each text chooses; - is nothing."""


@pytest.mark.parametrize("letters", ["ABCD", "ABCDEFGHIJ"])
def test_the_letter_is_the_one_that_a_careful_reader_names(letters):
    assert len(LETTERS) > 130
    read = [(text, find_letter(text.replace("\\n", "\n"), letters) or "-") for text, _ in LETTERS]
    assert [pair for pair, (_, letter) in zip(read, LETTERS, strict=True) if pair[1] != letter] == []


@pytest.mark.parametrize("letter", "ABCDEFGHIJ")
def test_all_ten_letters_are_read(letter):
    for text in (
        "Answer: {}",
        r"\boxed{{{}}}",
        "The answer is {}.",
        "({})",
        "I would choose {}.",
        "Option {} is correct",
    ):
        assert find_letter(text.format(letter), "ABCDEFGHIJ") == letter
        assert find_letter(text.format("J"), "ABCD") is None
