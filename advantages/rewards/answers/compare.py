"""Whether two answers are equal: exactly where both are exact, relatively where a decimal is given."""

from fractions import Fraction
from typing import Any

from .engine import TOLERANCE, TooLargeError, UnreadableAnswerError, expression, proportional, same_value, within
from .forms import Chain, Collection, Expression, Form, Matrix, Named, Number, Percent, Quantity, Words, read
from .normalise import same_text
from .units import same_unit

__all__ = ["equal"]


def equal(expected: str, given: str) -> bool:
    r"""Whether a given answer is the expected one; the order of the two does not matter where both can be read.

    What is the same letter for letter is equal, whatever it means. Numbers are compared as fractions, expressions at
    random points to 40 digits; where one side is written as a decimal, to a relative 1e-6. There is no absolute
    tolerance. 50% equals both 50 and 1/2; a unit counts where both sides have one.

    Raises:
        UnreadableAnswerError: the expected answer cannot be read, so nobody knows.
        TooLargeError: one of them is too large to be computed.

    >>> equal("1 000", "1000"), equal("9 (apples)", "9"), equal(r"\frac12", "0.5"), equal("e", "E")
    (True, True, True, False)
    """
    if expected.strip() and (expected.strip() == given.strip() or same_text(expected) == same_text(given) != ""):
        return True
    right = read(expected)
    try:
        answer = read(given)
    except TooLargeError:
        raise
    except UnreadableAnswerError:
        return False
    return _same(right, answer)


def _same(a: Form, b: Form) -> bool:
    a, b = _opened(a, b), _opened(b, a)
    if isinstance(a, Quantity) or isinstance(b, Quantity):
        return _same_quantities(a, b)
    if isinstance(a, Percent) or isinstance(b, Percent):
        return _same_percents(a, b)
    if isinstance(a, Number) and isinstance(b, Number):
        return _same_numbers(a, b)
    if isinstance(a, (Number, Expression)) and isinstance(b, (Number, Expression)):
        return same_value(_value(a), _value(b), a.decimal or b.decimal)
    if isinstance(a, Collection) and isinstance(b, Collection):
        return _same_collections(a, b)
    if isinstance(a, Chain) and isinstance(b, Chain):
        return _same_chains(a, b)
    if isinstance(a, Named) and isinstance(b, Named):
        return (a.name == b.name and _same(a.value, b.value)) or _same_chains(_chain(a), _chain(b))
    if isinstance(a, Named) and isinstance(b, Chain):
        return _same_chains(_chain(a), b)
    if isinstance(a, Chain) and isinstance(b, Named):
        return _same_chains(a, _chain(b))
    if isinstance(a, Matrix) and isinstance(b, Matrix):
        return len(a.rows) == len(b.rows) and all(map(_all_same, a.rows, b.rows))
    if isinstance(a, Matrix) and isinstance(b, Collection):
        return _same_vectors(a, b)
    if isinstance(a, Collection) and isinstance(b, Matrix):
        return _same_vectors(b, a)
    return isinstance(a, Words) and isinstance(b, Words) and a.text == b.text


def _opened(form: Form, other: Form) -> Form:
    """A form as it stands beside another one: a value loses its name, an inequality becomes an interval."""
    if isinstance(form, Chain):
        form = _rounded(form, other) or _worked_out(form)
    if isinstance(form, Collection) and not isinstance(other, Collection):
        if form.kind == "set" and len(form.items) == 1:
            return _opened(form.items[0], other)
        if form.kind == "ratio" and isinstance(other, Number) and (quotient := _quotient(form)):
            return quotient
        if form.decimal is not None and isinstance(other, (Number, Percent, Quantity)):
            return form.decimal
    if isinstance(form, Named) and not isinstance(other, (Named, Chain)):
        return _opened(form.value, other)
    if isinstance(form, Chain) and isinstance(other, Collection) and other.kind not in ("list", "set", "ratio"):
        return _interval(form) or form
    if isinstance(form, Collection) and form.kind == "list" and isinstance(other, Collection) and other.kind == "union":
        parts = [_interval(item) for item in form.items if isinstance(item, Chain)]
        if len(parts) == len(form.items) and None not in parts:
            return Collection("union", tuple(part for part in parts if part is not None))
    return form


