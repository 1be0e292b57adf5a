r"""Expressions, read by math-verify and compared exactly: at random points, with guards where it is wrong or endless.

math-verify 0.9 rounds to six places, makes small letters of capitals, drops primes, and solves equations to compare
them, where two that have no solution are equal. So it reads here, one expression at a time, in a notation that it
reads right; that nothing was dropped is checked; and expressions are equal where their values are, at points that
nobody can foresee, to 40 digits, or to a relative 1e-6 where one of them was written as a decimal.
"""

import functools
import logging
import random
import re
from typing import Any

__all__ = [
    "TOLERANCE",
    "TooLargeError",
    "UnreadableAnswerError",
    "expression",
    "prepare",
    "proportional",
    "same_value",
    "within",
]

TOLERANCE = 1.000001e-6
"""Relative, where a decimal is given: six digits, 0.333333 for 1/3, and a little for the decimal's own rounding."""
LONGEST, DEEPEST = 600, 24
"""Characters, and nested brackets, beyond which an expression is not read."""
LARGEST = 50_000
"""Digits of a number beyond which it is not computed."""
POINTS = 4


class UnreadableAnswerError(ValueError):
    """An answer is in no notation that can be read."""


class TooLargeError(UnreadableAnswerError):
    """An answer is a number that is too large to be computed."""


def prepare() -> None:
    """Import math-verify, so that the time this takes is not the first response's."""
    import math_verify

    logging.getLogger(math_verify.__name__).setLevel(logging.CRITICAL)  # it warns of being without a time limit
    logging.getLogger("latex2sympy2_extended").setLevel(logging.CRITICAL)


@functools.lru_cache(4096)
def expression(latex: str) -> Any:
    """An expression of sympy's, not evaluated.

    Raises:
        UnreadableAnswerError: it is no expression, or one that math-verify would read only in part.
        TooLargeError: its value would fill the memory.
    """
    if len(latex) > LONGEST or _depth(latex) > DEEPEST:
        raise UnreadableAnswerError(f"an expression of {len(latex)} characters is too long or too deep to be read")
    if not latex.strip() or _REFUSED.search(latex):
        raise UnreadableAnswerError(f"{latex!r} cannot be read as an expression")
    from math_verify import LatexExtractionConfig, parse
    from sympy import Basic, MatrixBase, Set, Symbol

    prepare()
    written = _spelled(latex)
    try:
        found = parse(rf"\boxed{{{written}}}", [_config(LatexExtractionConfig)], parsing_timeout=0)
    except (Exception, RecursionError) as error:
        raise UnreadableAnswerError(f"{latex!r} cannot be read as an expression ({type(error).__name__})") from None
    read = next((form for form in found if isinstance(form, (Basic, MatrixBase))), None)
    if read is None or isinstance(read, (MatrixBase, Set)):
        raise UnreadableAnswerError(f"{latex!r} cannot be read as an expression")
    _check_whole(latex, written, read)
    _check_size(read)
    # an assumption of math-verify's, which depends on what stands beside a letter, would make it another letter
    return read.xreplace({symbol: Symbol(str(symbol)) for symbol in read.free_symbols})


def same_value(one: Any, other: Any, decimal: bool) -> bool:
    """Whether two expressions have the same value wherever both have one.

    Args:
        one, other: of sympy's.
        decimal: whether one of them was written as a decimal.
    """
    from sympy import oo, zoo

    if one == other:
        return True
    if {one, other} & {oo, -oo, zoo} or not _is_expression(one) or not _is_expression(other):
        return False
    tolerance = TOLERANCE if decimal else 1e-35
    compared = 0
    for a, b, difference in _values(one, other):
        if abs(a - b) > tolerance * max(abs(a), abs(b)) or not (decimal or _vanishes(difference)):
            return False
        compared += 1
    return compared > 0


def _vanishes(difference: Any) -> bool:
    """Whether a constant is 0: decided exactly where it is rational, and to 400 digits where it is not."""
    from sympy import Rational

    exact = difference.doit()
    if isinstance(exact, Rational):
        return exact == 0
    real, imaginary = exact.evalf(10, maxn=400).as_real_imag()
    return all(part == 0 or getattr(part, "_prec", 1) == 1 for part in (real, imaginary))


