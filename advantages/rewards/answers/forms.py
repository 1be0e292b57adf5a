r"""What kind of thing an answer is: a number, a quantity, words, a list, a set, an interval, an equation, a matrix."""

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from .engine import DEEPEST, LONGEST, TooLargeError, UnreadableAnswerError, expression
from .normalise import normalised
from .units import unit_of

__all__ = [
    "Chain",
    "Collection",
    "Expression",
    "Form",
    "Matrix",
    "Named",
    "Number",
    "Percent",
    "Quantity",
    "Words",
    "read",
]


@dataclass(frozen=True)
class Number:
    """A number as it stands, exact."""

    value: Fraction
    decimal: bool = False


@dataclass(frozen=True)
class Expression:
    """What math-verify reads."""

    value: Any
    decimal: bool


@dataclass(frozen=True)
class Quantity:
    """A value and what it counts or measures; `unit` is None where that is only a note, such as (apples)."""

    value: "Form"
    unit: str | None


@dataclass(frozen=True)
class Percent:
    """A value in hundredths."""

    value: "Form"


@dataclass(frozen=True)
class Words:
    """A text, without its spelling's accidents."""

    text: str


@dataclass(frozen=True)
class Collection:
    """Several answers.

    The kind is "list", "set", "union" or "both" (inequalities that hold at once), which have no order; "ratio" or
    "range"; or the brackets of a tuple or an interval.
    """

    kind: str
    items: "tuple[Form, ...]"
    decimal: Number | None = None
    """The number that a list of two would be where a comma is the decimal point: 0,75."""


@dataclass(frozen=True)
class Matrix:
    """Rows of entries."""

    rows: "tuple[tuple[Form, ...], ...]"


@dataclass(frozen=True)
class Named:
    """A value with a name, as x = 5 or f(x) = 2x."""

    name: str
    value: "Form"


@dataclass(frozen=True)
class Chain:
    """Sides joined by relations, as 1 < x <= 2 or 2x + y = 3."""

    signs: tuple[str, ...]
    sides: "tuple[Form, ...]"


Form = Number | Expression | Quantity | Percent | Words | Collection | Matrix | Named | Chain


def read(text: str) -> Form:
    """An answer as what it is.

    Raises:
        UnreadableAnswerError: it is in no notation that can be read whole.

    >>> read("9 (apples)").value, read("1 000"), read(r"\\frac12").value
    (Number(value=Fraction(9, 1), decimal=False), Number(value=Fraction(1000, 1), decimal=False), Fraction(1, 2))
    """
    if len(text) > 4 * LONGEST or _too_deep(text):
        raise UnreadableAnswerError(f"an answer of {len(text)} characters is too long or too deep to be read")
    return _form(normalised(text))


def _too_deep(text: str) -> bool:
    depth = 0
    for sign in text:
        depth += (sign in "{([") - (sign in "})]")
        if depth > DEEPEST:
            return True
    return False


_RELATION = re.compile(r"\\(?:le|ge|ne|in|approx|notin)(?![A-Za-z])|[<>=]")
_NAME = re.compile(
    r"(?:\\(?:angle|triangle|overline|vec|hat|bar|widehat|sin|cos|tan|ln|log)\s*)?"
    r"(?:\{?\\?[A-Za-z]+\}?(?:_\{?\w+\}?)?'*(?:\s*\([A-Za-z0-9, ]{1,12}\))?(?:\^\{?-1\}?\([a-z]\))?)"
    r"|\(?[a-z](?:\s*,\s*[a-z])+\)?"
)


_LETTER = re.compile(r"\\?[A-Za-z](?:_\{?\w+\}?)?|\\[a-z]+")
_CHOICE = re.compile(r"\(([A-J])\)\s+(?=[-+]?[\d$]|\\(?:frac|sqrt|pi))")


def _form(text: str) -> Form:
    text = text.strip()
    if choice := _CHOICE.match(text):  # as the AMC writes its answers: (C) 42
        return Named(f"({choice[1]})", _form(text[choice.end() :]))
    if not text:
        raise UnreadableAnswerError("the answer is empty")
    for reader in (
        _number,
        _based,
        _clock_or_date,
        _measured,
        _matrix,
        _joined,
        _related,
        _bracketed,
        _plus_or_minus,
        _words,
    ):
        found = reader(text)
        if found is not None:
            return found
    return Expression(expression(text), decimal=re.search(r"\d\.\d|\.\d", text) is not None)