def _worked_out(chain: Chain) -> Form:
    """6 * 7 = 42 is 42, since its sides are equal; x = 1/2 = 0.5 is x = 0.5; other equations are equations."""
    if set(chain.signs) - {"=", r"\approx"}:
        return chain
    first, *rest = chain.sides
    last = rest[-1]
    try:
        agree = all(_same(side, last) for side in rest)
        if agree and _constant(last) and _constant(first) and _same(first, last):
            return last
    except UnreadableAnswerError:
        return chain
    if agree and len(rest) > 1 and isinstance(first, Expression) and getattr(first.value, "is_Symbol", False):
        return Named(str(first.value), last)
    return chain


def _rounded(chain: Chain, other: Form) -> Form | None:
    r"""1/3 \approx 0.33 is 1/3, and 0.33 where the other side was rounded, too; 100 \approx 101 is neither."""
    if chain.signs != (r"\approx",) or not all(map(_constant, chain.sides)):
        return None
    exact, number = chain.sides
    if not isinstance(exact, (Number, Expression)) or not isinstance(number, Number):
        return None
    unit = Fraction(1, 1)
    while (number.value / unit).denominator > 1:
        unit /= 10
    if not within(_value(exact), _value(number), float(unit) / 2 * (1 + 1e-9)):
        return None
    return number if _same_plainly(number, other) else exact


def _same_plainly(number: Number, other: Form) -> bool:
    return isinstance(other, Number) and number.value == other.value


def _quotient(ratio: Collection) -> Number | None:
    """3 : 4 as 3/4; None for ratios of more than two, and of what are no numbers."""
    numbers = _numbers(ratio)
    return Number(numbers[0] / numbers[1]) if len(numbers) == 2 else None


def _numbers(ratio: Collection) -> list[Fraction]:
    """The numbers of a ratio that has no others, and none that is 0."""
    numbers = [item.value for item in ratio.items if isinstance(item, Number) and item.value]
    return numbers if len(numbers) == len(ratio.items) else []


def _constant(form: Form) -> bool:
    return isinstance(form, (Number, Quantity, Percent)) or (
        isinstance(form, Expression) and not form.value.free_symbols
    )


def _same_numbers(a: Number, b: Number) -> bool:
    if a.value == b.value:
        return True
    if not (a.decimal or b.decimal) or (a.value.denominator == b.value.denominator == 1):
        return False
    return abs(a.value - b.value) <= Fraction(TOLERANCE) * max(abs(a.value), abs(b.value))


def _same_quantities(a: Form, b: Form) -> bool:
    units = [form.unit for form in (a, b) if isinstance(form, Quantity) and form.unit is not None]
    if len(units) == 2 and not same_unit(*units):
        return False
    values = [form.value if isinstance(form, Quantity) else form for form in (a, b)]
    return _same(*values) or (units == ["°"] and _same_angles(a, b))


def _same_angles(a: Form, b: Form) -> bool:
    """30 degrees are pi/6, but not the number 0.5235988."""
    from sympy import pi

    degrees, radians = (a, b) if isinstance(a, Quantity) and a.unit == "°" else (b, a)
    assert isinstance(degrees, Quantity)
    if not isinstance(degrees.value, (Number, Expression)) or not isinstance(radians, Expression):
        return False
    return bool(radians.value.has(pi)) and same_value(_value(degrees.value) * pi / 180, radians.value, False)


def _same_percents(a: Form, b: Form) -> bool:
    if isinstance(a, Percent) and isinstance(b, Percent):
        return _same(a.value, b.value)
    percent, other = (a, b) if isinstance(a, Percent) else (b, a)
    assert isinstance(percent, Percent)
    if not isinstance(percent.value, (Number, Expression)) or not isinstance(other, (Number, Expression)):
        return False
    hundredth = (
        Number(percent.value.value / 100, percent.value.decimal)
        if isinstance(percent.value, Number)
        else Expression(percent.value.value / 100, percent.value.decimal)
    )
    return _same(percent.value, other) or _same(hundredth, other)


