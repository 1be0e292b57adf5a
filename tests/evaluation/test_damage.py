"""Whatever happens to completions.jsonl: the results are those of an undamaged one, or it is refused with its line."""

import json
import random
import shutil

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("math_verify")

from hypothesis import given, settings
from hypothesis import strategies as st

from advantages import files
from advantages.cli import main
from advantages.evaluation.record import Record


@pytest.fixture(scope="module")
def folders(tmp_path_factory, save_tiny):
    """A finished evaluation, and one of the same model at another temperature."""
    root = tmp_path_factory.mktemp("root")
    save_tiny(root / "model", initializer_range=0.2)
    for name, temperature in (("whole", 1.0), ("warmer", 1.5)):
        given = ["--model", root / "model", "--benchmark", "chain", "--limit", 5, "--samples", 3, "--batch-size", 4]
        given += ["--output", root / name, "--temperature", temperature, "--device", "cpu", "--max-new-tokens", 8]
        assert main(["eval", *map(str, given)]) == 0
    return root


@pytest.fixture
def folder(folders, tmp_path):
    shutil.copytree(folders / "whole", tmp_path / "out")
    return tmp_path / "out"


def outcome(folder):
    """The results of taking an evaluation up again, or the refusal."""
    try:
        assert main(["eval", "--resume", str(folder)]) == 0
    except SystemExit as refused:
        return str(refused)
    return (folder / "results.json").read_bytes()


def changed(lines, how):
    first, second = how.sample(range(len(lines)), 2)
    first, second = min(first, second), max(first, second)
    row = json.loads(lines[first])
    edited = {
        "text": {**row, "completion": row["completion"] + "!"},
        "right": {**row, "right": row["right"] is not True},
        "answer": {**row, "answer": "42", "right": True},
        "id": {**row, "sample": row["sample"] + 1},
        "check": {**row, "check": "0" * 16},
    }
    flipped = bytearray(lines[first])
    flipped[how.randrange(len(flipped) - 1)] ^= 1 << how.randrange(7)
    return {
        "deleted": [*lines[:first], *lines[first + 1 :]],
        "several deleted": [*lines[:first], *lines[second:]],
        "swapped": [*lines[:first], lines[second], *lines[first + 1 : second], lines[first], *lines[second + 1 :]],
        "doubled": [*lines[:second], lines[first], *lines[second:]],
        "garbage": [*lines[:first], how.randbytes(40) + b"\n", *lines[first + 1 :]],
        "nested": [*lines[:first], b"[" * 100_000 + b"\n", *lines[first + 1 :]],
        "flipped": [*lines[:first], bytes(flipped), *lines[first + 1 :]],
        "blank": [*lines[:first], b"\n", *lines[first:]],
        "cut": [*lines[:first], lines[first][: how.randrange(len(lines[first]))]],
        "cut within": [*lines[:first], lines[first][: how.randrange(len(lines[first]))], *lines[first + 1 :]],
        "ended early": lines[:first],
        "zeros": [*lines[:first], b"\x00" * 4096],
        "empty": [],
        **{
            name: [*lines[:first], json.dumps(new).encode() + b"\n", *lines[first + 1 :]]
            for name, new in edited.items()
        },
    }


