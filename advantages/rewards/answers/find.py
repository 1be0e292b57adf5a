r"""Where the answer stands: the last box, an answer tag, the mark `####`, an announcement; else nowhere."""

import re

from .normalise import without_fonts

__all__ = ["boxes", "find_answers"]

_BRACES = re.compile(r"\\(?:boxed|fbox|framebox)\s*(?:\{|(\d|[A-Za-z])(?!\w))|\\.|[{}]", re.DOTALL)
_TAG = re.compile(r"<(answer|final_answer|solution)>(.*?)</\1>", re.DOTALL | re.IGNORECASE)
_IS = r"(?:is|are|was|will be|should be|must be|would be|equals?|est|es|ist|lautet|é|è|=|:)"
_ANNOUNCED = re.compile(
    rf"\b(?:answers?|ans\b\.?|result|réponse|respuesta|resposta|risposta|antwort|ответ|solution)\b"
    rf"[*_`\s]*(?:\([^()\n]{{1,40}}\)[*_\s]*)?(?:(?:to|of|for|in|as|that)\b[^.:=\n]{{1,100}}?)?[*_\s]*{_IS}(?![a-z])[*_\s]*(?::[*_\s]*)?"
    rf"|^(?:#+|\*\*)\s*(?:final\s+)?answer\s*(?:\*\*\s*)?\n+"
    rf"|(?:答案|最终答案|答え|답|정답)\s*(?:是|为|為|は|은|는|:|\uff1a)+\s*[:\uff1a]?\s*",
    re.IGNORECASE | re.MULTILINE,
)
_SENTENCE_ENDS = re.compile(
    r"(?<=[^.])\.(?=\s|\*|$)|(?<=\d)!$|[。\n]|,?\s+(?:because|since|which|as required|so that|where we|not|rather than|"
    r"instead of)\b|\s+I hope"
)
_MATH = r"(?:\$\$.+?\$\$|\$(?:\\\$|[^$\n])+\$|\\\(.+?\\\)|\\\[.+?\\\])"
_LATEX = re.compile(rf"{_MATH}(?:\s*(?:,\s*(?:and|or)?|and|or)\s*{_MATH})*", re.DOTALL)
_LEAD = re.compile(
    r"(?:so|thus|hence|therefore|it is|it's|that is|=)[\s,:]+(?=[^A-Za-z\s]|[A-Za-z]\s*=)", re.IGNORECASE
)
_NUMBER = re.compile(r"[-+\u2212]?\$?\d[\d,]*(?:\.\d+)?(?:/\d+)?%?(?=[.,;:!?]\s|\s+(?:[A-Za-z]{2,}|\())")
LONGEST = 400
"""Characters of a whole response that may be its own answer."""


def find_answers(text: str, marker: str | None = "####", *, strict: bool = False) -> list[str]:
    r"""The answer in what follows the reasoning, as it was written; longer readings of its extent come first.

    Args:
        text: the answer part of a response, or an expected answer.
        marker: what precedes a final answer, such as GSM8K's `####`.
        strict: only boxes, and LaTeX that is announced.

    >>> find_answers(r"So \boxed{41}, no: \boxed{ 42 }. \boxed{}")
    [' 42 ']
    >>> find_answers("First compute 6*7 = 42 and then we subtract")
    []
    """
    found = [box for box in boxes(text) if re.sub(r"\\[,;:! ]|[\s{}~$.,]", "", box)]
    if found:
        return [found[-1], *_announced(without_fonts(found[-1]), strict=False)]
    if not strict:
        tagged = [content for _, content in _TAG.findall(text) if content.strip()]
        if tagged:
            inner = find_answers(tagged[-1], marker)
            return [tagged[-1], *inner] if inner else [tagged[-1]]
        if marker is not None and marker in text:
            after = text.rpartition(marker)[2].strip()
            number = _NUMBER.match(after)  # whatever is said after it
            if after and (announced := _announced(after.splitlines()[0], strict=False)):
                return announced
            return [*_extents(after), *([number[0]] if number else [])] if after else []
    announced = _announced(text, strict)
    if announced or strict:
        return announced
    return _whole(text)


def boxes(text: str) -> list[str]:
    r"""The contents of all outermost boxes whose braces are balanced.

    >>> boxes(r"\boxed {\frac{1}{2}} and \boxed{\boxed{x}} and \fbox{\{1} \boxed{")
    ['\\frac{1}{2}', '\\boxed{x}', '\\{1']
    """
    opened: list[int | None] = []  # where the content of each open brace's box starts; None: it is no box's
    found: list[tuple[int, int]] = []
    for token in _BRACES.finditer(text):
        if token[0].startswith("\\") and token[0].endswith("{") and len(token[0]) > 2:
            opened.append(token.end())
        elif token[1]:
            found.append(token.span(1))
        elif token[0] == "{":
            opened.append(None)
        elif token[0] == "}" and opened:
            start = opened.pop()
            if start is not None:
                while found and found[-1][0] >= start:
                    found.pop()
                found.append((start, token.start()))
    return [text[start:end] for start, end in found]


def _announced(text: str, strict: bool) -> list[str]:
    after = None
    for found in _ANNOUNCED.finditer(text):
        if text[found.end() :].strip(" *_\n.:"):
            after = found.end()
    if after is None:
        return []
    rest = text[after:].strip()[:4000]
    if strict:
        latex = _LATEX.match(rest)
        return [latex[0]] if latex else []
    return _extents(rest)


def _extents(rest: str) -> list[str]:
    """How far an answer may reach that begins here: all of it, its line, its formula, its sentence."""
    latex = _LATEX.match(rest)
    line = rest.splitlines()[0] if rest else ""
    if latex:
        tail = rest[latex.end() :]
        unit = re.match(r"\s*(?:\\?%|°|[A-Za-z]+(?:[ ^/][A-Za-z0-9]+){0,2})(?=\s*[.\n]|\s*$)", tail)
        return [_unstarred(rest), _unstarred(line), latex[0] + (unit[0] if unit else "")]
    end = _SENTENCE_ENDS.search(rest)
    return [_unstarred(reading) for reading in (rest, line, rest[: end.start()] if end else rest)]


def _unstarred(text: str) -> str:
    """Without the stars that close what was opened before the announcement, as in **Answer: 42**."""
    return re.sub(r"\*{1,3}(\.?)\s*$", r"\1", text) if text.count("**") % 2 else text


def _whole(text: str) -> list[str]:
    text = text.strip()
    if re.search(r"\\(?:boxed|fbox)", text):  # one that was cut off
        return []
    if not text or len(text) > LONGEST or "\n" in text:
        return [text] if _LATEX.fullmatch(text) else []
    lead = _LEAD.match(text)
    bare = text[lead.end() :] if lead else text
    inside = _LATEX.fullmatch(bare.rstrip(". "))
    prose = re.sub(r"\\[A-Za-z]+|\([^()]*\)", " ", bare)
    words = re.findall(r"[^\W\d_]{2,}", prose)
    most = 3 if re.search(r"[\d\\]", bare) else 1
    return [bare] if inside or len(words) <= most else []