_PLAIN = re.compile(r"([+-]?)\s*(\d{1,400}(?:\.(\d{0,400}))?|\.\d{1,400})")
_SCIENTIFIC = re.compile(r"([+-]?\d{1,40}(?:\.\d{1,40})?)\s*\\cdot\s*10\s*\^\s*(?:\{\s*(-?\d{1,3})\s*\}|(\d))")
_MIXED = re.compile(
    r"([+-]?)\s*(\d{1,30})\s*(?:\\frac\s*\{\s*(\d{1,30})\s*\}\s*\{\s*(\d{1,30})\s*\}|\s(\d{1,30})\s*/\s*(\d{1,30}))"
)
_RATIO = re.compile(
    r"([+-]?)\s*(?:\\frac\s*\{\s*([+-]?\d{1,300})\s*\}\s*\{\s*([+-]?\d{1,300})\s*\}|(\d{1,300})\s*/\s*(\d{1,300}))"
)
_REPEATING = re.compile(
    r"([+-]?)(\d{1,40})\.(\d{0,40}?)"
    r"(?:\\(?:overline|bar|dot)\s*(?:\{\s*(\d{1,40})\s*\}|(\d))|\((\d{1,40})\)|(\d{1,20})\7+\s*\.\.\.)"
)
_CUT = re.compile(r"([+-]?\d{1,40}\.\d{1,40})\s*\.\.\.")


def _number(text: str) -> Number | None:
    text = text.strip()
    if text.startswith("{") and text.endswith("}"):
        text = text[1:-1].strip()
    text = re.sub(r"^\+\s*", "", text)
    text = re.sub(r"^([+-]?)\s*\(\s*(\d+)\s*\)\s*/", r"\1\2/", re.sub(r"/\s*\(\s*(\d+)\s*\)$", r"/\1", text))
    text = re.sub(r"^\(\s*(-\d+)\s*\)\s*/(?=\s*\d)", r"\1/", text)
    if found := _PLAIN.fullmatch(text):
        value = Fraction("0" + found[2] + "0" if "." in found[2] else found[2])
        return Number(-value if found[1] == "-" else value, decimal="." in found[2] and found[3] != "")
    if found := _SCIENTIFIC.fullmatch(text):
        power = int(found[2] or found[3])
        if abs(power) <= 400:
            return Number(Fraction(found[1]) * Fraction(10) ** power, decimal="." in found[1])
    if found := _MIXED.fullmatch(text):
        whole, above, below = (int(part) for part in (found[2], found[3] or found[5], found[4] or found[6]))
        if below:
            value = whole + Fraction(above, below)
            return Number(-value if found[1] == "-" else value)
    if found := _RATIO.fullmatch(text):
        above, below = int(found[2] or found[4]), int(found[3] or found[5])
        if below:
            value = Fraction(above, below)
            return Number(-value if found[1] == "-" else value)
    if found := _REPEATING.fullmatch(text):
        digits, period = found[3], found[4] or found[5] or found[6] or found[7]
        value = Fraction(
            int(found[2] + digits + period) - int(found[2] + digits), (10 ** len(period) - 1) * 10 ** len(digits)
        )
        return Number(-value if found[1] == "-" else value, decimal=found[7] is not None)
    if found := _CUT.fullmatch(text):
        return Number(Fraction(found[1]), decimal=True)
    return None


_BASED = re.compile(r"(\d[\dA-F]{0,99})\s*_\s*(?:\{\s*(\d{1,2})\s*\}|(\d))")


def _based(text: str) -> Form | None:
    """A numeral of another base, 1010_2: the numeral is what was asked for, so that neither 1010 nor 10 is it."""
    found = _BASED.fullmatch(text)
    if found is None:
        return None
    base = found[2] or found[3]
    return Number(Fraction(int(found[1]))) if base == "10" and found[1].isdigit() else Words(f"{found[1]} base {base}")


