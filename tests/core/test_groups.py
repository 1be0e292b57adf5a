"""Ids of any kind become groups, and nothing that is not an id does."""

import uuid

import jax.numpy as jnp
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from advantages import Groups, grpo, rloo
from advantages.ops import group_count

HASHABLES = st.one_of(st.integers(), st.text(max_size=3), st.uuids(), st.tuples(st.integers(0, 2), st.text(max_size=1)))


@given(st.lists(HASHABLES, max_size=20))
def test_rows_share_a_slot_exactly_where_ids_are_equal(ids):
    groups = Groups(ids)
    for i, a in enumerate(ids):
        for j, b in enumerate(ids):
            assert (groups.slots[i] == groups.slots[j]) == (a == b)
    assert groups.count == len(set(ids))
    assert len(groups) == len(ids)


@given(st.lists(st.integers(-(2**31), 2**31 - 1), max_size=20))
def test_every_carrier_of_integers_gives_the_same_groups(ids):
    slots = Groups(ids).slots.tolist()
    for carrier in (np.array, tuple, torch.tensor, lambda x: jnp.array(x, int), lambda x: np.array(x, object)):
        made = carrier(ids) if ids else carrier(np.array(ids, int).tolist())
        if getattr(made, "dtype", None) is not None and "float" in str(made.dtype):
            continue  # an empty list has no integer dtype in these libraries
        assert Groups(made).slots.tolist() == slots


@given(st.sampled_from(["int8", "uint8", ">i2", "int64", "uint64"]), st.sampled_from([0, 1, 2]), st.data())
def test_integers_that_lie_close_together_are_grouped_as_ids_of_a_list(kind, end, data):
    limits = np.iinfo(kind)
    low = (limits.min, 0, limits.max - 100)[end]  # no distance of two ids may overflow
    ids = np.array(data.draw(st.lists(st.integers(low, low + 100), min_size=1, max_size=60)), kind)
    close, listed = Groups(ids), Groups(ids.tolist())
    assert (close.slots.tolist(), close.count, close.size) == (listed.slots.tolist(), listed.count, listed.size)


def test_bytes_over_their_whole_range_are_groups():
    ids = np.tile(np.arange(-128, 128), 2)
    assert Groups(ids.astype(np.int8)).slots.tolist() == Groups(ids.tolist()).slots.tolist()


@pytest.mark.parametrize(
    "ids",
    [
        ["7", "07", "7 "],
        [2**70, 2**70 + 1, -(2**70)],
        [-1, 0, 10**18],
        [(1, "a"), (1, "b"), (2, "a")],
        [uuid.UUID(int=1), uuid.UUID(int=2), "1"],
        [1, "1", (1,)],
        np.array(["x", "xx", ""]),
        np.array([b"x", b"y", b""]),
        np.array([3, 2**63, 0], np.uint64),
    ],
    ids=repr,
)
def test_ids_that_look_alike_stay_apart(ids):
    assert Groups(ids).slots.tolist() == [0, 1, 2]


def test_slots_follow_the_order_of_first_appearance():
    assert Groups(["b", "a", "b", "c", "a"]).slots.tolist() == [0, 1, 0, 2, 1]


@pytest.mark.parametrize(
    ("ids", "size"),
    [
        ([5, 5, 3, 3], 2),
        ([5, 3], 1),
        ([5, 5, 5], 3),
        ([5, 3, 5, 3], None),
        ([5, 5, 3], None),
        ([5, 3, 3, 5], None),
        ([1, 1, 2, 2, 1, 1], None),
        ([], None),
    ],
)
def test_equal_blocks_are_noticed(ids, size):
    assert Groups(ids).size == size
    assert Groups(np.array(ids, int)).size == size


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        (np.array([1.0, 1.0000001]), TypeError, "ids have dtype float64; ids are names: pass integers"),
        ([1, 1.0000001], TypeError, "ids hold values of type float"),
        ([1.0, 1.0], TypeError, "ids hold values of type float"),
        (torch.tensor([1.0]), TypeError, "ids have dtype torch.float32"),
        (jnp.array([1.0]), TypeError, "ids have dtype float32"),
        (np.array([True]), TypeError, "ids are booleans, which look like a mask"),
        (torch.tensor([True]), TypeError, "ids are booleans, which look like a mask"),
        ([True, 1], TypeError, "ids hold values of type bool"),
        (["a", None], TypeError, "row 1 has no id, but None"),
        ([[1], [2]], TypeError, r"ids are not hashable \(unhashable type: 'list'\)"),
        ([torch.tensor(1)], TypeError, "ids hold arrays of type Tensor; call .tolist"),
        (np.zeros((2, 2), int), ValueError, r"ids have shape \(2, 2\); pass one id per row"),
        (np.array([["a"]], object), ValueError, r"ids have shape \(1, 1\); pass one id per row"),
        (torch.tensor(3), ValueError, r"ids have shape \(\); pass one id per row"),
        ("abc", TypeError, "ids are one str; pass a list or an array"),
        (7, TypeError, "ids are one int; pass a list or an array"),
        ({"a"}, TypeError, "ids are one set; pass a list or an array"),
    ],
    ids=repr,
)
def test_what_is_no_id_is_refused_with_a_sentence(ids, error, message):
    with pytest.raises(error, match=message):
        Groups(ids)


@pytest.mark.parametrize(
    ("size", "rows", "error", "message"),
    [
        (3, 8, ValueError, "groups of 3 neighbouring rows do not fit into 8 rows; pass a positive divisor"),
        (0, 8, ValueError, "groups of 0 neighbouring rows do not fit into 8 rows"),
        (-2, 8, ValueError, "groups of -2 neighbouring rows do not fit into 8 rows"),
        (2.0, 8, TypeError, "the size of a group is 2.0; pass a whole number"),
        (True, 8, TypeError, "the size of a group is True; pass a whole number"),
    ],
)
def test_a_group_size_must_divide_the_rows(size, rows, error, message):
    with pytest.raises(error, match=message):
        Groups.of_size(size, rows)


def test_groups_are_reusable_across_estimators_and_libraries():
    groups = Groups(["a", "b", "a", "b", "b"])
    rewards = np.array([1.0, 0.0, 0.5, 2.0, 1.0])
    for estimator in (grpo, rloo):
        expected = estimator(rewards, ["a", "b", "a", "b", "b"])
        np.testing.assert_array_equal(estimator(rewards, groups), expected)
        np.testing.assert_allclose(estimator(torch.tensor(rewards), groups), expected, atol=1e-6)
        np.testing.assert_allclose(estimator(jnp.array(rewards), groups), expected, atol=1e-6)


def test_ids_on_an_accelerator_are_sorted_there_without_reading_them():
    groups = Groups(torch.tensor([9, -1, 9, 4], device="meta"))
    assert groups.slots.device.type == "meta"
    assert not groups.on_host
    assert groups.count == 4


def test_what_is_scored_is_looked_at_anew_unless_groups_are_remembering():
    """Who writes to the array that they handed over gets what it says then; a call makes groups of its own."""
    scored = np.array([True, True, False, True])
    groups = Groups([0, 0, 0, 0]).where(scored)
    remembering = groups.remembering()
    assert [group_count(np.ones(4), some)[0] for some in (groups, remembering)] == [3.0, 3.0]
    scored[2] = True
    assert [group_count(np.ones(4), some)[0] for some in (groups, remembering)] == [4.0, 3.0]
    assert remembering.unscored is remembering.unscored
    assert groups.where(None).unscored is None