def within(one: Any, other: Any, distance: Any) -> bool:
    """Whether two constants are at most `distance` apart."""
    values = list(_values(one, other))
    return bool(values) and all(abs(a - b) <= distance for a, b, _ in values)


def proportional(one: Any, other: Any, decimal: bool, *, positive: bool = False) -> bool:
    """Whether one expression is the other times a number that is not 0: such equations have the same solutions.

    Args:
        one, other: of sympy's.
        decimal: whether one of them was written as a decimal.
        positive: the number is above 0: then inequalities have the same solutions, too.
    """
    if not _is_expression(one) or not _is_expression(other):
        return False
    tolerance = TOLERANCE if decimal else 1e-30
    ratios = []
    for a, b, _ in _values(one, other):
        if abs(a) < 1e-40 or abs(b) < 1e-40:
            return False
        ratios.append(a / b)
    same = len(ratios) > 1 and all(abs(ratio - ratios[0]) <= tolerance * abs(ratios[0]) for ratio in ratios)
    return same and (not positive or ratios[0].real > 0)


_REFUSED = re.compile(
    r"'|\^\s*\{[^{}]*\}\s*\^|\\(?:overline|underline|overset|underset|stackrel|substack|begin|end|not|pm|mp|vdots|ddots|mid|parallel|perp|"
    r"cong|sim|equiv|triangle|angle|widehat|overrightarrow|subset|subseteq|cap|setminus|Rightarrow|to|rightarrow|"
    r"forall|exists|color|textcolor|boxed|mod|pmod|land|lor|wedge|vee|neg|lnot)(?![a-z])|\d\s*_|\bmod\b|[?!]{2}|\.\.|#|&|@|:|;|\"|\$|[^\x00-\x7f°]|°(?=\s*[CFK])"
)
_COMMAND = re.compile(r"\\[A-Za-z]+")


def _spelled(latex: str) -> str:
    r"""For math-verify: capitals as symbols of their own, and products where it would see mixed numbers.

    `N` would be `n`, `2(3)` would be 5.
    """
    pieces = re.split(r"(\\[A-Za-z]+)", latex)
    pieces = [
        piece if piece.startswith("\\") else re.sub(r"([A-Z])(?:_(?:\{(\w+)\}|(\w)))?", _capital, piece)
        for piece in pieces
    ]
    written = re.sub(r"(\d+(?:\.\d+)?|\\pi|[a-z])\s*°", r"(\1 \\cdot \\frac{\\pi}{180})", "".join(pieces))
    written = re.sub(r"(?<![\w}])(\d+)\s+(\d+)\s*/\s*(\d+)(?!\d)", r"(\1+\\frac{\2}{\3})", written)
    written = re.sub(r"(?<![\w}])(\d+)\s*\\frac\s*\{(\d+)\}\s*\{(\d+)\}", r"(\1+\\frac{\2}{\3})", written)
    written = re.sub(r"(\d|\)|\})\s*\(", _times, written)
    return re.sub(r"(?<=\d)\s+(?=\\sqrt|\\pi|[a-z])", r" \\cdot ", written)


def _times(found: re.Match[str]) -> str:
    return found[1] + (r"\cdot (" if found[1].isdigit() or found[1] == ")" else "(")


def _capital(found: re.Match[str]) -> str:
    return "z_{77" + "".join(f"{ord(sign):03d}" for sign in found[1] + (found[2] or found[3] or "")) + "}"


@functools.cache
def _config(kind: Any) -> Any:
    from latex2sympy2_extended.latex2sympy2 import NormalizationConfig

    return kind(
        boxed_match_priority=0,
        normalization_config=NormalizationConfig(
            basic_latex=True, units=False, malformed_operators=True, nits=False, boxed="all", equations=False
        ),
    )


