"""Rollouts a batch at a time: the same as at once, whatever the file is and wherever a batch ends."""

import gzip
import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from advantages.tasks import files
from advantages.tasks.rollouts import Interleaved, batches, joined, read_batch, whole_groups, words_of_columns

IDS = [f"p{i // 4}" for i in range(30)]
LENGTHS = np.random.default_rng(0).integers(1, 5, 30).tolist()
ROWS = [
    {"group": g, "reward": i % 3 if i % 7 else None, "mask": [1] * n, "text": f"é{i % 2}", "advantage": [0.5] * n}
    for i, (g, n) in enumerate(zip(IDS, LENGTHS, strict=True))
]
TEXT = "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS)


@pytest.fixture(params=["jsonl", "bom", "utf-16", "gzip", "parquet", "gzipped parquet"])
def path(request, tmp_path):
    path = tmp_path / ("rollouts.parquet" if "parquet" in request.param else "rollouts.jsonl")
    made = {"jsonl": TEXT.encode(), "bom": TEXT.encode("utf-8-sig"), "utf-16": TEXT.encode("utf-16")}
    made["gzip"] = gzip.compress(TEXT.encode())
    if "parquet" in request.param:
        arrow = pytest.importorskip("pyarrow")
        from pyarrow import parquet

        parquet.write_table(arrow.Table.from_pylist(ROWS), path)
        made = {"parquet": path.read_bytes(), "gzipped parquet": gzip.compress(path.read_bytes())}
    path.write_bytes(made[request.param])
    return path


def test_batches_are_the_whole(path, monkeypatch):
    whole = read_batch(path, extra=True)
    assert set(whole) == {"groups", "rewards", "mask", "responses", "advantages"}
    assert whole["groups"] == IDS
    assert whole["mask"].sum(1).tolist() == LENGTHS
    assert len(set(whole["responses"])) == 2
    heard = []
    monkeypatch.setattr(files, "ROWS", 7)
    parts = list(batches(path, extra=True, told=heard.append))
    assert [len(part["groups"]) for part in parts] == [7, 7, 7, 7, 2]
    assert heard == sorted(heard)
    assert heard[-1] == 1
    assert [len(part["groups"]) for part in whole_groups(batches(path, extra=True))] == [4, 8, 8, 4, 6]
    for found in (joined(parts), joined(whole_groups(batches(path, extra=True)))):
        for word, x in whole.items():
            np.testing.assert_array_equal(found[word], x)
    assert list(read_batch(path, words=["rewards"])) == ["rewards"]


def test_a_record_of_a_later_batch_is_named_by_its_line(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "ROWS", 7)
    path = tmp_path / "rollouts.jsonl"
    path.write_text(TEXT + '\n\n{"group": 1}')
    with pytest.raises(ValueError, match=r"line 32 has no reward, which .* line 1 has"):
        read_batch(path)
    path.write_text("\n".join(json.dumps({"group": 1, "reward": [1] * (1 + i // 7)}) for i in range(14)))
    with pytest.raises(ValueError, match="rewards are lists of several lengths"):
        read_batch(path)
    path.write_bytes(gzip.compress((TEXT + "\n").encode() * 99)[:-20])
    with pytest.raises(ValueError, match="cannot be read"):
        read_batch(path)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=20), st.integers(1, 20))
def test_groups_are_whole_or_it_is_said(ids, size):
    def parts():
        return (
            {"groups": ids[i : i + size], "at": np.arange(len(ids))[i : i + size]} for i in range(0, len(ids), size)
        )

    try:
        found = list(whole_groups(parts()))
    except Interleaved:
        assert len(ids) > size
        assert sum(a != b for a, b in itertools.pairwise(ids)) + 1 > len(set(ids))
        return
    assert joined(map(dict, found))["at"].tolist() == list(range(len(ids)))
    for i, one in enumerate(found):
        assert not any(set(one["groups"]) & set(other["groups"]) for other in found[:i])


def test_a_column_that_was_named_is_meant_and_two_for_one_word_are_not_guessed(tmp_path):
    path = tmp_path / "rollouts.jsonl"
    path.write_text('{"group": 1, "score": 2, "reward": 1, "mine": "a", "text": "b", "response": "c"}')
    with pytest.raises(ValueError, match=r"text and response could both be responses; say which: --map"):
        read_batch(path, extra=True)
    found = read_batch(path, words_of_columns({"score": "rewards", "mine": "responses"}, extra=True), extra=True)
    assert (found["rewards"].tolist(), found["responses"]) == ([2], [hash("a")])
    with pytest.raises(ValueError, match="has no column 'scores' that could be read as 'returns', but group, score"):
        read_batch(path, {"scores": "returns"})
    for pairs in ({"completion": "groups"}, {"groups": "completion"}):
        assert words_of_columns(pairs, extra=True) == {"completion": "groups"}
