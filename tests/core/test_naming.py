"""One importer: what configurations and command lines name is found, or a sentence says why not."""

import json
import keyword
import pickle
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advantages.core.naming import nearest, resolve

BUILT_IN = {"root": "math:sqrt", "path": "os.path:join"}


@pytest.fixture(autouse=True)
def _same_path(monkeypatch):
    monkeypatch.setattr(sys, "path", sys.path[:])
    yield
    for name in ("mine", "beside"):
        sys.modules.pop(name, None)


def test_the_three_kinds_of_names(tmp_path, monkeypatch):
    import math
    import os.path

    (tmp_path / "mine.py").write_text(
        "import beside\nclass A:\n    def f(self): ...\nvalue = beside.value\ndef f(): ..."
    )
    (tmp_path / "beside.py").write_text("value = 3")
    monkeypatch.chdir(tmp_path)
    assert resolve("root", what="it", built_in=BUILT_IN) is math.sqrt
    assert resolve("os.path:join", what="it") is os.path.join
    of_module, of_file = resolve("mine:f", what="it"), resolve("./mine.py:A.f", what="it")
    assert (of_module.__name__, of_file.__qualname__) == ("f", "A.f")
    assert resolve(f"{tmp_path}/mine.py:f", what="it") is resolve("mine.py:f", what="it") is of_module  # executed once
    assert pickle.loads(pickle.dumps(of_module)) is of_module


def test_a_file_is_itself_whatever_it_is_called(tmp_path):
    """Modules of two folders, or of a folder and the standard library, have the same name."""
    for folder, name in (("a", "mine"), ("b", "mine"), ("c", "json"), ("d", "a.b")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{name}.py").write_text(f"def f(): return {folder!r}")
        assert resolve(f"{tmp_path}/{folder}/{name}.py:f", what="it")() == folder
    assert json.loads("1") == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("rot", r"thing 'rot': there is none; pass one of root, path, package.module:name .*; did you mean 'root'\?"),
        ("zzz", r"thing 'zzz': there is none; pass one of root, path, package.module:name or path/file.py:name$"),
        ("", "thing '': there is none"),
        (":sqrt", "thing ':sqrt': there is none"),
        ("math:", "thing 'math:': there is none"),
        ("math:sqrtt", r"cannot be imported since math has no 'sqrtt'; it has acos, .*; did you mean 'sqrt'\?"),
        ("math:sqrt.x", "math has no 'sqrt.x'; it has "),
        ("math:pi", "thing 'math:pi': is a float; name a function or a class"),
        ("no.such:thing", "cannot be imported .*No module named 'no'.*; check the spelling, and that it is installed"),
        (".math:sqrt", "cannot be imported"),
        ("{folder}/none.py:f", "cannot be imported .*there is no file .*none.py.; check the spelling"),
        ("{folder}/raises.py:f", r"cannot be imported \(KeyError: 'a', .*raises.py line 2\); mend that first"),
        ("{folder}/syntax.py:f", r"cannot be imported \(SyntaxError: .*, .*syntax.py line 2\); mend that first"),
        ("{folder}/ends.py:f", r"cannot be imported \(SystemExit: 3, .*\); mend that first"),
        ("{folder}/needs.py:f", r"cannot be imported \(No module named 'no_such_package'\); check the spelling"),
        ("{folder}/empty.py:f", "empty.py has no 'f'; it has nothing"),
    ],
)
def test_what_is_not_there_is_said(name, message, tmp_path):
    texts = {
        "raises": "x = 1\n{}['a']",
        "syntax": "x = 1\nx = = 2",
        "ends": "raise SystemExit(3)",
        "needs": "import no_such_package",
        "empty": "",
    }
    for stem, text in texts.items():
        (tmp_path / f"{stem}.py").write_text(text)
    with pytest.raises(ValueError, match=message):
        resolve(name.format(folder=tmp_path), what="thing", built_in=BUILT_IN)


def test_without_short_names_the_form_is_said():
    with pytest.raises(ValueError, match=r"spec 'mine': names no function in a module; write package.module:name or"):
        resolve("mine", what="spec")


@given(st.text(max_size=20))
def test_any_text_is_answered_by_a_sentence(text):
    with pytest.raises(ValueError, match=r"^thing "):
        resolve(text, what="thing", built_in=BUILT_IN)


@given(st.sampled_from(sorted(keyword.kwlist)), st.data())
def test_one_letter_too_few_is_guessed(word, data):
    if len(word) > 4:
        place = data.draw(st.integers(0, len(word) - 1))
        assert nearest(word[:place] + word[place + 1 :], [word, "x"]) == word
    assert nearest("q" * 30, [word]) is None