_CLOCK = re.compile(r"(\d{1,2})\s*:\s*(\d{2})(?:\s*:\s*(\d{2}))?\s*(a\.?m\.?|p\.?m\.?|o'clock)?", re.IGNORECASE)
_HOUR = re.compile(r"(\d{1,2})\s*(a\.?m\.?|p\.?m\.?)", re.IGNORECASE)
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*\.?"
_DAY = re.compile(
    rf"(?:(\d{{1,2}})(?:st|nd|rd|th)?(?:\s+of)?\s+({_MONTH})|({_MONTH})\s+(\d{{1,2}})(?:st|nd|rd|th)?),?(?:\s*(\d{{4}}))?",
    re.IGNORECASE,
)
_RANGE = re.compile(r"(\d{1,9})\s*-\s*(\d{1,9})")
_DATE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}|\d{1,2}/\d{1,2}/\d{2,4}|\d{1,2}\.\d{1,2}\.\d{4}")


def _clock_or_date(text: str) -> Form | None:
    if _DATE.fullmatch(text):
        return Words(text)
    if found := _DAY.fullmatch(text):
        day, month, year = found[1] or found[4], found[2] or found[3], found[5]
        return Words(" ".join(part for part in (month[:3].casefold(), str(int(day)), year) if part))
    if (found := _RANGE.fullmatch(text)) and int(found[1]) < int(found[2]):
        return Collection("range", (_form(found[1]), _form(found[2])))
    if (found := _HOUR.fullmatch(text)) or (
        (found := _CLOCK.fullmatch(text))
        and (found[4] or found[3] or len(found[1]) == 2 or found[2] == "00" or found[2][0] != "0")
    ):
        return Words(re.sub(r"\.|\s", "", text.casefold()).replace(":00am", "am").replace(":00pm", "pm").lstrip("0"))
    if ":" in text and "=" not in text:
        parts = _split(text, re.compile(":"))
        if len(parts) > 1 and all(part.strip() for part in parts):
            return Collection("ratio", tuple(_form(part) for part in parts))
    return None


_PERCENT = re.compile(
    r"(.*\S)\s*(?:%|(?<=\d)\s+(?:percent|per cent|pct|percentage)\b\.?)(?:\s+[A-Za-z][^\d=<>+*^{}\\%]*)?", re.IGNORECASE
)


def _measured(text: str) -> Form | None:
    if found := _PERCENT.fullmatch(text):
        return Percent(_form(found[1]))
    if found := re.fullmatch(r"([+-]?)\s*([$€£¥₹₽₩₿]|US\$|USD|EUR|GBP|Rs\.?)\s*([+-]?\s*\.?\d.*)", text):
        value = _form(found[1] + found[3])
        return Quantity(value.value if isinstance(value, Quantity) else value, unit_of(found[2]))
    if found := re.fullmatch(r"(.*[\d})])\s*\(([A-Za-z][^()\d=]*)\)", text):
        if (counted := _simple(found[1])) is None:
            return None
        counted, unit = _scaled(counted, found[2])
        return Quantity(counted, unit_of(unit))
    if found := re.fullmatch(r"(.*[\d}\w)])\s*°\s*([CFK])?", text):
        counted = _simple(found[1])
        return counted and Quantity(counted, unit_of("°" + (found[2] or "")))
    if found := re.fullmatch(
        r"(.*?[\d})a-z])(\s*)([$€£¥₹₽₩¢₿µμΩ]|[A-Za-zµμΩ一-鿿가-힣ぁ-ヿ][^\d=<>+*^(){}\\,]*(?:(?<=[A-Za-z])\^?\{?-?\d\}?)?"
        r"(?:\s*(?:/|\\cdot|\s)\s*[A-Za-z]+(?:\^?\{?-?\d\}?)?)*)",
        text,
    ):
        return _with_unit(found[1], found[2], found[3].strip())
    return None


def _with_unit(value: str, space: str, unit: str) -> Form | None:
    number = _simple(value)
    if number is None:
        return None
    number, unit = _scaled(number, unit)
    if not unit:
        return number
    known = unit_of(unit)
    if known is not None and (space or len(re.sub(r"\W.*", "", unit)) > 1 or not unit.isascii()):
        return Quantity(number, known)
    unit = re.sub(r"^of\s+(?=(?:\w+\s+)*\w{3,}$)", "", unit)  # two thirds of a cup
    unit = re.sub(r"^(?:an?|the)\s+(?=\w{3,})", "", unit)
    words = unit.split()
    plain = isinstance(number, Number) and re.search(r"\d\}?$", value) is not None
    if (
        plain
        and len(words) <= 5
        and (len(words[0]) >= 3 or not unit.isascii())
        and unit not in _FUNCTION_WORDS
        and words[0] not in ("and", "or", "sin", "cos", "tan", "log", "exp")
    ):
        return Quantity(number, None)
    return None


