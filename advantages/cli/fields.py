"""Options of a command, made from the fields of a dataclass: a field's hint, default and meaning are all they need.

What the text of an option says is read as the field's hint has it. Text that cannot be read so stays text, and the
dataclass refuses it in the sentence of any other wrong value: there is one validator, `core.settings`.
"""

import argparse
import ast
import dataclasses
import re
from collections.abc import Container, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from ..core.naming import nearest
from ..core.settings import Setting, settings_of

__all__ = ["Joined", "add_options", "literal", "no_such_option", "option_of", "options_in", "pairs", "read_options"]

Groups = dict[str, argparse._ArgumentGroup]


def add_options(
    parser: argparse.ArgumentParser,
    fields: type,
    *,
    groups: Mapping[str, str] = MappingProxyType({}),
    skip: Container[str] = (),
) -> Groups:
    """One option for each field of a dataclass; nothing is set where an option is not given.

    Args:
        parser: of the command.
        fields: the dataclass, whose fields say what they mean; see `core.settings.option`.
        groups: titles of the groups of options by the name that fields have for them.
        skip: fields that are no options.

    Returns:
        The groups by name, for further options.

    >>> @dataclasses.dataclass
    ... class Judge:
    ...     max_votes: int = 3
    >>> parser = argparse.ArgumentParser()
    >>> _ = add_options(parser, Judge)
    >>> read_options(Judge, vars(parser.parse_args(["--max-votes", "5"])))
    {'max_votes': 5}
    """
    made = {name: parser.add_argument_group(title) for name, title in groups.items()}
    for field in dataclasses.fields(fields):
        if field.name in skip:
            continue
        how: dict[str, Any] = {"default": argparse.SUPPRESS, "help": _help(field)}
        setting = settings_of(fields)[field.name]
        if setting.types == (bool,):
            how["action"] = argparse.BooleanOptionalAction
        else:
            how["metavar"] = _metavar(field, setting)
            if setting.values is not None:
                how["action"] = Joined
        made.get(field.metadata.get("group", ""), parser).add_argument(option_of(field.name), **how)
    return made


def read_options(fields: type, options: Mapping[str, Any]) -> dict[str, Any]:
    """The fields whose options were given, read as their hints have it.

    Args:
        fields: the dataclass.
        options: what was parsed, by name; those of no field are left out.

    Raises:
        ValueError: the text of a mapping is none.
    """
    return {
        field.name: _read(options[field.name], settings_of(fields)[field.name], field)
        for field in dataclasses.fields(fields)
        if field.name in options
    }


def option_of(name: str) -> str:
    """The option of a field.

    >>> option_of("group_size")
    '--group-size'
    """
    return "--" + name.replace("_", "-")


def options_in(parser: argparse.ArgumentParser) -> list[str]:
    """The options that a parser knows, as its usage has them."""
    return re.findall(r"--[a-z][\w-]*", parser.format_usage())


def no_such_option(
    text: str, known: Iterable[str], command: str, renamed: Mapping[str, str] = MappingProxyType({})
) -> str:
    """The sentence that refuses an unknown option, and names what it is called now, or begins so, or is nearest."""
    if not text.startswith("-"):
        return f"{text}: there is no place for it; see advantages {command} --help"
    name = text.partition("=")[0]
    every = list(known)
    longer = [one for one in every if one.startswith(name)]
    guess = renamed.get(name) or (longer[0] if len(longer) == 1 else nearest(name, every))
    meant = f"; did you mean {guess}?" if guess else ""
    return f"{name}: there is no such option; see advantages {command} --help{meant}"


def literal(text: str) -> Any:
    """What a text says in Python, or the text.

    >>> literal("3"), literal("auto"), literal("[0.5, 1]")
    (3, 'auto', [0.5, 1])
    """
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text


class Joined(argparse.Action):
    """An option of a comma-separated list that may stand several times: its texts are one list.

    >>> parser = argparse.ArgumentParser()
    >>> _ = parser.add_argument("--map", action=Joined)
    >>> parser.parse_args(["--map", "question=prompt", "--map", "gold=answer"]).map
    'question=prompt,gold=answer'
    """

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option_string: Any = None) -> None:
        """Put the text behind those before it."""
        before = getattr(namespace, self.dest, None)
        setattr(namespace, self.dest, values if before is None else f"{before},{values}")


def pairs(text: str, *, option: str, form: str) -> dict[str, str]:
    """The names, and what stands beside each, of a comma-separated list.

    Args:
        text: such as "question=prompt,gold=answer".
        option: whose text it is, for messages.
        form: what a part looks like, for messages.

    Raises:
        ValueError: a part is no pair, or a name stands twice.

    >>> pairs("question=prompt, gold=answer", option="--map", form="own=name")
    {'question': 'prompt', 'gold': 'answer'}
    """
    found: dict[str, str] = {}
    for part in text.split(","):
        name, _, value = (word.strip() for word in part.rpartition("="))
        if not name or not value:
            raise ValueError(f"{option} {part.strip()}: write {form}")
        if name in found:
            raise ValueError(f"{option} {text}: {name} stands twice; name it once")
        found[name] = value
    return found


def _help(field: "dataclasses.Field[Any]") -> str:
    meaning = str(field.metadata.get("meaning", ""))
    if field.default is not dataclasses.MISSING and "(default: " not in meaning:
        meaning = f"{meaning} (default: {'none' if field.default is None else field.default})".lstrip()
    return meaning.replace("%", "%%")


def _metavar(field: "dataclasses.Field[Any]", setting: Setting) -> str:
    if setting.values is not None:
        return f"{_form(field).partition(',')[0].upper()},..."
    if setting.literals and not setting.numbers:
        return "|".join(map(str, setting.literals))
    return field.name.upper().split("_")[-1] + ",..." * (setting.items is not None)


def _form(field: "dataclasses.Field[Any]") -> str:
    return field.metadata.get("form") or "name=value"


def _read(text: Any, setting: Setting, field: "dataclasses.Field[Any]") -> Any:
    if not isinstance(text, str):  # a flag
        return text
    if setting.values is not None:
        found = pairs(text, option=option_of(field.name), form=_form(field))
        return {name: _value(value, setting.values) for name, value in found.items()}
    if setting.items is not None:
        return tuple(_value(part.strip(), setting.items) for part in text.split(","))
    return _value(text, setting)


def _value(text: str, setting: Setting) -> Any:
    if setting.open:
        return literal(text)
    for word in setting.literals:
        if text == str(word):
            return word
    for kind in setting.numbers:
        try:
            return kind(text)
        except ValueError:
            continue
    return text