def _same_collections(a: Collection, b: Collection) -> bool:
    kinds = {a.kind, b.kind}
    if kinds == {"list"} and len(a.items) != len(b.items):
        return False
    if kinds <= {"list", "set"} or kinds in ({"union"}, {"both"}):
        return _paired(a.items, b.items)
    if kinds == {r"()", r"\langle\rangle"}:
        return _all_same(a.items, b.items)
    if kinds == {"ratio"} and (one := _numbers(a)) and (other := _numbers(b)):
        return len(one) == len(other) and all(x * other[0] == y * one[0] for x, y in zip(one, other, strict=True))
    return a.kind == b.kind and _all_same(a.items, b.items)


def _all_same(a: tuple[Form, ...], b: tuple[Form, ...]) -> bool:
    return len(a) == len(b) and all(map(_same, a, b))


def _paired(a: tuple[Form, ...], b: tuple[Form, ...]) -> bool:
    """Whether each item of one is an item of the other, and the other way round: sets have no doubles."""
    if len(a) > 60 or len(b) > 60:
        return _all_same(a, b)
    return all(any(_same(x, y) for y in b) for x in a) and all(any(_same(x, y) for x in a) for y in b)


def _same_vectors(matrix: Matrix, items: Collection) -> bool:
    entries = [entry for row in matrix.rows for entry in row]
    if items.kind == "[]" and len(items.items) == len(matrix.rows) > 1:
        rows = [item for item in items.items if isinstance(item, Collection) and item.kind == "[]"]
        if len(rows) == len(items.items):
            return all(_all_same(row, item.items) for row, item in zip(matrix.rows, rows, strict=True))
    vector = len(matrix.rows) == 1 or all(len(row) == 1 for row in matrix.rows)
    return vector and items.kind in ("()", "[]", r"\langle\rangle") and _all_same(tuple(entries), items.items)


def _chain(form: Named) -> Chain:
    return Chain(("=",), (_side(form.name), form.value))


def _side(name: str) -> Form:
    try:
        return Expression(expression(name), decimal=False)
    except UnreadableAnswerError:
        return Words(name)


def _same_chains(a: Chain, b: Chain) -> bool:
    if a.signs == b.signs and _all_same(a.sides, b.sides):
        return True
    if len(a.signs) != 1 or a.signs != b.signs:
        return False
    if a.signs[0] in ("=", r"\ne", r"\approx") and _all_same(a.sides, b.sides[::-1]):
        return True
    sides = (*a.sides, *b.sides)
    if a.signs[0] not in ("=", "<", r"\le") or not all(isinstance(side, (Number, Expression)) for side in sides):
        return False
    decimal = any(side.decimal for side in sides if isinstance(side, (Number, Expression)))
    left, right = (_value(x.sides[0]) - _value(x.sides[1]) for x in (a, b))
    return proportional(left, right, decimal, positive=a.signs[0] != "=")


def _interval(chain: Chain) -> Form | None:
    """1 < x <= 2 as (1, 2], and x > 5 as (5, infinity); None where it is not one letter that is bounded."""
    brackets = {"<": "()", r"\le": "[]"}
    if not set(chain.signs) <= set(brackets):
        return None
    low, high = _infinite(-1), _infinite(1)
    middle = chain.sides[1] if len(chain.sides) == 3 else None
    if middle is not None and _letter(middle):
        opens, closes = (brackets[sign] for sign in chain.signs)
        return Collection(opens[0] + closes[1], (chain.sides[0], chain.sides[2]))
    if len(chain.sides) != 2:
        return None
    bracket = brackets[chain.signs[0]]
    left, right = chain.sides
    if _constant(left) and _letter(right):
        return Collection(bracket[0] + ")", (left, high))
    if _constant(right) and _letter(left):
        return Collection("(" + bracket[1], (low, right))
    return None


def _letter(form: Form) -> bool:
    return isinstance(form, Expression) and bool(getattr(form.value, "is_Symbol", False))


def _infinite(sign: int) -> Form:
    from sympy import oo

    return Expression(sign * oo, decimal=False)


def _value(form: Form) -> Any:
    from sympy import Rational

    if isinstance(form, Number):
        return Rational(form.value.numerator, form.value.denominator)
    assert isinstance(form, Expression)
    return form.value
