r"""One notation for what is written in many: signs of Unicode, of keyboards and of LaTeX."""

import re
import unicodedata
from collections.abc import Callable

__all__ = ["normalised", "same_text", "without_fonts"]

_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿⁱ⁽⁾", "0123456789+-ni()")
_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_SIGNS = {
    **dict.fromkeys("−–—‐‑⁻﹣", "-"),  # noqa: RUF001
    **dict.fromkeys("×✕⋅·∙•", r"\cdot "),  # noqa: RUF001
    "÷": "/",
    "∕": "/",  # noqa: RUF001
    "⁄": "/",  # noqa: RUF001
    "≤": r"\le ",
    "⩽": r"\le ",
    "≥": r"\ge ",
    "⩾": r"\ge ",
    "≠": r"\ne ",
    "≈": r"\approx ",
    "∞": r"\infty ",
    "∪": r"\cup ",  # noqa: RUF001
    "∩": r"\cap ",
    "∈": r"\in ",
    "∉": r"\notin ",
    "∅": r"\emptyset ",
    "π": r"\pi ",
    "θ": r"\theta ",
    "α": r"\alpha ",  # noqa: RUF001
    "β": r"\beta ",
    "γ": r"\gamma ",  # noqa: RUF001
    "λ": r"\lambda ",
    "±": r"\pm ",
    "∓": r"\mp ",
    "∠": r"\angle ",
    "º": "°",
    "ℝ": r"\mathbb{R}",  # noqa: RUF001
    "ℤ": r"\mathbb{Z}",  # noqa: RUF001
    "ℕ": r"\mathbb{N}",  # noqa: RUF001
    "“": '"',
    "”": '"',
    "’": "'",  # noqa: RUF001
    "′": "'",  # noqa: RUF001
    "\u200b": "",
    "\ufeff": "",
}
_SPELLINGS = (
    (r"\\(?:dfrac|tfrac|cfrac|nicefrac|sfrac)(?![a-z])", r"\\frac"),
    (r"\\(?:left|right|displaystyle|textstyle|limits|mathstrut|bigl?|bigr|Bigl?|Bigr|middle)(?![A-Za-z])\.?", ""),
    (r"\\(?:tbinom|dbinom)", r"\\binom"),
    (r"\\(?:varnothing|empty)(?![a-z])", r"\\emptyset "),
    (r"\\(?:leqslant|leqq|leq)(?![a-z])", r"\\le "),
    (r"\\(?:geqslant|geqq|geq)(?![a-z])", r"\\ge "),
    (r"\\(?:neq|not\s*=)(?![a-z])", r"\\ne "),
    (r"\\lt(?![a-z])", "<"),
    (r"\\gt(?![a-z])", ">"),
    (r"\\(?:lbrace)(?![a-z])", r"\\{"),
    (r"\\(?:rbrace)(?![a-z])", r"\\}"),
    (r"\\(?:lvert|rvert|vert)(?![a-z])", "|"),
    (r"\\(?:times|ast)(?![a-z])", r"\\cdot "),
    (r"\\div(?![a-z])", "/"),
    (r"\\(?:text|mathrm|operatorname\*?|mathsf|textrm)\s*\{\s*or\s*\}", " or "),
    (r"\\(?:text|mathrm|operatorname\*?|mathsf|textrm)\s*\{\s*and\s*\}", " and "),
    (r"\\bigcup(?![a-z])", r"\\cup "),
    (r"(?:\^|\*\*)\s*(?:\{\s*\\circ\s*\}|\\circ)|\\degree(?:s)?(?![a-z])", "°"),
    (r"\^\s*\{?\\prime\}?", "'"),
    (r"\\infin(?![a-z])", r"\\infty "),
    (r"\\(?:dots|ldots|cdots)(?![a-z])", "..."),
    (r"<=", r"\\le "),
    (r">=", r"\\ge "),
    (r"!=(?!=)", r"\\ne "),
)
_FONTS = re.compile(
    r"\\(?:text|textbf|textit|textrm|textsf|texttt|textnormal|mathrm|mathbf|mathit|mathsf|bold|boldsymbol|bm|mbox|hbox|"
    r"emph|operatorname\*?|underline|boxed|fbox)\s*\{"
)
MOST_FONTS = 100
"""Commands of this kind in one answer that are looked into."""
_SPACES = re.compile(
    r"(?<!\\)\\[,;:!> ]|\\(?:quad|qquad|thinspace|enspace|hspace\{[^{}]*\})(?![a-z])|(?<!\\)~|(?<!\\)\\(?=\s)"
)
_GROUPS = re.compile(r"(?<![\d.,])([1-9]\d{0,2})((?:[ '_\u2009\u202f\u00a0]\d{3})+)(?:,(\d{1,2})(?!\s?\d))?(?![\d'_])")
_NEARLY = re.compile(r"^\s*(?:approximately|approx\.?|about|roughly|around)\s+(?=[\d.\\$-])", re.IGNORECASE)
_FUNCTIONS = (
    "arcsin|arccos|arctan|arcsec|arccsc|arccot|sinh|cosh|tanh|coth|sin|cos|tan|sec|csc|cot|"
    "ln|log|exp|min|max|gcd|lcm|det"
)


