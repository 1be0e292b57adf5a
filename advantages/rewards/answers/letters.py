"""The letter that a response chooses, as a careful reader would say; none where it names two, or none."""

import re
from collections.abc import Iterator

from .find import find_answers
from .normalise import normalised

__all__ = ["expected_letter", "find_letter"]

_OPEN = r"(?:[\s*_`$\"'“”‘’«»(\[{<]|\\\(|\\(?:text|textbf|mathrm|mathbf|textit|boxed)\s*\{)*"  # noqa: RUF001
_SHUT = r"(?:[*_`$\"'“”‘’«»)\]}>]|\\\))*"  # noqa: RUF001
_LETTER = r"(?<![A-Za-z0-9_\\-])(?-i:([A-Z]))(?![A-Za-z0-9_]|[-'’]\w|\+|\#|\s*=|°|\s*\^)"  # noqa: RUF001
_ANY = r"(?<![A-Za-z0-9_\\-])([A-Za-z])(?![A-Za-z0-9_]|[-'’]\w|\+|\#|\s*=|°|\s*\^)"  # noqa: RUF001
_KIND = r"(?:options?|choices?|answers?|letters?|alternatives?|statements?|item)"
_GOOD = (
    r"(?:the\s+|my\s+|a\s+)?(?:(?:only|most|single|one|best|final|likely|clearly|indeed|therefore|thus)\s+)*"
    r"(?:correct|right|best|true|accurate|appropriate|answer|choice|option|solution|one that|it\b)"
)
_IS = (
    r"(?:is|are|was|(?:should|must|would|will|has to|seems to|appears to)\s+(?:therefore\s+|then\s+|thus\s+)?be|"
    r"remains|lautet|ist)"
)
_SAID = re.compile(
    rf"\b(?:answers?|ans\b\.?|choices?|options?|selection|solution|response|pick|(?:correct|right|best)\s+(?:letter|statement))\b"
    rf"(?:[*_\s]*\([^()\n]{{1,30}}\))?"
    rf"(?:[^.:=\n]{{0,80}}?\b{_IS}\b|[*_\s\"]*(?:[:=\uff1a]|[=-]+>|→|⇒))[\s*_]*[:\uff1a]?(?:\s*(?:therefore|thus|clearly|definitely|simply|indeed),?)?"
    rf"\s*(?:the\s+)?(?:(?:first|second|third|fourth|fifth|last)\s+)?(?:{_KIND}\b\s*[:,]?)?{_OPEN}{_ANY}"
    rf"|(?:答案|选[择项]?|答え|정답|답)\s*(?:应该|應該)?\s*(?:是|为|為|选|は|은|는)?\s*[:\uff1a]?{_OPEN}{_ANY}"
    rf"|\bAns\b\.?\s*{_OPEN}(?<=[(\s]){_LETTER}|{_LETTER}{_SHUT}\s+it\s+is(?=\s*[.!]|\s*$)"
    rf"|\bonly\s+(?:{_KIND}\b\s*)?{_OPEN}{_LETTER}{_SHUT}\s+(?:works|fits|holds|remains|survives|matches)\b"
    rf"|\b(?:réponse|respuesta|resposta|risposta|antwort|ответ)\b[^.:\n]{{0,30}}?(?:\b(?:est|es|é|è|ist|lautet)\b|[:\uff1a])[\s*_]*"
    rf"(?:(?:la|le|die|der|das|a|letra|lettre|lettera|opción|opção|opzione|option)\s+){{0,2}}{_OPEN}{_ANY}"
    rf"|\bI(?:['’]d|['’]ll|\s+would|\s+will|\s+shall|\s+must)?(?:\s+(?:have to|therefore|thus))?\s+"  # noqa: RUF001
    rf"(?:choose|pick|select|chose|picked|selected|answer|go\s+with|going\s+with|go\s+for|vote\s+for|opt\s+for|say|settle\s+on|conclude)"
    rf"\s*(?:that\s+|the\s+)?(?:it\s+is\s+|it['’]s\s+)?(?:answer\s+is\s+)?(?:{_KIND}\b\s*:?)?{_OPEN}{_LETTER}"  # noqa: RUF001
    rf"|\b(?:choosing|choose|selecting|select|pick|picking|go\s+with|going\s+with|chosen)\s+(?:{_KIND}\b\s*:?)?{_OPEN}{_LETTER}"
    rf"|\b(?:so|thus|hence|therefore|correct|it\s+is|it['’]s|it\s+must\s+be|that\s+leaves|leaves|leaving|final)\b[\s,:]*(?:us\s+with\s+)?(?:only\s+)?(?:it\s+is\s+|it['’]s\s+)?"  # noqa: RUF001
    rf"(?:{_KIND}\b\s*:?)?{_OPEN}{_LETTER}(?={_SHUT}\s*(?:[.!]|$|\n))",
    re.IGNORECASE | re.MULTILINE,
)
_JUDGED = re.compile(
    rf"(?:^|[.,:;!?\n(*]|\b(?:{_KIND}|so|thus|hence|therefore|that|then|believe|think|conclude|and|or|because|only)\b)\s*{_OPEN}"
    rf"{_LETTER}{_SHUT}(?:\s*[:.)]?\s*[^.\n]{{0,60}}?)??\s+(?:{_IS}|looks|seems)\s+{_GOOD}(?!\s*(?:ly\b))",
    re.IGNORECASE | re.MULTILINE,
)
_SEVERAL = re.compile(r"\b(?:options|choices|answers|alternatives|statements)\b", re.IGNORECASE)
_ALSO = re.compile(
    rf"{_SHUT}\s*(?:,?\s*\b(?:or|and|nor)\b|/|,|&|\+)\s*(?:maybe\s+|possibly\s+|perhaps\s+|also\s+|either\s+)?(?:{_KIND}\s+)?{_OPEN}{_LETTER}",
    re.IGNORECASE,
)
_BEFORE = re.compile(rf"{_LETTER}{_SHUT}\s*(?:,?\s*\b(?:or|and|nor)\b|/|,|&)\s*(?:{_KIND}\s+)?{_OPEN}$", re.IGNORECASE)
_DENIED = re.compile(
    r"\b(?:not|isn['’]t|never|neither|rather than|instead of|cannot be|can['’]t be|unlike|unless|if)\b[^.,;\n]*$",  # noqa: RUF001
    re.IGNORECASE,
)
_WRONG = re.compile(
    rf"{_SHUT}\s*(?:is|was|seems|would be)\s+(?:not|incorrect|wrong|false|n['’]t)|{_SHUT}\s*isn",  # noqa: RUF001
    re.IGNORECASE,
)
_GOES_ON = re.compile(
    r"\s*(?:$|[^\w\s]|[^\x00-\x7f]|\n|(?:because|since|as|is|for|due|with|which|where|given|by|based|that|i hope|"
    r"in|from|therefore|and|or|has|follows|not|but|so|if|when|rather|instead|according|here|option|would|seems|it|"
    r"after|on|at|of|to|the|i|can|means|meaning|wins|works)\b)",
    re.IGNORECASE,
)
_LINE = re.compile(
    rf"^(?:(?:[-=]+>|[-•>#→⇒])\s*)*{_OPEN}(?:{_LETTER}|(?:option|choice|answer|letter)\s+{_OPEN}{_ANY}){_SHUT}[.!]*{_SHUT}\s*$",
    re.IGNORECASE,
)
_LABEL = re.compile(
    rf"^(?:[-•>#]\s*)*(?:(?:option|choice|answer)\s+)?{_OPEN}{_LETTER}"
    rf"(?:[*_\"]*\s*[.):]|\)[*_]*|,(?=\s+(?:because|since|as|for)\b)|\s+[-–—](?=\s))[*_]*\s*\S",  # noqa: RUF001
    re.IGNORECASE,
)