_SCALES = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_SCALES |= {"lakh": 10**5, "crore": 10**7}
_SHARES = {"halves": 2, "thirds": 3, "fourths": 4, "fifths": 5, "sixths": 6, "sevenths": 7, "eighths": 8, "ninths": 9}
_SHARES |= {"tenths": 10, "hundredths": 100, "thousandths": 10**3, "millionths": 10**6}
_OPERATION = re.compile(r"(?:squared|cubed|factorial|negative|below|bps|basis points?|per mill?e)\b", re.IGNORECASE)
"""After a number, what makes another one of it."""


def _scaled(number: Form, unit: str) -> tuple[Form, str]:
    """2 "million dollars" as 2000000 "dollars": words after a number that are part of it are no unit.

    Raises:
        UnreadableAnswerError: they say what is done to the number, as in 5 squared.
    """
    if _OPERATION.match(unit):
        raise UnreadableAnswerError(f"a number that is {unit!r} cannot be read")
    word, _, rest = unit.partition(" ")
    name = word.casefold()
    factor = Fraction(_SCALES.get(name, 1), _SHARES.get(name, 1))
    if factor == 1 or not isinstance(number, Number):
        return number, unit
    return _scaled(Number(number.value * factor, number.decimal), rest.strip())


_FUNCTION_WORDS = ("sin", "cos", "tan", "log", "exp")


def _simple(text: str) -> Form | None:
    """A number, or an expression of digits, roots and pi: what can have a unit."""
    found = _number(text)
    if found is not None:
        return found
    if re.fullmatch(r"[\d\s.+\-*/^{}()]+", re.sub(r"\\(?:frac|sqrt|pi|cdot)(?![a-z])", "", text)) and re.search(
        r"\d|\\pi", text
    ):
        try:
            return _form(text)
        except TooLargeError:
            raise
        except UnreadableAnswerError:
            return None
    return None


_ENTRIES = re.compile(r"\\begin\{([a-zA-Z]*matrix|array|cases)\}(?:\{[lcr|]*\})?(.*)\\end\{\1\}", re.DOTALL)


def _matrix(text: str) -> Form | None:
    inside = re.fullmatch(r"(?:\(|\[|\||\\\{)?\s*(\\begin.*\\end\{\w+\})\s*(?:\)|\]|\|)?", text, re.DOTALL)
    found = _ENTRIES.fullmatch(inside[1]) if inside else None
    if found is None:
        return None
    if found[1] == "cases" or r"\begin" in found[2] or found[1] == "vmatrix":
        raise UnreadableAnswerError(f"{text!r} cannot be read")
    rows = [row for row in re.split(r"\\\\(?:\[[^\]]*\])?|\\cr", found[2]) if row.strip() and row.strip() != r"\hline"]
    return Matrix(tuple(tuple(_form(entry) for entry in row.split("&")) for row in rows))


_CUP = re.compile(r"\\cup(?![A-Za-z])|(?<=[)\]}])\s*(?:or|U)\s*(?=[(\[\\])")
_COMMA = re.compile(r"(?:[,;]\s*(?:and|or)?|\b(?:and|or)\b)(?=[\W\d]|\s|[A-Za-z])")


def _joined(text: str) -> Form | None:
    if r"\mid" in text or re.search(r"\\\{[^|]*\|[^|]*\\\}", text) or re.search(r"\\\{.*:.*\\\}", text):
        raise UnreadableAnswerError(f"{text!r} cannot be read: it describes a set")
    if _is_prose(text):
        return None
    named = re.fullmatch(rf"({_NAME.pattern})\s*\\in\s*(.+)", text, re.DOTALL)
    parts = _split(named[2] if named else text, _CUP)
    if len(parts) > 1:
        return Collection("union", tuple(_form(part) for part in parts))
    if re.fullmatch(r"\(?[a-z](?:\s*,\s*[a-z])+\)?\s*=[^=]*", text):
        return _form(text.partition("=")[2])
    separators: list[str] = []
    parts = _split(text, _COMMA, separators)
    if len(parts) < 2:
        return None
    forms = tuple(_form(part) for part in parts if part.strip())
    both = any("and" in separator for separator in separators) and any(isinstance(form, Chain) for form in forms)
    if both and len(forms) == 2 and (found := _bounded(*forms)):
        return found
    if len(forms) > 1:
        comma = re.fullmatch(r"([+-]?)0,(\d{1,40})", text)
        decimal = _number(f"{comma[1]}0.{comma[2]}") if comma else None
        return Collection("both" if both else "list", forms, decimal)
    if forms:
        return forms[0]
    return None