def normalised(text: str) -> str:
    r"""An answer without dress, in the LaTeX that the rest of this package reads.

    >>> normalised(r"**$1\,000\,000$.**"), normalised("√2"), normalised("x²+½"), normalised("10**3")
    ('1000000', '\\sqrt{2}', 'x^{2}+\\frac{1}{2}', '10^{3}')
    """
    text = _undressed(_plain_signs(text))
    text = text.replace(r"{\ }", " ").replace(r"\,", " ")
    text = _SPACES.sub(" ", text)
    for pattern, replacement in _SPELLINGS:
        text = re.sub(pattern, replacement, text)
    text = without_fonts(text)
    text = re.sub(r"\\[$]", "$", text).replace(r"\%", "%").replace(r"\#", "#").replace(r"\_", "_").replace(r"\&", "&")
    text = _undressed(text)
    text = re.sub(r"\\$", "", text)
    text = _GROUPS.sub(_grouped, text)
    text = _decimal_commas(text)
    text = re.sub(r"(?<![\d.,])([1-9]\d{0,2}(?:,\d{3})+)(?=$|[^\d,])", _thousands(text), text)
    text = _keyboard(text)
    return " ".join(_NEARLY.sub("", text).split())


def same_text(text: str) -> str:
    r"""What is left of a text where white space, capitals of words, and dress do not count.

    >>> same_text(r"$\text{Evelyn}$."), same_text("evelyn "), same_text("E") == same_text("e")
    ('evelyn', 'evelyn', False)
    """
    if len(text) > 10_000:
        return text.strip()
    text = re.sub(r"(?<!\d)\s+|\s+(?!\d)", "", normalised(text))  # 3 2/5 is not 32/5
    text = re.sub(r"([_^])\{(\w)\}", r"\1\2", text)
    return re.sub(r"(?<![\\A-Za-z])[A-Za-z]*[A-Za-z]{3}[A-Za-z]*", lambda word: word[0].casefold(), text)


def _plain_signs(text: str) -> str:
    text = re.sub("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿⁱ⁽⁾]+", lambda found: "^{" + found[0].translate(_SUPERSCRIPTS) + "}", text)
    text = re.sub("[₀₁₂₃₄₅₆₇₈₉]+", lambda found: "_{" + found[0].translate(_SUBSCRIPTS) + "}", text)
    written = []
    for sign in text:
        if sign in _SIGNS:
            written.append(_SIGNS[sign])
        elif unicodedata.decomposition(sign).startswith("<fraction>"):
            above, _, below = unicodedata.normalize("NFKC", sign).partition("\u2044")
            written.append(rf"\frac{{{above}}}{{{below}}}" if below else sign)
        else:
            written.append(sign)
    text = unicodedata.normalize("NFKC", "".join(written)).replace("\u2212", "-")
    return re.sub(r"([∛∜√])\s*(?:\(([^()]*)\)|\{([^{}]*)\}|(\d+(?:\.\d+)?|[A-Za-z]))", _root, text)


def _root(found: re.Match[str]) -> str:
    degree = {"√": "", "∛": "[3]", "∜": "[4]"}[found[1]]
    return rf"\sqrt{degree}{{{found[2] or found[3] or found[4]}}}"


def _undressed(text: str) -> str:
    """Without what stands around an answer: dollars, stars, quotes, marks of a sentence's end."""
    before = None
    while before != text:
        before = text
        text = text.strip()
        text = re.sub(r"(?:\\?[.;,:。]|\\\\)$", "", text) if not text.endswith("...") else text
        for opens, closes in _DRESS:
            if len(text) > len(opens) + len(closes) and text.startswith(opens) and text.endswith(closes):
                inside = text[len(opens) : -len(closes)]
                if opens not in (bare := inside.replace(r"\$", "")) and closes not in bare:
                    text = inside
    text = re.sub(r"(?<![\\$])\$(-?\d[\d.,]*)\$(?![\d$])", r"\1", text)
    return re.sub(r"(?<!\\)\$(?=[^$]*[^$\s\d][^$]*\$)([^$]*)\$", r"\1", text) if text.count("$") > 1 else text


_DRESS = (
    ("$$", "$$"),
    ("$", "$"),
    (r"\(", r"\)"),
    (r"\[", r"\]"),
    ("***", "***"),
    ("**", "**"),
    ("__", "__"),
    ("*", "*"),
    ("`", "`"),
    ('"', '"'),
    ("'", "'"),
    ("“", "”"),
    ("<answer>", "</answer>"),
)


