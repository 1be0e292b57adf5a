"""Bad input has a defined result, or an error that says who, what was found, and what to do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from advantages import (
    Groups,
    estimator,
    estimators,
    gae,
    gdpo,
    grpo,
    lampo,
    reinforce,
    reinforce_plus_plus,
    rloo,
    to_tokens,
    whiten,
)
from advantages.core.definition import define, definition_of
from advantages.core.vocabulary import INPUTS
from advantages.ops import masked_rewards

R = np.array([1.0, 0.0, 0.5, 2.0])
G = ["a", "a", "b", "b"]
T = np.zeros((4, 3))
M = np.ones((4, 3), bool)

ERRORS = [
    (
        lambda: grpo(np.ones(10), [1] * 8),
        ValueError,
        "grpo: rewards has 10 rows but groups has 8; pass one group id per",
    ),
    (
        lambda: grpo(np.ones((4, 2)), G),
        ValueError,
        r"grpo: rewards has shape \(4, 2\), not \(N,\); pass one reward per",
    ),
    (lambda: grpo(np.array(1.0), ["a"]), ValueError, r"grpo: rewards has shape \(\), not \(N,\)"),
    (lambda: grpo([1.0, 2.0], ["a", "a"]), TypeError, "grpo: rewards is a list; pass a numpy, torch or JAX array"),
    (lambda: grpo(R), TypeError, "grpo: needs groups: equal where .*; pass one group id per response, or their number"),
    (lambda: grpo(), TypeError, "grpo: needs rewards: outcome reward of each response"),
    (lambda: grpo(R, G, groups=2), TypeError, "grpo: got 'groups' twice"),
    (
        lambda: grpo(R, 3),
        ValueError,
        "grpo: groups: groups of 3 neighbouring rows do not fit into 4 rows; pass a posit",
    ),
    (lambda: grpo(R, 2.0), TypeError, "grpo: groups: ids are one float; pass a list or an array with one id per row"),
    (lambda: grpo(R, True), TypeError, "grpo: groups: ids are one bool; pass a list or an array with one id per row"),
    (lambda: grpo(R, group_size=2), TypeError, "grpo: takes no 'group_size'; pass groups=2 for groups of 2 neighb"),
    (lambda: lampo(R, logprobs=R, group_size=2), TypeError, "lampo: takes no 'group_size'; pass groups=2 for groups"),
    (lambda: grpo(R, G, min_scored=1), ValueError, "grpo: min_scored is 1; pass a whole number of at least 2"),
    (lambda: grpo(R, G, min_scored=2.5), ValueError, "grpo: min_scored is 2.5; pass a whole number of at least 2"),
    (lambda: grpo(R, G, min_scored="3"), TypeError, "grpo: min_scored is '3'; pass a whole number of at least 2"),
    (lambda: grpo(R, G, eps=1e-4), TypeError, "grpo: takes no 'eps'; inputs are .*; settings are epsilon, ddof"),
    (lambda: grpo(R, G, 1e-4), TypeError, r"grpo: got 3 positional arguments but takes 2 \(rewards, groups\)"),
    (lambda: grpo(R, G, rewards=R), TypeError, "grpo: got 'rewards' twice"),
    (lambda: grpo(R, G, epsilon=-1.0), ValueError, "grpo: epsilon is -1.0; pass a number of at least 0"),
    (lambda: grpo(R, G, epsilon="small"), TypeError, "grpo: epsilon is 'small'; pass a number of at least 0"),
    (lambda: grpo(R, G, ddof=2), ValueError, "grpo: ddof is 2; pass 0 or 1"),
    (lambda: grpo(R, G, singleton="nan"), ValueError, "grpo: singleton is 'nan'; pass one of zero, raw, error"),
    (lambda: grpo(R, G, strict="yes"), TypeError, "grpo: strict is 'yes'; pass True or False"),
    (lambda: grpo(R, [1.0, 1.0, 2.0, 2.0]), TypeError, "grpo: groups: ids hold values of type float"),
    (lambda: grpo(R.astype(complex), G), TypeError, "grpo: rewards has dtype complex128; pass numbers"),
    (lambda: grpo(R.astype(object), G), TypeError, "grpo: rewards has dtype object; pass numbers"),
    (
        lambda: grpo(R, G, valid=np.ones(3, bool)),
        ValueError,
        "grpo: rewards has 4 rows but valid has 3; pass one boolean",
    ),
    (lambda: grpo(R, G, valid=R), TypeError, "grpo: valid has dtype float64; pass booleans"),
    (lambda: grpo(R, G, trajectories=[1, 2]), ValueError, "grpo: rewards has 4 rows but trajectories has 2"),
    (lambda: grpo(R, G, trajectories=[1, 2, 2, 3]), ValueError, "grpo: the trajectory of row 1 lies in two groups"),
    (lambda: grpo(R, [*G[:3], "c"], singleton="error"), ValueError, "grpo: rows 2, 3 are alone in their groups; drop"),
    (lambda: grpo(R * np.nan, G, strict=True), ValueError, "grpo: rows 0, 1, 2, 3 have a non-finite input; mend them"),
    (lambda: lampo(R, G), TypeError, "lampo: needs logprobs: log-probability of the whole response"),
    (lambda: lampo(R, G, R[:2]), ValueError, "lampo: rewards has 4 rows but logprobs has 2; pass one log-probability"),
    (
        lambda: lampo(R, G, R, temperature=-1.0),
        ValueError,
        'lampo: temperature is -1.0; pass "auto" or a number above 0',
    ),
    (lambda: lampo(R, G, R, temperature=0), ValueError, 'lampo: temperature is 0; pass "auto" or a number above 0'),
    (lambda: lampo(R, G, R, temperature="hot"), ValueError, "lampo: temperature is 'hot'; pass"),
    (lambda: lampo(R, G, R, temperature=None), TypeError, "lampo: temperature is None; pass"),
    (lambda: lampo(R, G, R, temperature=float("nan")), ValueError, 'lampo: temperature is nan; pass "auto" or a'),
    (lambda: lampo(R, G, R, reduction="mean"), TypeError, 'lampo: reduction="mean" needs lengths; pass the number of'),
    (lambda: lampo(R, G, torch.ones(4)), TypeError, "lampo: rewards is a numpy array but logprobs a torch array"),
    (
        lambda: lampo(torch.ones(4), G, jnp.ones(4)),
        TypeError,
        "lampo: rewards is a torch array but logprobs a jax array",
    ),
    (
        lambda: lampo(torch.ones(4), G, torch.ones(4, device="meta")),
        ValueError,
        "lampo: rewards is on cpu but logprobs on meta; move them to the same device",
    ),
    (
        lambda: grpo(torch.ones(4), torch.ones(4, device="meta", dtype=int)),
        ValueError,
        "grpo: rewards is on cpu but groups on meta; move them to the same device, or pass ids as a list",
    ),
    (
        lambda: grpo(R, torch.ones(4, device="meta", dtype=int)),
        TypeError,
        "grpo: rewards is a numpy array but groups a torch array; pass one library, or ids as a list",
    ),
    (lambda: gae(T, T, M[:, :2]), ValueError, "gae: token_rewards has 3 tokens but mask has 2; pass one boolean"),
    (lambda: gae(T, T[:3], M), ValueError, "gae: token_rewards has 4 rows but values has 3; pass one value per"),
    (
        lambda: gae(T, T, M.astype(float)),
        TypeError,
        "gae: mask has dtype float64; pass booleans, or integers that are 0",
    ),
    (lambda: gae(T, T, M, discount=1.5), ValueError, "gae: discount is 1.5; pass a number between 0 and 1"),
    (lambda: gae(T, T, M, gamma=1.0), TypeError, "gae: takes no 'gamma'; inputs are"),
    (lambda: gae(T, T, M, group_size=2), TypeError, "gae: takes no 'group_size'"),
    (lambda: reinforce(R, G), TypeError, r"reinforce: got 2 positional arguments but takes 1 \(rewards\)"),
    (lambda: gdpo(R, G), ValueError, r"gdpo: rewards has shape \(4,\), not \(N, K\)"),
    (lambda: gdpo(T, G, weights=[1.0, 2.0]), ValueError, "gdpo: got 2 weights for 3 components; pass one for each"),
    (lambda: gdpo(T, G, weights={"a": 1.0}), TypeError, "gdpo: got weights by name, but the columns have no names"),
    (lambda: gdpo(T, G, components="abc"), ValueError, "gdpo: components is 'abc' but rewards has 3 columns"),
    (
        lambda: gdpo(T, G, weights={"a": 1, "b": 1, "d": 1}, components=["a", "b", "c"]),
        ValueError,
        r"gdpo: weights are for \['a', 'b', 'd'\] but components are \['a', 'b', 'c'\]; pass one for each",
    ),
    (lambda: gdpo(T, G, weights=[1.0, float("nan"), 1.0]), ValueError, "gdpo: weights are .*; pass finite numbers"),
    (lambda: gdpo(T, G, weights="abc"), TypeError, "gdpo: weights are 'abc'; pass one number per component"),
    (lambda: gdpo(T, G, weights=2.0), TypeError, "gdpo: weights are 2.0; pass one number per component"),
    (lambda: to_tokens(R, M[:3]), ValueError, "to_tokens: advantages has 4 rows but mask has 3"),
    (lambda: masked_rewards(T, M[:3]), ValueError, "masked_rewards: token_rewards has 4 rows but mask has 3"),
    (lambda: whiten(R, M), ValueError, r"whiten: mask has shape \(4, 3\), not \(N,\)"),
    (lambda: whiten(T, weight="rows"), ValueError, "weight is 'rows'; pass one of tokens, responses"),
    (
        lambda: jax.jit(lambda r: grpo(r, groups=2, strict=True))(jnp.ones(4)),
        ValueError,
        "grpo: strict=True reads values, which a compiled function has not yet",
    ),
    (
        lambda: jax.jit(lambda r: grpo(r, groups=1, singleton="error"))(jnp.ones(4)),
        ValueError,
        'grpo: singleton="error" reads group sizes, which a compiled function has not yet',
    ),
    (
        lambda: jax.jit(lambda t: reinforce_plus_plus(jnp.ones((2, 2)), jnp.ones((2, 2), bool), trajectories=t))(
            jnp.zeros(2, int)
        ),
        ValueError,
        "reinforce_plus_plus: trajectories are on an accelerator or inside a compiled function",
    ),
]


@pytest.mark.parametrize(("call", "error", "message"), ERRORS, ids=[message[:60] for _, _, message in ERRORS])
def test_bad_input_is_refused_with_a_sentence(call, error, message):
    with pytest.raises(error, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def _define(code):
    scope = {}
    exec(code, scope)
    return define(scope["f"])


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "def f(rewards, temperature): ...",
            "f: takes 'temperature', which nobody can supply; inputs are named rewards",
        ),
        ("def f(rewards, *groups): ...", "f: takes 'groups', which nobody can supply"),
        ("def f(groups): ...", "f: takes neither rewards nor token_rewards; an estimator needs one of them"),
        ("def f(rewards, *, tau): ...", "f: setting 'tau' has no default; give it one"),
    ],
)
def test_a_signature_outside_the_vocabulary_is_refused_at_definition(code, message):
    with pytest.raises(TypeError, match=message):
        _define(code)


def test_a_result_of_the_wrong_shape_is_refused():
    @estimator()
    def wide(rewards, groups):
        return rewards[:, None] - rewards[None, :]

    with pytest.raises(ValueError, match=r"wide: returned shape \(4, 4\); its advantages must have shape \(4,\)"):
        wide(R, G)


@pytest.mark.parametrize("name", estimators.__all__)
def test_degenerate_batches_give_zeros(name):
    function = getattr(estimators, name)
    d = definition_of(function)

    def batch(n, t, reward):
        sizes = {"N": n, "T": t, "K": 2}
        case = {}
        for word in d.needed:
            shape = tuple(sizes[dim] for dim in d.shapes.get(word, (INPUTS[word].shape,))[0])
            kind = INPUTS[word].kind
            case[word] = np.ones(shape, bool) if kind == "flag" else np.full(shape, 1.0 if kind == "count" else reward)
            if kind == "ids":
                case[word] = np.zeros(shape, int) if INPUTS[word].per_token else list(range(n))
        return case

    for n, t, reward in [(0, 3, 1.0), (4, 0, 1.0), (0, 0, 1.0), (4, 3, np.nan), (4, 3, np.inf)]:
        case = batch(n, t, reward)
        for library in (np.asarray, torch.as_tensor, jnp.asarray):
            made = {k: library(x) if isinstance(x, np.ndarray) else x for k, x in case.items()}
            result = np.asarray(function(**made))
            assert result.shape == ((n, t) if d.per_token else (n,))
            if "groups" in d.needed or not np.isfinite(reward):
                assert not result.any(), (n, t, reward)
    none_valid = batch(4, 3, 1.0)
    assert not function(**none_valid, valid=np.zeros(4, bool)).any()
    if "groups" in d.needed:
        assert function(**{k: x for k, x in batch(0, 3, 1.0).items() if k != "groups"}, groups=8).shape[0] == 0


def test_the_signature_shows_every_word():
    shown = str(definition_of(rloo).signature)
    for word in (
        "rewards",
        "groups",
        "valid=None",
        "trajectories=None",
        "trained=None",
        "min_scored=2",
        "across=None",
        "singleton='zero'",
        "strict=False",
    ):
        assert word in shown
    assert "valid: (N,) rows that count" in rloo.__doc__


def test_lists_of_ids_and_made_groups_are_the_same():
    np.testing.assert_array_equal(grpo(R, Groups(G)), grpo(R, G))
    assert definition_of(grpo).settings["epsilon"] == 1e-6