def _check_whole(latex: str, written: str, read: Any) -> None:
    """That every letter and every number of an expression is in what was read of it."""
    from sympy import Symbol, preorder_traversal
    from sympy.core.function import UndefinedFunction

    bare = _COMMAND.sub(" ", re.sub(r"_\{?\w+\}?", "", written))
    names: set[str] = set()
    for node in preorder_traversal(read):
        if isinstance(node, Symbol):
            names |= set(re.sub(r"_.*|\W", " ", node.name))
        elif isinstance(type(node), UndefinedFunction):
            names |= set(str(node.func))
    missing = set(re.findall("[a-z]", bare)) - names - {"e", "d", "i"}
    if missing and not re.search(r"\\(?:frac\s*\{d|int|sum|prod|lim|binom|log|mathbb)", latex):
        raise UnreadableAnswerError(f"{latex!r} cannot be read whole: {', '.join(sorted(missing))} would be lost")


def _check_size(read: Any) -> None:
    """That no power or factorial in an expression would fill the memory."""
    from sympy import Integer, Pow, binomial, factorial, postorder_traversal

    sizes: dict[Any, float] = {}  # the decimal logarithm of each part's value, at most
    for node in postorder_traversal(read):
        sizes[node] = size = _size(node, sizes, Integer, Pow, (factorial, binomial))
        if size > LARGEST:
            raise TooLargeError(f"the number {type(node).__name__!s} has more than {LARGEST} digits")


def _size(node: Any, sizes: dict[Any, float], integer: Any, power: Any, factorials: Any) -> float:
    if isinstance(node, integer):
        return abs(int(node)).bit_length() * 0.302
    parts = [sizes.get(part, 1.0) for part in node.args]
    if isinstance(node, power):
        base, exponent = parts
        return base * 10.0 ** min(exponent, 300) if base > 0.4 or exponent > 5 else 1.0
    if isinstance(node, factorials) and parts:
        top = 10.0 ** min(parts[0], 300)
        return top * max(parts[0], 1.0)
    return sum(parts) + 1.0 if parts else 1.0


def _depth(text: str) -> int:
    depth = deepest = 0
    for sign in text:
        depth += (sign in "{([") - (sign in "})]")
        deepest = max(deepest, depth)
    return deepest


def _is_expression(x: Any) -> bool:
    from sympy import Expr

    return isinstance(x, Expr)


def _values(one: Any, other: Any) -> Any:
    """Pairs of complex values at random points, where both have one, and their difference, exact.

    A root of odd degree of a negative number is the real one, as in schools.
    """
    from sympy import I, Rational, Symbol, default_sort_key, sympify

    symbols = sorted(one.free_symbols | other.free_symbols, key=default_sort_key)
    dice = random.Random(20_771)
    constants = {symbol: I for symbol in symbols if symbol.name == "i"}
    free: list[Symbol] = [symbol for symbol in symbols if symbol not in constants]
    for number in range(POINTS if free else 1):
        sign = 1 if number < 2 else -1
        point = {symbol: sign * Rational(dice.randint(10**5, 10**6), 314_159) for symbol in free} | constants
        try:
            exact = [_real_roots(sympify(x).subs(point).doit()) for x in (one, other)]
            pair = [complex_of(x) for x in exact]
        except (Exception, RecursionError):
            continue
        if all(value is not None for value in pair):
            yield *pair, exact[0] - exact[1]


def _real_roots(x: Any) -> Any:
    from sympy import Pow, Rational

    def is_root(node: Any) -> bool:
        return (
            isinstance(node, Pow)
            and isinstance(node.exp, Rational)
            and node.exp.q % 2 == 1
            and node.exp.q > 1
            and node.base.is_negative is True
        )

    return x.replace(is_root, lambda node: (-1) ** node.exp.p * Pow(-node.base, node.exp))


def complex_of(x: Any) -> Any:
    """The value of a constant to 50 digits, or None where it has none."""
    from mpmath import isfinite, mp

    value = x.evalf(50, maxn=400)
    re_part, im_part = value.as_real_imag()
    if not (re_part.is_number and im_part.is_number):
        return None
    with mp.workdps(50):
        found = mp.mpc(re_part._to_mpmath(170), im_part._to_mpmath(170))
        return found if isfinite(found) else None