def without_fonts(text: str) -> str:
    r"""A text with what stands in \text{...}, \mathbf{...} and their like, and without them."""
    for _ in range(MOST_FONTS):
        found = _FONTS.search(text)
        end = _closing(text, found.end()) if found else None
        if not found or end is None:
            return text
        inside = text[found.end() : end]
        text = text[: found.start()] + (f" {inside} " if len(inside) > 1 else inside) + text[end + 1 :]
    return text


def _closing(text: str, start: int) -> int | None:
    """Where the brace that was opened before `start` is closed."""
    depth = 1
    for at in range(start, len(text)):
        if text[at] in "{}" and text[at - 1] != "\\":
            depth += 1 if text[at] == "{" else -1
            if depth == 0:
                return at
    return None


def _thousands(text: str) -> Callable[[re.Match[str]], str]:
    """Commas before three digits group digits, unless brackets around them, or other commas, make a list of it."""
    listed = re.search(r",\d{1,2}(?!\d)|,\d{4}", text) is not None
    bracketed = re.match(r"\s*(?:[(\[]|\\\{)", text) is not None and re.search(r",\s", text) is None

    def joined(found: re.Match[str]) -> str:
        return found[0] if listed or bracketed else found[0].replace(",", "")

    return joined


def _decimal_commas(text: str) -> str:
    """Numbers as continental Europe writes them, where they cannot be anything else: 1.234.567, 1.234,5, 3{,}5."""
    text = re.sub(r"(?<=\d)\{,\}(?=\d{3}(?!\d))", ",", text)
    text = re.sub(r"(?<=\d)\{,\}(?=\d)", ".", text).replace("{,}", ",")
    text = re.sub(r"(?<![\d.,])([1-9]\d{0,2}(?:\.\d{3})+),(\d+)(?![\d.,])", _rejoined, text)
    return re.sub(r"(?<![\d.,])([1-9]\d{0,2}(?:\.\d{3}){2,})(?![\d.,])()", _rejoined, text)


def _grouped(found: re.Match[str]) -> str:
    """1 000/3 has groups of digits; 1 112/125 is a mixed number, and so stays as it is."""
    below = re.match(r"\s*/\s*(\d+)", found.string[found.end() :])
    last = found[2][-3:]
    if below and len(found[2]) == 4 and last[0] != "0" and int(last) < int(below[1]):
        return found[0]
    return _joined(found[1] + found[2], found[3])


def _rejoined(found: re.Match[str]) -> str:
    return _joined(found[1], found[2])


def _joined(groups: str, decimals: str | None) -> str:
    """The number that groups of digits and decimals make."""
    return re.sub(r"\D", "", groups) + (f".{decimals}" if decimals else "")


def _keyboard(text: str) -> str:
    r"""What is typed where LaTeX would be: 10**3, 2*pi, sqrt(2), exp(16), 1e3, 3 x 10^5."""
    text = re.sub(r"\*\*", "^", text)
    text = re.sub(r"\^\s*\(([^()]*)\)", r"^{\1}", text)
    text = re.sub(r"\^\s*(-?\d+(?:\.\d+)?|-[A-Za-z])", r"^{\1}", text)
    text = re.sub(r"(?<=[\w)}])\s*\*\s*(?=[\w(\\{-])", r"\\cdot ", text)
    text = re.sub(r"(\d)\s*[xX]\s*10\s*\^", r"\1\\cdot 10^", text)
    text = re.sub(r"(?<![A-Za-z\\])(\d+(?:\.\d+)?)[eE]([+-]?\d+)(?![\w.])", r"\1\\cdot 10^{\2}", text)
    text = text.replace("10^{+", "10^{")
    text = re.sub(r"(?<![A-Za-z\\])sqrt\s*\(([^()]*)\)", r"\\sqrt{\1}", text)
    text = re.sub(r"(?<![A-Za-z\\])(?:infinity|inf|oo)(?![A-Za-z])", r"\\infty ", text, flags=re.IGNORECASE)
    text = re.sub(rf"(?<![A-Za-z\\])({_FUNCTIONS})(?=\s*[(^_|\\\d]|\s+[a-z](?![A-Za-z]))", r"\\\1 ", text)
    text = re.sub(r"(?<![A-Za-z\\])(pi|theta|alpha|beta|gamma|lambda)(?![A-Za-z])", r"\\\1 ", text)
    text = re.sub(r"\\frac\s*(\d)\s*(\d)", r"\\frac{\1}{\2}", text)
    text = re.sub(r"\\frac\s*(\d|[a-z])\s*\{", r"\\frac{\1}{", text)
    text = re.sub(r"(\\frac\s*\{[^{}]*\})\s*(\d|[a-z](?![a-z]))", r"\1{\2}", text)
    return re.sub(r"\\sqrt\s*(\d+|[a-z](?![a-z]))", r"\\sqrt{\1}", text)
