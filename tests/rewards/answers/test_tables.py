"""Tables of answers as people and models write them, with what a careful reader says; numbers in many writings."""

import random
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

pytest.importorskip("math_verify")

from advantages.rewards.answers import Reasoning, UnreadableAnswerError, equal, find_letter
from advantages.rewards.answers.units import unit_of
from advantages.rewards.mathematics import Grader


def table(name):
    """Rows of three columns between tabs."""
    lines = Path(__file__).with_name(name).read_text("utf-8").splitlines()
    return [line.split("\t") for line in lines]


def is_same(expected, given):
    try:
        return equal(expected, given)
    except UnreadableAnswerError:
        return False


def test_pairs_of_answers_are_the_same_or_not_in_either_order():
    rows = table("equal.txt")
    assert len(rows) > 400
    assert {verdict for *_, verdict in rows} == {"same", "other"}
    said = [(a, b, "same" if is_same(a, b) else "other") for a, b, _ in rows]
    assert [row for row, (*_, verdict) in zip(said, rows, strict=True) if row[2] != verdict] == []
    said = [(b, a, "same" if is_same(b, a) else "other") for a, b, _ in rows]
    assert [row for row, (*_, verdict) in zip(said, rows, strict=True) if row[2] != verdict] == []


def test_responses_are_right_or_wrong():
    rows = table("responses.txt")
    assert len(rows) > 180
    grader = Grader()
    graded = [
        (response, answer, grader.grade(Reasoning().answer(response.replace("⏎", "\n")), answer))
        for response, answer, _ in rows
    ]
    assert [row for row, (*_, verdict) in zip(graded, rows, strict=True) if row[2][0] != (verdict == "right")] == []


@given(
    st.sampled_from(["Options:", "The choices are", "Answer choices:", "The possible answers are:", "Alternatives:"]),
    st.sampled_from(["{})", "({})", "{}.", "{}:"]),
    st.lists(st.sampled_from(["12", "Paris", "$x^2$", "it doubles", "none of these"]), min_size=2, max_size=4),
    st.sampled_from([" ", "\n", ", ", "; "]),
    st.sampled_from(["", "B", "C"]),
)
def test_options_that_are_repeated_choose_none(head, label, options, between, chosen):
    listed = between.join(f"{label.format(letter)} {text}" for letter, text in zip("ABCD", options, strict=False))
    stated = f"\nThe answer is {chosen}." if chosen else ""
    assert (find_letter(f"{head} {listed}{stated}") or "") == chosen


SCALES = [("hundred", 2), ("thousand", 3), ("million", 6), ("billion", 9)]


@given(
    st.integers(-(10**4), 10**4),
    st.lists(st.sampled_from(SCALES), min_size=1, max_size=3),
    st.sampled_from(["", " people", " dollars", " of the votes"]),
)
def test_words_of_a_number_are_a_part_of_it(number, scales, unit):
    written = " ".join([str(number), *(word for word, _ in scales)]) + unit
    zeros = sum(power for _, power in scales)
    assert equal(written, str(number * 10**zeros))
    assert number == 0 or not equal(written, str(number))
    assert number == 0 or not equal(str(number), written)


def writings(number):
    """A rational number as people write it."""
    above, below = abs(number.numerator), number.denominator
    minus = "-" if number < 0 else ""
    if below == 1:
        yield from (f"{minus}{above}", f"{minus}{above}.0", f"{minus}{above}.00", f"{minus}{above}/1")
        yield from (rf"{minus}\frac{{{2 * above}}}{{2}}", f"x = {minus}{above}", rf"\text{{{minus}{above}}}")
        groups = f"{above:,}"
        if above >= 1000:
            yield from (minus + groups, minus + groups.replace(",", "{,}"), minus + groups.replace(",", r"\,"))
            yield from (minus + groups.replace(",", " "), minus + groups.replace(",", "\u202f"), f"{minus}{groups}.00")
        if above >= 10**6:
            yield minus + groups.replace(",", ".")
    else:
        yield from (
            f"{minus}{above}/{below}",
            rf"{minus}\frac{{{above}}}{{{below}}}",
            rf"\dfrac{{{minus}{above}}}{{{below}}}",
        )
        yield from (
            f"{minus}{3 * above}/{3 * below}",
            rf"\frac{{{above}}}{{{minus}{below}}}",
            f"({minus}{above})/{below}",
        )
        if above > below:
            whole, rest = divmod(above, below)
            yield from (f"{minus}{whole} {rest}/{below}", rf"{minus}{whole}\frac{{{rest}}}{{{below}}}")
    digits = next((digits for digits in range(7) if 10**digits % below == 0), None)
    if digits:
        decimal = f"{above / below:.{digits}f}"
        yield from (minus + decimal, f"{minus}{decimal}0")
        if digits != 3:  # three digits are thousands
            yield minus + decimal.replace(".", "{,}")
        yield f"{minus}{float(decimal) * 100:.{max(digits - 2, 0)}f}\\%"
        if above < below:
            yield minus + decimal[1:]


