"""Formulas as docstrings have them, in plain letters, as LaTeX; and LaTeX as MathML, which needs no script or font."""

import re
from typing import NamedTuple

from latex2mathml.converter import convert

__all__ = ["latex", "mathml"]

_GREEK = {"alpha", "beta", "delta", "epsilon", "kappa", "lambda", "rho", "sigma", "tau", "theta"}
_OPERATORS = {"exp", "log"}
_SIGNS = {"!=": r"\neq", ">=": r"\geq", "<=": r"\leq", "*": r"\cdot", "||": r"\,\Vert\,", "...": r"\dots"}

_BIG = r"(?:sum|mean|max) over (?:all )?[a-z](?: (?:!=|>=|<=|<) \w+| = \w+ \.\. \w+)? of(?= )".replace(" ", r"\ ")
_CALLED = "softmax|sigmoid|zscore|whiten|clip|sign|mean|std|exp|log|max|min|KL|Beta|Bernoulli|w|p"
_TOKEN = re.compile(
    rf"""(?P<big>{_BIG}|sum(?=_))
      | (?P<gap>[,;]\ {{2,}}|\ {{3,}})
      | (?P<prose>z-score|[a-z]+'s\b)
      | (?P<setting>[a-z]{{3,}}_[a-z]{{3,}})
      | (?P<root>sqrt\()
      | (?P<choose>C\()
      | (?P<power>\^\()
      | (?P<call>(?:{_CALLED})'?(?:_\w+)?\()
      | (?P<name>[A-Za-z]+'?)
      | (?P<below>_\{{[^}}]*\}}'?|_\w+'?)
      | (?P<above>\^\w+)
      | (?P<number>\d+(?:\.\d+)?)
      | (?P<quoted>"[^"]*")
      | (?P<count>\#\{{)
      | (?P<open>\()
      | (?P<close>[)}}])
      | (?P<slash>/)
      | (?P<sign>\|\||!=|>=|<=|\.\.\.|[-+*=<>:;,.'])
      | (?P<bar>\|)
      | (?P<space>\ )""",
    re.VERBOSE,
)


class _Node(NamedTuple):
    kind: str
    """atom, group (in round brackets), big (a sum, before what is summed), text, sign, slash or gap."""
    latex: str


def latex(formula: str) -> str:
    r"""One line of a docstring's formula.

    >>> latex("A_i = (r_i - mean(r)) / (std(r) + epsilon)")
    'A_{i} = \\frac{r_{i} - \\operatorname{mean}(r)}{\\operatorname{std}(r) + \\epsilon}'
    >>> latex("1/(n-1) * sum over j != i of r_j")
    '\\frac{1}{n - 1} \\cdot \\sum_{j \\neq i} r_{j}'

    Raises:
        ValueError: it has a character that no formula has, or its brackets do not match.
    """
    tokens: list[tuple[str, str]] = []
    at = 0
    text = formula.strip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise ValueError(f"latex: {text[at]!r} in {formula!r} has no meaning; write it in plain letters")
        if found.lastgroup != "space":
            tokens.append((str(found.lastgroup), found[0]))
        at = found.end()
    tokens.reverse()  # the next one is the last
    nodes = _nodes(tokens)
    if tokens:
        raise ValueError(f"latex: a bracket of {formula!r} closes what was not opened; write the missing one")
    return _joined(nodes)


def _nodes(tokens: list[tuple[str, str]], end: str = "close") -> list[_Node]:
    """What stands before the next bracket that closes, which stays."""
    nodes: list[_Node] = []
    while tokens and tokens[-1][0] != end:
        kind, text = tokens.pop()
        match kind:
            case "big":
                nodes.append(_Node("big", _big(text)))
            case "gap":
                nodes.append(_Node("gap", text.strip() + r"\quad"))
            case "root":
                nodes.append(_Node("atom", rf"\sqrt{{{_joined(_inside(tokens))}}}"))
            case "choose":
                n, k = _joined(_inside(tokens)).split(" , ")
                nodes.append(_Node("atom", rf"\binom{{{n}}}{{{k}}}"))
            case "call":
                nodes.append(_Node("atom", rf"{_called(text[:-1])}({_joined(_inside(tokens))})"))
            case "bar":
                nodes.append(_Node("atom", rf"|{_joined(_inside(tokens, 'bar'))}|"))
            case "count":
                nodes.append(_Node("atom", rf"\#\{{{_joined(_inside(tokens))}\}}"))
            case "open":
                nodes.append(_Node("group", _joined(_inside(tokens))))
            case "power":
                inside = _joined(_inside(tokens))
                _attach(nodes, f"^{{({inside})}}" if len(inside) == 1 else f"^{{{inside}}}")
            case "above":
                _attach(nodes, f"^{{{text[1:]}}}")
            case "below":
                prime = "'" if text.endswith("'") else ""
                _attach(nodes, f"_{{{_subscript(text[1:].rstrip(prime or None))}}}{prime}")
            case "setting":
                nodes.append(_Node("atom", rf"\text{{{text.replace('_', ' ')}}}"))
            case "name" if text == "a" and nodes and nodes[-1].kind == "text" and tokens and tokens[-1][0] == "name":
                nodes.append(_Node("text", text))
            case "name":
                nodes.append(_name(text, before_subscript=bool(tokens) and tokens[-1][0] == "below"))
            case "quoted" | "prose":
                nodes.append(_Node("text", text))
            case "number":
                nodes.append(_Node("atom", text))
            case _:
                nodes.append(_Node(kind, _SIGNS.get(text, text)))
    return nodes