KINDS = tuple(changed([b'{"completion": "", "right": null, "sample": 0}\n'] * 3, random.Random(0)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(2))
def test_the_results_are_those_of_an_undamaged_one_or_it_is_refused(kind, seed, folder, folders):
    file = folder / "completions.jsonl"
    content, results = file.read_bytes(), (folder / "results.json").read_bytes()
    damaged = b"".join(changed(content.splitlines(keepends=True), random.Random(seed))[kind])
    file.write_bytes(damaged)
    (folder / "results.json").unlink()
    found = outcome(folder)
    if isinstance(found, bytes):
        assert found == results
        assert file.read_bytes() == content
        return
    number = (
        next(
            k
            for k, pair in enumerate(zip(content.splitlines(), [*damaged.split(b"\n"), b""], strict=False), 1)
            if pair[0] != pair[1]
        )
        if not damaged.startswith(content)
        else len(content.splitlines()) + 1
    )
    assert f"{file} line {number} is damaged; remove it and all lines below, and resume" in found
    file.write_bytes(b"".join(content.splitlines(keepends=True)[: number - 1]))  # as the sentence says
    assert outcome(folder) == results


def test_lines_of_another_evaluation_are_refused(folder, folders):
    shutil.copy(folders / "warmer" / "completions.jsonl", folder / "completions.jsonl")
    assert "line 1 is damaged" in outcome(folder)


def test_a_file_that_is_gone_is_written_again(folder):
    content = (folder / "completions.jsonl").read_bytes()
    (folder / "completions.jsonl").unlink()
    (folder / "questions.jsonl").unlink()
    assert isinstance(outcome(folder), bytes)
    assert (folder / "completions.jsonl").read_bytes() == content
    assert (folder / "questions.jsonl").exists()


def test_completions_of_earlier_versions_go_on(folder):
    """They had neither checksums nor a version; what can be seen without is refused."""
    lines = (folder / "completions.jsonl").read_bytes().splitlines()
    rows = [{name: x for name, x in json.loads(line).items() if name != "check"} for line in lines]
    config = json.loads((folder / "config.json").read_text())
    for key in ("version", "sha256", "prompts"):
        del config[key]
    (folder / "config.json").write_text(json.dumps(config))

    def taken_up(kept):
        (folder / "completions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in kept))
        return outcome(folder)

    results = taken_up(rows)
    assert isinstance(results, bytes)
    assert taken_up(rows[:9]) == results
    written = (folder / "completions.jsonl").read_bytes().splitlines()
    assert ["check" in json.loads(line) for line in written] == 8 * [False] + 7 * [True]
    (folder / "completions.jsonl").write_bytes(b"\n".join([written[0], *written[2:]]) + b"\n")
    assert "line 4 is damaged" in outcome(folder)
    for damaged in (rows[1:], rows[:2] + rows[3:], rows[:5] + rows[4:]):
        assert "is damaged" in taken_up(damaged)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"settings": {}, "version": "0"}'])
def test_damaged_settings_are_named(content, folder):
    (folder / "config.json").write_bytes(content)
    assert f"{folder / 'config.json'} is damaged" in outcome(folder)


def test_another_template_is_noticed(folders, tmp_path):
    shutil.copytree(folders / "model", tmp_path / "model")
    given = ["--model", tmp_path / "model", "--benchmark", "chain", "--limit", 2, "--samples", 2, "--device", "cpu"]
    given = [*map(str, [*given, "--output", tmp_path / "out", "--max-new-tokens", 4])]
    assert main(["eval", *given]) == 0
    (tmp_path / "model" / "chat_template.jinja").write_text("{% for m in messages %}{{ m.content }}{% endfor %}!")
    with pytest.raises(SystemExit, match="the prompts are not those that"):
        main(["eval", *given])


def test_a_folder_that_is_held_is_refused_before_the_model_is_loaded(folder, monkeypatch):
    from advantages.evaluation import model

    monkeypatch.setattr(model, "load", None)
    with files.claim(folder):
        assert "another process is writing to" in outcome(folder)


def test_a_full_disk_is_a_sentence_and_what_is_finished_is_kept(folder, monkeypatch):
    import errno
    import os

    content = (folder / "completions.jsonl").read_bytes()
    (folder / "completions.jsonl").write_bytes(b"".join(content.splitlines(keepends=True)[:4]))
    fsync = os.fsync

    def refuse(handle):
        if "completions" in os.readlink(f"/proc/self/fd/{handle}"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        said = outcome(folder)
    assert f"{folder / 'completions.jsonl'} cannot be written (No space left on device); make room" in said
    assert isinstance(outcome(folder), bytes)
    assert (folder / "completions.jsonl").read_bytes() == content


ROWS = st.fixed_dictionaries({"completion": st.text(), "right": st.none() | st.booleans()})


@settings(max_examples=60)
@given(
    st.lists(
        st.fixed_dictionaries({"completion": st.text(), "right": st.none() | st.booleans()}), min_size=1, max_size=6
    ),
    st.data(),
)
def test_what_was_appended_is_read_back_and_one_byte_is_noticed(tmp_path_factory, rows, data):
    folder = tmp_path_factory.mktemp("record") / "out"
    asked = [{"id": str(k)} for k in range(len(rows))]
    about = {"size": len(rows), "seed": 0}
    written = [{"problem": str(k), "sample": 0, **row, "batch": about} for k, row in enumerate(rows)]
    with Record(folder).open({"seed": 1}, {"questions": "a"}, asked) as record:
        record.append(written)
    with Record(folder).open({"seed": 1}, {"questions": "a"}, asked) as record:
        assert record.rows == written
    file = folder / "completions.jsonl"
    content = bytearray(file.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    file.write_bytes(bytes(content))
    if not content.endswith(b"\n"):  # the batch is not whole, and is dropped
        with Record(folder).open({"seed": 1}, {"questions": "a"}, asked) as record:
            assert record.rows == []
        return
    with pytest.raises(ValueError, match="is damaged; remove it and all lines below"):
        Record(folder).open({"seed": 1}, {"questions": "a"}, asked)