DRESSES = (
    "{}",
    "${}$",
    r"\({}\)",
    "**{}**",
    "{}.",
    "{},",
    " {} ",
    r"\boxed{{{}}}",
    "{} apples",
    r"{}\text{{ apples}}",
    "{}。",
)


@settings(max_examples=60)
@given(st.integers(-3_000_000, 3_000_000), st.sampled_from([1, 1, 2, 3, 4, 5, 7, 8, 20, 125]), st.randoms())
def test_a_number_is_the_same_in_all_its_writings_and_no_other(above, below, dice):
    number = Fraction(above, below)
    other = number + dice.choice([1, -1, Fraction(1, below), Fraction(1, 2)]) if number else Fraction(1)
    assume(abs(other - number) > Fraction(2, 10**6) * abs(number))  # decimals are compared to six digits
    mine, others = list(writings(number)), list(writings(other))
    minus = str.maketrans("-", "\u2212") if dice.random() < 0.5 else {}
    for text in dice.sample(mine, min(len(mine), 4)):
        dressed = dice.choice(DRESSES).format(text).translate(minus)
        assert is_same(dice.choice(mine), dressed), (number, dressed)
        assert is_same(dressed, dice.choice(mine)), (number, dressed)
    for text in dice.sample(others, min(len(others), 4)):
        if "%" in text:  # 50% equals 50, too
            continue
        assert not is_same(dice.choice(mine), dice.choice(DRESSES).format(text)), (number, text)


def test_letters_are_the_same_ones_whatever_stands_beside_them():
    """math-verify gives the i of 1i + 2j another assumption than that of i + 2j; the letters are the same."""
    dice = random.Random(3)
    for _ in range(60):
        letters = dice.sample("abcijkmnpqrstuvwxyz", 3)
        numbers = [dice.randint(1, 9) for _ in letters]
        terms = [f"{number}{letter}" for number, letter in zip(numbers, letters, strict=True)]
        bare = [letter if number == 1 else term for term, number, letter in zip(terms, numbers, letters, strict=True)]
        dice.shuffle(bare)
        assert is_same("+".join(terms), "+".join(bare)), (terms, bare)
        assert not is_same("+".join(terms), "+".join([*bare, letters[0]]))


@pytest.mark.parametrize("big", ["1000!", "10^{50}", r"\sqrt{2}", "x", r"\pi", "2^{500}", r"\frac{1}{3}"])
@pytest.mark.parametrize("small", ["1", "10^{-60}", "10^{-90}"])
def test_what_is_exact_is_compared_exactly_at_every_size(big, small):
    assert not is_same(big, f"{big}+{small}")
    assert not is_same(f"{big}-{small}", big)
    assert is_same(f"{big}+{small}", f"{small}+{big}")


BOUNDED = ["2x", "x^2", "|x|", "x-1", "3-x", r"\frac{x}{2}", r"\sqrt{x}", "e^x", "xy"]


@pytest.mark.parametrize("bounded", BOUNDED)
def test_only_a_letter_that_is_bounded_is_in_an_interval(bounded):
    assert not is_same(r"(4,\infty)", f"{bounded}>4")
    assert not is_same(f"{bounded}<4", r"(-\infty,4)")
    assert not is_same("[1,3)", rf"1\le {bounded}<3")
    assert not is_same(r"(-\infty,1)\cup(3,\infty)", f"{bounded}<1 or {bounded}>3")
    assert is_same(r"(4,\infty)", "x>4")


UNITS = [
    ("m/s", "m s^{-1}", "meters per second", r"m\cdot s^{-1}"),
    ("mi/h", "mph", "miles per hour", "mile/hr"),
    ("km/h", "kph", "kmh", "kilometers per hour", "km/hr"),
    ("kg m/s^2", r"kg\cdot m/s^2", "kg*m/s^2", "m kg s^{-2}"),
    ("ft^2", "square feet", "sq. ft.", "ft2", "feet squared", "square foot"),
    ("m^3", "cubic meters", "m3", "metres cubed"),
    ("g/cm^3", "grams per cubic centimeter", "g cm^{-3}"),
    ("°C", "degrees Celsius", "°C", "celsius"),
    ("$/h", "dollars per hour", "$/hour", "dollars an hour"),
]


def test_a_unit_has_one_name():
    names = [{unit_of(writing) for writing in writings} for _, *writings in UNITS]
    assert names == [{name} for name, *_ in UNITS]
    for text in ("apples", "apples per day", "square", "m per apple", "", "squared", "x^2"):
        assert unit_of(text) is None