def _inside(tokens: list[tuple[str, str]], end: str = "close") -> list[_Node]:
    nodes = _nodes(tokens, end)
    if not tokens:
        raise ValueError("latex: a bracket is not closed; write the missing one")
    tokens.pop()
    return nodes


def _attach(nodes: list[_Node], script: str) -> None:
    last = nodes.pop()
    whole = f"({last.latex})" if last.kind == "group" else last.latex
    nodes.append(_Node("atom" if last.kind == "group" else last.kind, whole + script))


def _big(text: str) -> str:
    name, _, rest = text.partition(" over ")
    sign = r"\sum" if name == "sum" else rf"\operatorname{{{name}}}"
    if not rest:
        return sign
    index = rest.removeprefix("all ").removesuffix(" of")
    start, dots, end = index.partition(" .. ")
    return sign + (f"_{{{start}}}^{{{_letters(end)}}}" if dots else f"_{{{latex(index)}}}")


def _called(name: str) -> str:
    name, _, below = name.partition("_")
    sign = _letters(name) if len(name.rstrip("'")) == 1 else rf"\operatorname{{{name}}}"
    return sign + (f"_{{{_subscript(below)}}}" if below else "")


def _subscript(text: str) -> str:
    if text.startswith("{"):
        inside = text[1:-1].replace("..", " .. ")
        return inside if " .. " not in inside else inside.replace(" .. ", r"\ldots ")
    return text if len(text) <= 2 else rf"\text{{{text}}}"


def _name(name: str, *, before_subscript: bool) -> _Node:
    bare = name.rstrip("'")
    if len(bare) == 1 or bare in _GREEK:
        return _Node("atom", _letters(name))
    if bare in _OPERATORS:
        return _Node("atom", f"\\{bare}")
    if before_subscript or bare in _SETTINGS or name != bare:
        return _Node("atom", rf"\mathrm{{{bare}}}" + "'" * (len(name) - len(bare)))
    return _Node("text", name)


_SETTINGS = {
    "beta", "clip", "coefficient", "discount", "entropy", "least", "most", "outcome", "penalty", "share", "shift",
    "soft", "std", "steepness", "strength", "temperature", "turn", "weight", "lead", "best", "order",
}  # fmt: skip
"""Words that stand for a number; others are prose."""


def _letters(name: str) -> str:
    bare = name.rstrip("'")
    sign = f"\\{bare}" if bare in _GREEK else bare if len(bare) == 1 else rf"\mathrm{{{bare}}}"
    return sign + "'" * (len(name) - len(bare))


def _joined(nodes: list[_Node]) -> str:
    """The nodes in a row: quotients as fractions, words together."""
    nodes = _fractions(nodes)
    parts: list[str] = []
    k = 0
    while k < len(nodes):
        node = nodes[k]
        if node.kind == "text":
            words = []
            while k < len(nodes) and nodes[k].kind == "text":
                words.append(nodes[k].latex)
                k += 1
            parts.append(rf"\text{{ {' '.join(words)} }}")
            continue
        parts.append(f"({node.latex})" if node.kind == "group" else node.latex)
        k += 1
    return " ".join(parts)


_APART = {"+", "-", "=", ",", ";", ":", "<", ">", r"\neq", r"\geq", r"\leq"}


def _fractions(nodes: list[_Node]) -> list[_Node]:
    """Each a / b as one node. A sum reaches to the next sign, above and below the stroke."""
    made: list[_Node] = []
    k = 0
    while k < len(nodes):
        if nodes[k].kind != "slash" or not made or k + 1 == len(nodes) or nodes[k + 1].kind == "text":
            made.append(nodes[k] if nodes[k].kind != "slash" else _Node("sign", "/"))
            k += 1
            continue
        below = [nodes[k + 1]]
        k += 2
        if below[0].kind == "big":
            while k < len(nodes) and nodes[k].latex not in _APART and nodes[k].kind != "gap":
                below.append(nodes[k])
                k += 1
        above = [made.pop()]
        start = next((i for i in range(len(made) - 1, -1, -1) if made[i].latex in _APART or made[i].kind == "gap"), -1)
        big = next((i for i in range(start + 1, len(made)) if made[i].kind == "big"), None)
        if below[0].kind == "big" and big is not None:
            above = made[big:] + above
            del made[big:]
        made.append(_Node("atom", rf"\frac{{{_bare(above)}}}{{{_bare(below)}}}"))
    return made


def _bare(nodes: list[_Node]) -> str:
    return nodes[0].latex if len(nodes) == 1 else _joined(nodes)


def mathml(source: str, *, display: bool) -> str:
    """LaTeX as a MathML element."""
    return convert(source, display="block" if display else "inline")
