"""What makes the site: formulas are read, no estimator is without its page, and links lead where they should."""

import importlib
import inspect
import sys
from pathlib import Path

import pytest

from advantages import estimators
from advantages.core.definition import definition_of
from advantages.testing import CHECKS

for library in ("sphinx", "latex2mathml", "matplotlib"):
    pytest.importorskip(library)

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def generate():
    """The modules of docs/generate by name."""
    folder = str(ROOT / "docs" / "generate")
    sys.path.insert(0, folder)
    yield importlib.import_module
    sys.path.remove(folder)


@pytest.mark.parametrize(
    ("formula", "latex"),
    [
        ("A_i = (r_i - mean(r)) / (std(r) + epsilon)", r"\frac{r_{i} - \operatorname{mean}(r)}{"),
        ("1/(n-1) * sum over j != i of r_j", r"\frac{1}{n - 1} \cdot \sum_{j \neq i} r_{j}"),
        ("sum over j of l_j r_j / sum over j of l_j", r"\frac{\sum_{j} l_{j} r_{j}}{\sum_{j} l_{j}}"),
        ("sqrt(rho (1 - rho))", r"\sqrt{\rho (1 - \rho)}"),
        ("C(n-c, k) / C(n, k)", r"\frac{\binom{n - c}{k}}{\binom{n}{k}}"),
        ("|z_i| / kappa", r"\frac{|z_{i}|}{\kappa}"),
        ("c right of n", r"c \text{ right of } n"),
    ],
)
def test_a_formula_is_read(generate, formula, latex):
    assert latex in generate("formulas").latex(formula)


@pytest.mark.parametrize("formula", ["A = (r", "A = r)", "A = r @ s"])
def test_a_formula_that_cannot_be_read_is_refused(generate, formula):
    with pytest.raises(ValueError, match="write"):
        generate("formulas").latex(formula)


@pytest.mark.parametrize("name", estimators.__all__)
def test_each_estimator_has_what_its_page_needs(generate, name):
    formulas, prose, pictures = map(generate, ("formulas", "prose", "pictures"))
    function = getattr(estimators, name)
    said = prose.described(function)
    assert said.example.startswith(">>>")
    assert "Also takes" not in said.example
    for line in said.formulas:
        assert formulas.mathml(formulas.latex(line), display=True).startswith("<math")
    groups = pictures.shown(function.__advantages__, function)
    assert {group.name for group in groups} >= {"0/1, sparse", "confident and wrong"}


@pytest.mark.parametrize(
    ("name", "cosines"),
    [
        ("rloo", ["1.000", "1.000", "1.000"]),
        ("gae", ["1.000", "1.000", "1.000"]),
        ("gdpo", ["1.000", "1.000", "0.984"]),
    ],
)
def test_each_page_has_bias_and_variance(generate, name, cosines):
    function = getattr(estimators, name)
    title, _, table = generate("estimators")._exact(definition_of(function), function)
    assert title == "## Bias and variance, exactly"
    assert [line.split(" | ")[1] for line in table.splitlines()[2:]] == cosines


def test_each_promise_names_a_check_that_exists(generate):
    from advantages.core.promises import Promises

    kept = generate("estimators").KEPT_BY
    assert set(kept.values()) <= {check.name for check in CHECKS}
    assert set(kept) | {"spans_batch", "equals_get_zero", "objective"} == set(Promises._fields)


def test_each_check_stands_in_the_catalogue(generate):
    page = generate("reference").properties()
    for check in CHECKS:
        assert f"**{check.run.__name__.replace('_', ' ')}**" in page or "**" + check.sentence in page


def test_a_public_name_without_a_docstring_is_refused(generate, monkeypatch):
    import advantages

    monkeypatch.setattr(advantages.to_tokens, "__doc__", None)
    with pytest.raises(ValueError, match=r"to_tokens: is public and has no docstring"):
        list(generate("reference").api())
    assert inspect.getdoc(advantages.to_tokens) is None
