"""What a run on disk promises: it is nobody else's, it reads what it read, and damage is a sentence or mended."""

import dataclasses
import errno
import json
import multiprocessing
import os
import random
import shutil
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")


from advantages import files
from advantages.cli import main
from advantages.runs.config import Config
from advantages.runs.inputs import fingerprints, located
from advantages.runs.record import RunFolder, config_from, new_folder, read_config
from advantages.training import experiment

SAYS_NOTHING_ABOUT_TIME = ("seconds", "tokens_per_second")


@pytest.fixture(scope="session")  # a second one would find the module of rewards of the first
def started(tmp_path_factory, save_tiny):
    """A folder with a run of six steps that ended, one that was stopped after four, and what they read."""
    root = tmp_path_factory.mktemp("root")
    save_tiny(root / "model")
    rows = [{"prompt": f"{k}+1?", "answer": str(k + 1)} for k in range(9)]
    (root / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (root / "of_records.py").write_text(
        "def digits(*, completions, **_):\n    return [len(c) % 3 for c in completions]\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.syspath_prepend(root)
        assert main(["train", *OPTIONS, "--name", "whole"]) == 0
        stop_after(4, patch)
        assert main(["train", *OPTIONS, "--name", "stopped"]) == 130
    return root


OPTIONS = ["--model", "model", "--data", "train.jsonl", "--rewards", "of_records:digits=1", "--max-new-tokens", "6"]
OPTIONS += ["--prompts", "2", "--group-size", "4", "--evaluation", "2", "--steps", "6", "--save-every", "2"]
OPTIONS += ["--learning-rate", "1e-2"]


def stop_after(step, patch):
    """A signal comes while a step is taken."""
    import signal

    class Stopping(experiment.Training):
        def step(self):
            metrics = super().step()
            if self.done == step:
                signal.raise_signal(signal.SIGINT)
            return metrics

    patch.setattr(experiment, "Training", Stopping)


@pytest.fixture
def run(started, tmp_path, monkeypatch):
    """The stopped run, in a folder of its own."""
    monkeypatch.syspath_prepend(started)
    monkeypatch.chdir(tmp_path)
    shutil.copytree(started / "runs" / "stopped", tmp_path / "run")
    return tmp_path / "run"


def resume(folder):
    return main(["train", "--resume", str(folder)])


def refusal(folder):
    with pytest.raises(SystemExit) as caught:
        resume(folder)
    return str(caught.value)


def numbers(folder, name="metrics.jsonl"):
    lines = [json.loads(line) for line in (folder / name).read_text().splitlines()]
    return [{key: x for key, x in line.items() if not key.startswith(SAYS_NOTHING_ABOUT_TIME)} for line in lines]


def assert_whole(folder, started):
    for name in ("metrics.jsonl", "samples.jsonl", "evaluations.jsonl"):
        assert numbers(folder, name) == numbers(started / "runs" / "whole", name), name
    ours, theirs = (path / "model" / "model.safetensors" for path in (folder, started / "runs" / "whole"))
    assert ours.read_bytes() == theirs.read_bytes()


# Shared


def claim_and_wait(root, results, name):
    try:
        with new_folder(root, name) as folder:
            results.put(folder.name)
            (folder / "config.json").write_text("{}")
            results.put(None) if name else None
            import time

            time.sleep(1)
    except ValueError as error:
        results.put(str(error))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # JAX of another test warns of forks
@pytest.mark.parametrize("name", [None, "mine"])
def test_runs_that_are_started_together_get_a_folder_each_or_a_sentence(name, tmp_path):
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    processes = [context.Process(target=claim_and_wait, args=(tmp_path / "runs", results, name)) for _ in range(6)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    found = []
    while not results.empty():
        found.append(results.get())
    found = [one for one in found if one is not None]
    if name is None:
        assert sorted(found) == [f"run-{k}" for k in range(1, 7)]
    else:
        assert found.count("mine") == 1
        assert sum("another process is writing" in one or "already holds a run" in one for one in found) == 5


def test_a_claim_ends_with_its_block_and_leaves_nothing_behind(tmp_path):
    folder = tmp_path / "a" / "b"
    with files.claim(folder):
        with pytest.raises(ValueError, match=r"another process is writing to .*b; wait for it, or stop it"):
            files.claim(folder).__enter__()
        assert folder.is_dir()
    assert not list(tmp_path.iterdir())
    with files.claim(folder):
        (folder / "x").write_text("")
    assert [path.name for path in folder.iterdir()] == ["x"]
    with files.claim(folder):
        pass
    assert folder.is_dir()


@pytest.mark.parametrize("deeper", ["", "a", "a/b"])
def test_a_folder_that_cannot_be_made_is_a_sentence(deeper, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "gone" / "x")
    for hold in (lambda at: files.claim_free(at, "run"), files.claim):
        with pytest.raises(ValueError, match=r"link.* cannot be made, as in a link to nowhere; write elsewhere"):
            hold(tmp_path / "link" / deeper).__enter__()
        with pytest.raises(ValueError, match=r"cannot be written \(File name too long\)"):
            hold(tmp_path / deeper / ("x" * 300)).__enter__()
    (tmp_path / "run-1").symlink_to(tmp_path / "gone")
    with files.claim_free(tmp_path, "run") as folder:
        assert folder.name == "run-2"


def test_a_run_that_is_going_on_cannot_be_resumed(run):
    with files.claim(run):
        assert "another process is writing to" in refusal(run)


# Other data


def test_a_resume_from_another_folder_finds_what_it_reads(run, started):
    assert resume(run) == 0
    assert_whole(run, started)
    config = json.loads((run / "config.json").read_text())
    assert config["data"] == str(started / "train.jsonl")
    assert config["model"] == str(started / "model")
    assert set(config["files"]) >= {str(started / name) for name in ("train.jsonl", "of_records.py")}


@pytest.mark.parametrize(
    "name", ["train.jsonl", "of_records.py", "model/model.safetensors", "model/tokenizer.json", "model/config.json"]
)
@pytest.mark.parametrize("how", ["changed", "gone"])
def test_a_file_that_is_not_what_it_was_is_named(name, how, run, started):
    file = started / name
    content = file.read_bytes()
    try:
        file.write_bytes(content + b"\n") if how == "changed" else file.unlink()
        said = refusal(run)
    finally:
        file.write_bytes(content)
    assert str(file) in said
    assert ("is not the file that" if how == "changed" else "is gone") in said
    assert numbers(run)[-1]["step"] == 4


@pytest.mark.parametrize("name", ["chat_template.jinja", "adapter_config.json", "model-00001-of-00002.safetensors"])
def test_a_file_that_was_not_there_is_named(name, run, started):
    file = started / "model" / name
    file.write_text("{{ messages[0].content }}!")
    try:
        assert f"{file} would be read, which {run} was started without" in refusal(run)
    finally:
        file.unlink()
    assert numbers(run)[-1]["step"] == 4


def test_another_module_of_the_same_name_is_named(run, monkeypatch, tmp_path):
    (tmp_path / "of_records.py").write_text("def digits(*, completions, **_):\n    return [0.0 for _ in completions]\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "of_records", raising=False)
    assert f"{tmp_path / 'of_records.py'} would be read, which {run} was started without" in refusal(run)


def test_a_part_of_an_experiment_is_resumed_as_a_whole(run):
    (run / "grpo-seed0").mkdir()
    assert f"such as {run.resolve()}, which holds this one and others" in refusal(run / "grpo-seed0")


def test_paths_to_own_functions_are_made_absolute_and_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ("mine.py", "reward.py", "train.jsonl", "held.jsonl")
    for name in names:
        (tmp_path / name).write_text(name)
    data = {"data": "train.jsonl", "eval_data": "held.jsonl", "model": "a/model"}
    config = located(Config(**data, estimator="mine.py:f", rewards={"reward.py:g": 1.0, "exact": 1.0}))
    assert (config.data, config.eval_data) == (str(tmp_path / "train.jsonl"), str(tmp_path / "held.jsonl"))
    assert config.estimator == f"{tmp_path / 'mine.py'}:f"
    assert list(config.rewards) == [f"{tmp_path / 'reward.py'}:g", "exact"]
    assert set(fingerprints([config])) == {str(tmp_path / name) for name in names}
    assert located(config) == config


def test_settings_of_earlier_versions_are_read_by_their_old_names(tmp_path):
    config = Config(learning_rate=0.25, epochs=3, group_size=4)
    new = dataclasses.asdict(config)
    old = {{"learning_rate": "rate", "epochs": "passes", "group_size": "samples"}.get(k, k): x for k, x in new.items()}
    (tmp_path / "config.json").write_text(json.dumps(old))
    assert read_config(tmp_path / "config.json") == config
    with pytest.raises(ValueError, match="was written by an earlier version"):
        config_from({**new, "rate": 0.5}, tmp_path / "config.json", None)


# Records


def lines_of(file):
    return file.read_bytes().splitlines(keepends=True)


@pytest.mark.parametrize("name", ["metrics.jsonl", "samples.jsonl", "evaluations.jsonl"])
@pytest.mark.parametrize(
    "tail", [b'{"step": 5, "acc', b"{}\n", b"\x00\x00\n", b'{"step": 5}\n{"step"', b"nonsense\n" * 3]
)
def test_what_was_recorded_after_the_checkpoint_is_cut(name, tail, run):
    content = (run / name).read_bytes()
    (run / name).write_bytes(content + tail)
    disk = RunFolder(run)
    disk.cut(4)
    assert (run / name).read_bytes() == content


def test_a_torn_record_goes_on_as_if_nothing_had_happened(run, started):
    for name in ("metrics.jsonl", "samples.jsonl", "evaluations.jsonl"):
        with (run / name).open("ab") as file:
            file.write(b'{"step": 5, "rew')
    assert resume(run) == 0
    assert_whole(run, started)


def test_lines_that_were_doubled_are_dropped(run, started):
    for name in ("metrics.jsonl", "samples.jsonl", "evaluations.jsonl"):
        lines = lines_of(run / name)
        (run / name).write_bytes(b"".join([*lines, *lines]))
    assert resume(run) == 0
    assert_whole(run, started)


def test_lost_lines_are_taken_again_from_the_checkpoint_before(run, started, capsys):
    (run / "metrics.jsonl").write_bytes(b"".join(lines_of(run / "metrics.jsonl")[:3]))
    assert resume(run) == 0
    printed = capsys.readouterr().out
    assert f"{run / 'metrics.jsonl'} has lost lines" in printed
    assert f"going on from {run / 'checkpoint' / 'step-2'}" in printed
    assert_whole(run, started)


@pytest.mark.parametrize("name", ["metrics.jsonl", "samples.jsonl", "evaluations.jsonl"])
@pytest.mark.parametrize("how", ["first line", "swapped", "one byte", "empty", "gone"])
def test_a_record_that_was_changed_is_named(name, how, run):
    file = run / name
    lines = lines_of(file)
    first = lines[0]
    changed = {
        "first line": lines[1:],
        "swapped": lines[::-1] if len(lines) > 1 else [],
        "one byte": [first[:-3] + bytes([first[-3] ^ 1]) + first[-2:], *lines[1:]],
        "empty": [],
        "gone": [],
    }[how]
    file.write_bytes(b"".join(changed)) if how != "gone" else file.unlink()
    said = refusal(run)
    assert str(file) in said
    assert "no other checkpoint can be used" in said


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: lines[1:], "metrics.jsonl line 1 is not of step 1"),
        (lambda lines: lines[:3], "metrics.jsonl line 4 is not of step 4"),
        (lambda lines: [*lines[:2], b"{\n", *lines[3:]], "metrics.jsonl line 3 is damaged"),
        (lambda lines: [lines[0], *lines], "metrics.jsonl line 2 is not of step 2"),
        (lambda lines: [*lines[:3], lines[3][:-1]], "metrics.jsonl line 4 is not of step 4"),
        (lambda lines: [], "metrics.jsonl line 1 is not of step 1"),
    ],
)
def test_records_of_earlier_versions_which_had_no_checksums_are_whole_or_refused(change, message, run):
    (run / "metrics.jsonl").write_bytes(b"".join(change(lines_of(run / "metrics.jsonl"))))
    with pytest.raises(ValueError, match=message):
        RunFolder(run).cut(4)


@pytest.mark.parametrize("name", ["experiment.json", "config.json"])
def test_a_damaged_setting_is_named(name, run):
    content = (run / name).read_bytes()
    for damaged in (
        content[: len(content) // 2],
        b"",
        b"[]",
        b"\xff\xfe",
        content.replace(b'"steps": 6', b'"steps": 7'),
    ):
        (run / name).write_bytes(damaged)
        said = refusal(run)
        assert f"{run / name} is damaged" in said, said


def test_a_damaged_result_is_written_again(run, started, capsys):
    assert resume(run) == 0
    (run / "result.json").write_bytes((run / "result.json").read_bytes()[:40])
    assert resume(run) == 0
    assert f"{run / 'result.json'} is damaged, and is written again" in capsys.readouterr().out
    assert_whole(run, started)


def test_runs_of_earlier_versions_go_on_or_the_version_is_said(run, started):
    for name in ("experiment.json", "config.json"):
        content = json.loads((run / name).read_text())
        for key in ("version", "sha256", "files"):
            del content[key]
        (run / name).write_text(json.dumps(content))
    for checkpoint in (run / "checkpoint").iterdir():
        facts = json.loads((checkpoint / "state.json").read_text())
        for key in ("version", "sha256", "records", "tensors"):
            del facts[key]
        (checkpoint / "state.json").write_text(json.dumps(facts))
    shutil.copytree(run, run.with_name("other"))
    assert resume(run) == 0
    assert_whole(run, started)
    for version in (None, "0.0.7"):
        content = json.loads((run.with_name("other") / "experiment.json").read_text())
        content.pop("version", None)
        content.pop("sha256", None)
        content["runs"][0]["config"]["speed"] = 9
        if version is None:
            (run.with_name("other") / "experiment.json").write_text(json.dumps(content))
            assert "was written by an earlier version of rl-advantages" in refusal(run.with_name("other"))
        else:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(files, "__version__", version)
                files.write_json(run.with_name("other") / "experiment.json", content, sealed=True)
            assert "was written by version 0.0.7 of rl-advantages" in refusal(run.with_name("other"))


# Checkpoints


def test_as_many_checkpoints_stay_as_are_asked_for(run, started):
    assert sorted(path.name for path in (run / "checkpoint").iterdir()) == ["step-2", "step-4"]


def flip(file, place):
    content = bytearray(file.read_bytes())
    content[place % len(content)] ^= 0x20
    file.write_bytes(bytes(content))


DAMAGES = {
    "cut tensors": lambda folder: os.truncate(folder / "state.safetensors", 1000),
    "no tensors": lambda folder: (folder / "state.safetensors").unlink(),
    "empty tensors": lambda folder: os.truncate(folder / "state.safetensors", 0),
    "cut state": lambda folder: os.truncate(folder / "state.json", 100),
    "no state": lambda folder: (folder / "state.json").unlink(),
    "other state": lambda folder: (folder / "state.json").write_text("[]"),
    "an empty folder": lambda folder: [file.unlink() for file in folder.iterdir()],
    **{
        f"byte {k} of {name}": lambda folder, k=k, name=name: flip(folder / name, random.Random(k).randrange(10**9))
        for k in range(4)
        for name in ("state.safetensors", "state.json")
    },
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(damage, run):
    DAMAGES[damage](run / "checkpoint" / "step-4")
    checkpoint, _, notes = experiment._resume_point(Config(), RunFolder(run))
    assert checkpoint == run / "checkpoint" / "step-2"
    assert str(run / "checkpoint" / "step-4" / "state.") in notes[0]
    assert f"going on from {checkpoint}" in notes[0]
    DAMAGES[damage](run / "checkpoint" / "step-2")
    with pytest.raises(ValueError, match=r"step-4.*step-2.*no other checkpoint can be used"):
        experiment._resume_point(Config(), RunFolder(run))


def test_a_run_with_a_damaged_checkpoint_is_the_run_that_has_none(run, started, capsys):
    flip(run / "checkpoint" / "step-4" / "state.safetensors", 5000)
    (run / "checkpoint" / "step-x").mkdir()
    (run / "checkpoint" / "step-9.partial").mkdir()
    assert resume(run) == 0
    printed = capsys.readouterr().out
    assert "step-x is no checkpoint, and is left alone" in printed
    assert "is damaged (its checksum does not fit); going on from" in printed
    assert_whole(run, started)
    assert sorted(path.name for path in (run / "checkpoint").iterdir()) == ["step-4", "step-6", "step-x"]


def test_checkpoints_that_were_lost_are_missed(run):
    shutil.rmtree(run / "checkpoint")
    assert "checkpoint holds no checkpoint, but" in refusal(run)
    assert numbers(run)[-1]["step"] == 4


def test_a_checkpoint_that_lacks_tensors_is_refused_without_a_checksum_too(run):
    from safetensors.torch import load_file, save_file

    for checkpoint in (run / "checkpoint").iterdir():
        facts = json.loads((checkpoint / "state.json").read_text())
        for key in ("version", "sha256", "tensors"):
            del facts[key]
        (checkpoint / "state.json").write_text(json.dumps(facts))
        tensors = load_file(checkpoint / "state.safetensors")
        del tensors["model.model.norm.weight"]
        save_file(tensors, checkpoint / "state.safetensors")
    assert "state.safetensors has no model.model.norm.weight" in refusal(run)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_never_saved(value, run, monkeypatch):
    class Breaking(experiment.Training):
        def step(self):
            metrics = super().step()
            if self.done == 5:
                next(iter(self.model.parameters())).data[0, 0] = value
            return metrics

    monkeypatch.setattr(experiment, "Training", Breaking)
    before = {path.name: (path / "state.safetensors").read_bytes() for path in (run / "checkpoint").iterdir()}
    monkeypatch.setattr(Breaking, "evaluate", lambda *_: {})
    said = refusal(run)
    assert "is not finite" in said
    assert not (run / "model").exists()
    assert {path.name: (path / "state.safetensors").read_bytes() for path in (run / "checkpoint").iterdir()} == before


# The disk


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT, errno.EIO])
@pytest.mark.parametrize("place", ["fsync", "replace", "rename", "tensors"])
def test_a_disk_that_refuses_is_a_sentence_and_the_run_goes_on_later(number, place, run, started, monkeypatch):
    from safetensors import SafetensorError
    from safetensors import torch as tensors

    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    def refuse_tensors(*_, **__):
        raise SafetensorError(f"Error while serializing: I/O error: {os.strerror(number)} (os error {number})")

    with monkeypatch.context() as patch:
        if place == "fsync":
            patch.setattr(os, "fsync", refuse)
        elif place == "tensors":
            patch.setattr(tensors, "save_file", refuse_tensors)
        else:
            patch.setattr(Path, place, refuse)
        said = refusal(run)
    assert f"cannot be written ({os.strerror(number)})" in said
    assert said.startswith("advantages train: ")
    assert not list(run.rglob("*.partial"))
    if number == errno.ENOSPC:
        assert "make room" in said
        assert resume(run) == 0
        assert_whole(run, started)


def test_a_device_that_is_full_is_a_sentence(tmp_path):
    (tmp_path / "metrics.jsonl").symlink_to("/dev/full")
    with pytest.raises(ValueError, match=r"metrics.jsonl cannot be written \(No space left on device\); make room"):
        files.append_lines(tmp_path / "metrics.jsonl", ["{}\n"])
