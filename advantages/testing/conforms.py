"""One line in a test file, or one in a shell, that checks an estimator against everything it promises."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from hypothesis import HealthCheck, Phase, given, seed
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ..core.promises import Promises
from .checks import CHECKS, Check
from .subject import NotApplicable, Subject

__all__ = ["Verdict", "conforms", "verdict_on", "verdicts"]

_SLOW_IS_FINE = (HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large)


class Verdict(NamedTuple):
    """What a check found."""

    check: Check
    outcome: str
    """ "holds", "fails", "does not apply", "fails as expected" or "holds unexpectedly"."""
    detail: str = ""
    """The smallest counterexample, or the reason."""


def conforms(
    function: Callable[..., Any],
    *,
    spec: Callable[..., Any] | None = None,
    promises: Promises | None = None,
    library: str = "numpy",
    libraries: Sequence[str] | None = None,
    singleton: str = "zero",
    expected_failures: Mapping[str, str] | None = None,
    examples: int | None = None,
) -> Callable[..., None]:
    """A pytest function that checks an estimator, one test per property.

        test_mine = conforms(mine)

    Each test's name is a sentence. A property that says nothing about the estimator is skipped, with the reason; one
    that fails shows the smallest counterexample that hypothesis finds.

    Args:
        function: an estimator made with `@estimator`, or any function whose positional parameters are words of the
            vocabulary and whose keyword-only parameters are settings.
        spec: an oracle, called with inputs and settings by name, numpy arrays in and out; the estimator's own spec
            by default.
        promises: what the function promises beyond what all must; the estimator's own by default.
        library: the array library that the properties are checked on.
        libraries: libraries on which it must agree, compile and vectorise; for `@estimator` all installed.
        singleton: what a lone response gets by default: "zero" or "raw".
        expected_failures: by name of a check, the reason why it fails; a check that then holds is an error, too.
        examples: how many examples a check draws; by default `max_examples` of the hypothesis profile.

    Raises:
        TypeError: the function's parameters are no words of the vocabulary.
        ValueError: `expected_failures` names a check that does not exist.
    """
    import pytest

    subject = Subject(function, spec=spec, promises=promises, library=library, libraries=libraries, singleton=singleton)
    expected = _known(expected_failures)

    @pytest.mark.parametrize("check", CHECKS, ids=[check.sentence for check in CHECKS])
    def test_conforms(check: Check) -> None:
        __tracebackhide__ = True
        verdict = verdict_on(subject, check, examples=examples, reason=expected.get(check.name))
        match verdict.outcome:
            case "does not apply":
                pytest.skip(f"does not apply: {verdict.detail}")
            case "fails as expected":
                pytest.xfail(verdict.detail)
            case "fails" | "holds unexpectedly":
                pytest.fail(f"{check.sentence}: {verdict.outcome}\n{verdict.detail}\n\n{check.why}", pytrace=False)

    return test_conforms


def verdicts(
    subject: Subject,
    *,
    examples: int | None = None,
    random_seed: int = 0,
    expected_failures: Mapping[str, str] | None = None,
) -> Any:
    """Every check's verdict, one after the other."""
    expected = _known(expected_failures)
    for check in CHECKS:
        yield verdict_on(subject, check, examples=examples, random_seed=random_seed, reason=expected.get(check.name))


def verdict_on(
    subject: Subject,
    check: Check,
    *,
    examples: int | None = None,
    random_seed: int = 0,
    reason: str | None = None,
    shrink: bool = True,
) -> Verdict:
    """Check one property, on as many `examples` as are asked for, or as the hypothesis profile says.

    With `shrink`, a batch that fails is made as small as it can be, which takes several times as long.
    """
    examples = hypothesis_settings().max_examples if examples is None else examples

    @seed(random_seed)
    @hypothesis_settings(
        max_examples=max(2 if check.examples else 1, round(examples * check.examples)),
        deadline=None,
        database=None,
        derandomize=False,
        print_blob=False,
        phases=(Phase.generate, Phase.shrink) if shrink and check.examples else (Phase.generate,),
        suppress_health_check=_SLOW_IS_FINE,
    )
    @given(st.data())
    def run(data: Any) -> None:
        check.run(subject, functools.partial(_draw, data))

    try:
        run()
    except NotApplicable as why:
        return Verdict(check, "does not apply", str(why))
    except Exception as error:
        if reason is not None:
            return Verdict(check, "fails as expected", reason)
        told = str(error) if isinstance(error, AssertionError) else f"raised {type(error).__name__}: {error}"
        return Verdict(check, "fails", told)
    return (
        Verdict(check, "holds unexpectedly", f"was expected to fail: {reason}") if reason else Verdict(check, "holds")
    )


def _draw(data: Any, strategy: Any) -> Any:
    return data.conjecture_data.draw(strategy)


def _known(expected_failures: Mapping[str, str] | None) -> Mapping[str, str]:
    names = {check.name for check in CHECKS}
    for name in expected_failures or {}:
        if name not in names:
            raise ValueError(f"expected_failures: there is no check {name!r}; checks are {', '.join(sorted(names))}")
    return expected_failures or {}