def find_letter(response: str, letters: str = "ABCD") -> str | None:
    r"""The letter that the answer part of a response chooses, or None.

    It is the one in the last box, in an answer tag or after `####`; else the one that the last statement chooses
    ("the answer is C", "option C is correct", "I would choose D"); else one that is alone on the last line or the
    first, or labels it ("C) 42"). A statement that names two letters chooses none.

    Args:
        response: what follows the reasoning.
        letters: the letters to choose from, capitals.

    >>> find_letter("Answer: c"), find_letter("The answer is A or D"), find_letter("Answer: D-glucose")
    ('C', None, None)
    """
    response = response[-20_000:]
    for found in (_delimited, _stated, _alone):
        chosen = found(response)
        if chosen is not None:
            return chosen if chosen in letters and chosen else None
    return None


def expected_letter(answer: str, letters: str = "ABCD") -> str | None:
    """The letter of an expected answer: C, (C), c. or "C) 42"; None where it is none."""
    chosen = _labelled(answer)
    return chosen if chosen and chosen in letters else None


def _delimited(response: str) -> str | None:
    """What a box, a tag or a mark holds: a letter, or "" where it holds something else; None: there is none."""
    if not re.search(r"\\(?:boxed|fbox)|<answer>|<final_answer>|####", response):
        return None
    found = find_answers(response)
    if not found:
        return None
    inner = found[-1]
    if re.search(r"<answer>|####", response) and "boxed" not in response:
        stated = _stated(inner)
        if stated is not None:
            return stated
    return _labelled(inner) or ""