def _bounded(one: Form, other: Form) -> Chain | None:
    """x > 1 and x < 3 as 1 < x < 3."""
    if not (isinstance(one, Chain) and isinstance(other, Chain) and len(one.signs) == len(other.signs) == 1):
        return None
    for low, high in ((one, other), (other, one)):
        if low.sides[1] == high.sides[0] and {*low.signs, *high.signs} <= {"<", r"\le"}:
            return Chain((*low.signs, *high.signs), (*low.sides, high.sides[1]))
    return None


def _related(text: str) -> Form | None:
    signs: list[str] = []
    sides = _split(text, _RELATION, signs)
    if len(sides) < 2 or _is_prose(text):
        return None
    if any(not side.strip() for side in sides):
        if not sides[0].strip() and signs[0] in ("=", r"\approx"):
            return _form(text.strip()[len(signs[0]) :])
        raise UnreadableAnswerError(f"{text!r} cannot be read: a side is missing")
    if signs == [r"\in"]:
        return (
            _form(sides[1])
            if _NAME.fullmatch(sides[0].strip())
            else Chain((r"\in",), (_form(sides[0]), _form(sides[1])))
        )
    if _NAME.fullmatch(sides[0].strip()) and sides[0].strip() != r"\pi" and signs in (["="], [r"\approx"]):
        return Named(re.sub(r"[\s{}]", "", sides[0]), _form(sides[1]))
    if signs == ["="] and _LETTER.fullmatch(sides[1].strip()) and sides[1].strip() != r"\pi":
        return Named(re.sub(r"[\s{}]", "", sides[1]), _form(sides[0]))
    forms = tuple(_form(side) for side in sides)
    if set(signs) <= {">", r"\ge"}:
        flipped = {">": "<", r"\ge": r"\le"}
        return Chain(tuple(flipped[sign] for sign in reversed(signs)), tuple(reversed(forms)))
    return Chain(tuple(signs), forms)


_BRACKETS = (
    (r"\{", r"\}"),
    ("(", ")"),
    ("[", "]"),
    ("(", "]"),
    ("[", ")"),
    (r"\langle", r"\rangle"),
    ("{", "}"),
)


def _bracketed(text: str) -> Form | None:
    for opens, closes in (
        (r"\{", r"\}"),
        ("(", ")"),
        ("[", "]"),
        ("(", "]"),
        ("[", ")"),
        (r"\langle", r"\rangle"),
        ("{", "}"),
    ):
        if not (text.startswith(opens) and text.endswith(closes)):
            continue
        inside = text[len(opens) : -len(closes)]
        if opens == "{" and text.startswith(r"\{"):
            continue
        if not _balanced(inside):
            continue
        items = _split(inside, re.compile("[,;]" if opens != "[" or ";" not in inside else ";"))
        if opens in (r"\{", "{") and (opens == r"\{" or len(items) > 1):
            return Collection("set", tuple(_form(item) for item in items)) if inside.strip() else Words(r"\emptyset")
        if len(items) == 1:
            return _form(inside)
        return Collection(opens + closes, tuple(_form(item) for item in items))
    if text == r"\mathbb{R}":
        return _form(r"(-\infty,\infty)")
    return Words(text) if text == r"\emptyset" or re.fullmatch(r"\\mathbb\{[A-Z]\}(?:\^[+*-]|_\+)?", text) else None


def _balanced(text: str) -> bool:
    depth = 0
    for sign in re.sub(r"\\[{}]", lambda brace: "(" if brace[0] == r"\{" else ")", text):
        depth += (sign in "([{") - (sign in ")]}")
        if depth < 0:
            return False
    return depth == 0


def _plus_or_minus(text: str) -> Form | None:
    if not re.search(r"\\(?:pm|mp)(?![a-z])", text):
        return None
    upper = re.sub(r"\\mp(?![a-z])", "-", re.sub(r"\\pm(?![a-z])", "+", text))
    lower = re.sub(r"\\mp(?![a-z])", "+", re.sub(r"\\pm(?![a-z])", "-", text))
    return Collection("list", (_form(upper.strip()), _form(lower.strip())))


