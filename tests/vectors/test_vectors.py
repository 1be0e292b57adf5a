"""docs/vectors: what is committed is what the command writes, what the specs say, and what the schema allows."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from advantages import conventions, estimators, vectors
from advantages.cli import main
from advantages.conventions.convention import STAGES
from advantages.core.definition import definition_of

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "vectors"
NAMES = vectors.names()
WHITENED = {
    "nemo_rl.gae",
    "nemo_rl.normalized_raw_reward",
    "nemo_rl.reinforce_plus_plus_with_kl",
    "nemo_rl.vapo",
    "openrlhf.gae",
    "skyrl.gae",
    "slime.reinforce_plus_plus_baseline_with_kl",
    "trinity.ppo",
    "tunix.gae",
    "verl.gae",
    "verl.gdpo",
    "trinity.remax",
    "verl.remax",
}
"""Whose stages do something by default."""


def function_of(name):
    framework, _, function = name.rpartition(".")
    return getattr(getattr(conventions, framework) if framework else estimators, function)


def test_there_is_a_file_for_each_and_no_other_and_all_are_small():
    files = sorted(FOLDER.glob("*"))
    assert {file.name for file in files} == {"schema.json", *(f"{name}.json" for name in NAMES)}, "make vectors"
    assert sum(file.stat().st_size for file in files) < 2_000_000


@pytest.mark.parametrize("name", NAMES)
def test_the_file_is_what_the_command_writes_and_what_the_spec_says(name):
    text = (FOLDER / f"{name}.json").read_text()
    document = vectors.document(name)
    assert vectors.says(text, document), "make it anew: advantages vectors --out docs/vectors"
    assert json.loads(vectors.as_text(document)) == document
    function = function_of(name)
    spec, judged = definition_of(function).spec, 0
    if spec is None:  # of a convention whose stages no spec has: its estimator's, where they do nothing
        spec = definition_of(function.__convention__.base).spec
    for case in document["cases"]:
        settings = document["defaults"] | case["settings"]
        if definition_of(function).spec is None:
            stages = {key: settings.pop(key) for key in STAGES if key in settings}
            if any(chosen != STAGES[key][2] for key, chosen in stages.items()):
                continue
        judged += 1
        expected = spec(**vectors.inputs_of(case), **settings)
        scale = max(1.0, np.abs(expected).max(initial=0.0))
        np.testing.assert_allclose(case["advantages"], expected, rtol=0, atol=vectors.TOLERANCE * scale, err_msg=case)
    assert judged >= 5 or name in WHITENED, judged


@pytest.mark.parametrize("lent", [True, False], ids=["in memory", "as on a device"])
@pytest.mark.parametrize("name", estimators.__all__)
def test_tensors_give_the_numbers_of_the_files_with_and_without_numpy(name, lent, monkeypatch):
    """What is portable sees a host's tensors as numpy arrays, and a device's as they are: both are the same numbers."""
    torch = pytest.importorskip("torch")
    if not lent:
        if not definition_of(function_of(name)).portable:
            pytest.skip("it sees tensors anyway")
        monkeypatch.setattr("advantages.backends.torch.lent", lambda x: None)
    for case in json.loads((FOLDER / f"{name}.json").read_text())["cases"]:
        inputs = {
            word: torch.from_numpy(x) if isinstance(x, np.ndarray) and x.dtype != object else x
            for word, x in vectors.inputs_of(case).items()
        }
        found = function_of(name)(**inputs, **case["settings"]).numpy()
        scale = max(1.0, np.abs(case["advantages"]).max(initial=0.0))
        np.testing.assert_allclose(found, case["advantages"], rtol=0, atol=1e-6 * scale, err_msg=case)


def test_cases_meet_what_can_go_wrong():
    """Of all cases that could: some are ragged, have a lone member, are unscored, masked, weighed or left out."""
    documents = [json.loads((FOLDER / f"{name}.json").read_text()) for name in estimators.__all__]
    cases = [case for document in documents for case in document["cases"]]
    inputs = [case["inputs"] for case in cases]
    assert all(len(document["cases"]) == 50 for document in documents)
    for word in ("valid", "trained", "trajectories", "bootstrap_values", "lengths"):
        assert sum(word in some for some in inputs) > 20, word
    assert sum(None in some.get("rewards", ()) for some in inputs) > 100
    assert sum(any(None in row for row in some.get("values", ())) for some in inputs) > 20
    sizes = [sorted(map(some["groups"].count, set(some["groups"]))) for some in inputs if "groups" in some]
    assert sum(size[0] == 1 < size[-1] for size in sizes) > 100
    assert sum(case["settings"] != {} for case in cases) > 500
    for document in documents:
        assert any(np.any(case["advantages"]) for case in document["cases"]), document["name"]


def test_the_schema_allows_the_files_and_nothing_else():
    schema = json.loads((FOLDER / "schema.json").read_text())
    assert schema == vectors.schema()
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)
    for name in NAMES[::7]:
        validator.validate(json.loads((FOLDER / f"{name}.json").read_text()))
    document = json.loads((FOLDER / "gae.json").read_text())
    for wrong in ({"version": 2}, {"unit": "tokens"}, {"more": 1}, {"cases": [{"inputs": {"reward": [1]}}]}):
        assert not validator.is_valid({**document, **wrong})


def test_the_command_writes_them(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(vectors, "names", lambda: ["grpo", "verl.grpo"])
    assert main(["vectors", "--out", str(tmp_path / "new" / "folder")]) == 0
    assert "2 files and schema.json" in capsys.readouterr().out
    written = tmp_path / "new" / "folder"
    for name in ("grpo.json", "verl.grpo.json", "schema.json"):
        assert (written / name).read_bytes() == (FOLDER / name).read_bytes()
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit, match=r"advantages vectors: .*file"):
        main(["vectors", "--out", str(tmp_path / "file")])


def test_a_last_digit_of_another_processor_is_let_stand_and_nothing_else_is(tmp_path):
    made = vectors.document("grpo")
    where = next((i, j) for i, case in enumerate(made["cases"]) for j, x in enumerate(case["advantages"]) if x % 1)
    text = vectors.as_text(made)

    def off_by(part):
        i, j = where
        cases = [{**case, "advantages": list(case["advantages"])} for case in made["cases"]]
        cases[i]["advantages"][j] = float(f"{cases[i]['advantages'][j] * (1 + part):.12g}")
        return vectors.as_text({**made, "cases": cases})

    assert off_by(2e-12) != text
    assert vectors.says(text, made)
    assert vectors.says(off_by(2e-12), made)
    cases = made["cases"]
    for other in (
        off_by(2e-10),
        "",
        "{}",
        text + " ",
        text.replace('"version": 1', '"version": 2'),
        vectors.as_text({**made, "cases": cases[1:]}),
        vectors.as_text({**made, "cases": [{**cases[0], "inputs": cases[1]["inputs"]}, *cases[1:]]}),
        vectors.as_text({**made, "cases": [{**cases[0], "advantages": [None]}, *cases[1:]]}),
    ):
        assert not vectors.says(other, made), other[:200]
    path = tmp_path / "grpo.json"
    for standing in (off_by(2e-12), off_by(2e-10), "\udcff"):
        path.write_text(standing, errors="surrogateescape")
        vectors.write(tmp_path, ["grpo"])
        assert path.read_text() == (standing if vectors.says(standing, made) else text)
    path.unlink()
    path.mkdir()
    with pytest.raises(ValueError, match=r"grpo\.json"):
        vectors.write(tmp_path, ["grpo"])


def test_the_page_names_the_format():
    page = (FOLDER.parent / "vectors.md").read_text()
    assert f"version {vectors.VERSION}" in page
    assert {"cpp", "rust", "swift"} <= set(re.findall(r"```(\w+)", page))
    assert re.search(r"\{(\"inputs\".*?\})\n```", page, re.DOTALL)
    (shown,) = re.findall(r"```json\n(.*?)\n```", page, re.DOTALL)
    assert shown.strip().rstrip(",") in (FOLDER / "grpo.json").read_text()