def _labelled(text: str) -> str | None:
    text = normalised(re.sub(r"(?<=\w)\s*[:)](?=\s|$)", ")", text.strip()))
    text = re.sub(r"^(?:option|choice|answer)\s*:?\s*", "", text, flags=re.IGNORECASE)
    found = re.match(r"[(\[{]?\s*([A-Za-z])\s*(?:[)\]}.:]|$)", text)
    if found is None or (found[0][0] == "(" and not found[0].endswith(")")):
        return None
    rest = text[found.end() :].strip()
    return None if re.match(r"(?:or\b|and\b|,|/|&)", rest) else found[1].upper()


def _stated(response: str) -> str | None:
    """The letter of the last statement that chooses, "" where that names several; None: there is no statement."""
    said = sorted(_statements(response), key=lambda statement: statement[0])
    return said[-1][1] if said else None


def _statements(text: str) -> Iterator[tuple[int, str]]:
    for pattern in (_SAID, _JUDGED):
        at = 0
        while found := pattern.search(text, at):
            group = next(number for number, letter in enumerate(found.groups(), 1) if letter)
            letter, start, end = found[group], found.start(group), found.end(group)
            at = end
            if pattern is _SAID and (not _meant(text, letter, end) or _WRONG.match(text, end)):
                continue
            if pattern is _SAID and letter in "Aa" and _lists(found[0], text[end:]):
                continue
            if _DENIED.search(text[max(0, found.start() - 80) : start].replace("\n", " . ")):
                continue
            several = _ALSO.match(text, end) or _BEFORE.search(text[:start][-60:])
            others = several and next((x for x in several.groups() if x), letter).upper() != letter.upper()
            yield start, "" if others else letter.upper()


def _lists(said: str, after: str) -> bool:
    """Whether A is but the first of the options, which are repeated: A) 1 B) 2 C) 3."""
    several = _SEVERAL.search(said) is not None
    labels = (
        rf"(?<![\w])[(\[]?[{letter}{letter.lower()}][).:\]]\s*(?!(?:is|are|was|and|or)\b)\S.*?"
        for letter in ("B" if several else "BC")
    )
    shown = after[:1000] if several else after[:1000].partition("\n")[0]
    return re.match(rf"\s*[).:\]].*?{''.join(labels)}", shown, re.DOTALL) is not None


def _meant(text: str, letter: str, end: int) -> bool:
    """Whether a letter after "the answer is" is one, and no article, pronoun or variable."""
    shut = re.compile(_SHUT).match(text, end)
    after = text[shut.end() if shut else end :]
    dressed = shut is not None and shut.end() > end
    if letter.islower():
        return dressed or re.match(r"\s*(?:[.!,;):]|$|\n)", after) is not None
    return dressed or _GOES_ON.match(after) is not None or (letter not in "AI" and after[:2].strip()[:1].isupper())


def _alone(response: str) -> str | None:
    lines = [line for line in response.strip().splitlines() if line.strip()]
    if not lines:
        return None
    for line in (lines[-1], lines[0]):
        found = _LINE.match(line.strip()) or re.fullmatch(r"\(([a-z])\)\.?", line.strip())
        if found:
            return next(letter for letter in found.groups() if letter).upper()
    labels = [found[1].upper() for line in lines if (found := _LABEL.match(line.strip()))]
    inside = re.findall(rf"[(\[]?{_LETTER}[)\].:]\s", lines[-1] + " ")
    if (
        len(labels) == 1
        and len(set(inside)) <= 1
        and (_LABEL.match(lines[-1].strip()) or _LABEL.match(lines[0].strip()))
    ):
        return labels[0]
    return None