_SHORT_WORDS = frozenset(
    [
        "no",
        "on",
        "yes",
        "if",
        "is",
        "it",
        "up",
        "do",
        "go",
        "so",
        "to",
        "at",
        "in",
        "of",
        "or",
        "an",
        "as",
        "by",
        "he",
        "me",
        "my",
        "us",
        "we",
        "all",
        "any",
        "not",
        "one",
        "two",
        "six",
        "ten",
    ]
)
_NAMES_IN_MATHS = frozenset(
    [
        "pi",
        "theta",
        "alpha",
        "beta",
        "gamma",
        "lambda",
        "sin",
        "cos",
        "tan",
        "sec",
        "csc",
        "cot",
        "ln",
        "log",
        "exp",
        "max",
        "min",
        "gcd",
        "lcm",
        "det",
    ]
)


def _words(text: str) -> Words | Number | None:
    """A text: number words, other words, which are no products of letters, and ordinals."""
    if re.fullmatch(r"\d+(?:st|nd|rd|th)", text):
        return Words(text)
    if re.fullmatch(r"[a-z]{3}", text) and re.search(r"[aeiou]", text) and text not in _NAMES_IN_MATHS:
        return Words(text)
    if (number := _SPELT.get(_spelling(text))) is not None:
        return Number(Fraction(number))
    if _is_prose(text):
        return Words(_SAME.get(_spelling(text), _spelling(text)))
    return None


_UNDER_TWENTY = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_SPELT = {word: number for number, word in enumerate(_UNDER_TWENTY)} | {
    f"{ten} {_UNDER_TWENTY[unit]}" if unit else ten: 10 * number + unit
    for number, ten in enumerate(_TENS, 2)
    for unit in range(10)
}
_SAME = {
    **dict.fromkeys(["all reals", "real numbers", "set of all real numbers", "all real x"], "all real numbers"),
    **dict.fromkeys(["dne", "doesn t exist", "limit does not exist"], "does not exist"),
    **dict.fromkeys(["no solutions", "there is no solution", "there are no solutions"], "no solution"),
}


def _is_prose(text: str) -> bool:
    bare = re.sub(r"\\[A-Za-z]+", " ", text)
    runs = [run for run in re.findall(r"[^\W\d_]+", bare) if run.casefold() not in _NAMES_IN_MATHS | {"or", "and"}]
    if not runs:
        return False
    if re.search(r"[=<>^_+*/{}\\]", text) and not any(len(run) >= 4 for run in runs):
        return False
    if re.search(r"\\(?:frac|sqrt|begin|cup|in|le|ge|pi)(?![a-z])|[=<>^]", text):
        return sum(len(run) >= 3 for run in runs) >= 2
    return any(
        len(run) >= 4
        or run.casefold() in _SHORT_WORDS
        or (len(run) >= 2 and not run.islower())
        or (not run.isascii())
        or (len(run) == 3 and len(runs) > 1)
        for run in runs
    )


def _spelling(text: str) -> str:
    text = re.sub(r"[\s\-_,.;:!?\"'()\[\]$]+", " ", text.casefold()).strip()
    return re.sub(r"^(?:the|a|an) ", "", text)


def _split(text: str, at: re.Pattern[str], separators: list[str] | None = None) -> list[str]:
    """The parts of a text between separators that are in no brackets."""
    depth, start, parts, position = 0, 0, [], 0
    while position < len(text):
        if text.startswith((r"\begin", r"\langle"), position):
            depth += 1
        elif text.startswith((r"\end", r"\rangle"), position):
            depth -= 1
        elif text[position] in "([{":
            depth += 1
        elif text[position] in ")]}":
            depth -= 1
        elif (
            depth <= 0 and (found := at.match(text, position)) and found.end() > position and not _in_word(text, found)
        ):
            parts.append(text[start:position])
            if separators is not None:
                separators.append(found[0])
            start = position = found.end()
            continue
        position += 2 if text[position] == "\\" and text[position + 1 : position + 2] not in "{}" else 1
    return [*parts, text[start:]]


def _in_word(text: str, found: re.Match[str]) -> bool:
    before = text[found.start() - 1 : found.start()]
    return found[0][0].isalpha() and before.isalpha()
