"""What a task's folder may say beyond its numbers: what guessing reaches, which framework it needs, how long it takes."""

import json
import sys
from unittest import mock

import pytest
import yaml
from copies import copy_repository, printed
from facts import mistake

from normbench.analysis.results import guessing
from normbench.config import tasks
from normbench.config.cost_model import Machine, Work, expected_seconds
from normbench.config.spec import ArmSpec
from normbench.config.tasks import Metric, absence, owner_of, read_task, work_of
from normbench.execution import prepare


def test_what_has_learned_nothing():
    def reached(guess: str | None) -> float | None:
        return guessing(Metric(unit="%", direction="higher", guess=guess, says=""), "imagenet", "cifar100")

    assert [reached(guess) for guess in ("right", "wrong", "zero", None)] == [1.0, 99.0, 0.0, None]


def test_a_score_that_starts_at_zero_needs_no_classes():
    dataset = tasks.Dataset(embedded=True, train=4, says="pairs of sentences")
    assert dataset.classes is None and dataset.pixels is None


@pytest.mark.parametrize("name", tasks.task_names())
def test_every_task_here_can_run_or_says_what_it_needs(name):
    absent, needed = absence(name), read_task(name).requires
    assert absent == "" or absent == f"{needed.module} is not installed; {needed.install}"


def test_a_task_that_is_not_here():
    assert absence("speech") == "needs task speech"


def test_a_framework_that_is_missing_leaves_the_other_tasks_their_runs(tmp_path):
    copy = copy_repository(tmp_path / "copy")
    file = copy / "tasks" / "propagation" / "task.yaml"
    file.write_text(file.read_text() + "requires: {module: no_such_framework, install: pip install no-such-framework}\n")
    code = """import json
from normbench.planning.make import make_plan
from normbench.config.tasks import absence
print(json.dumps([sorted({arm.task for arm in make_plan("tiny").arms.values()}), absence("propagation")]))"""
    trained, absent = printed(code, copy)
    assert "imagenet" in trained and "propagation" not in trained
    assert absent == "no_such_framework is not installed; pip install no-such-framework"


def test_a_task_says_how_long_its_runs_take():
    recipe = {"subject": "network", "batch_size": 2, "pixels": 8, "rounds": 3}
    arm = ArmSpec("cost", "noise", {"family": "resnet", "depth": 18}, "batch_norm", {}, recipe)
    work = Work(*work_of("cost")(arm, read_task("cost").datasets["noise"]))
    machine = Machine(seconds_per_run=2, seconds_per_layer=0.5, macs_per_second=1e6)
    assert expected_seconds(arm, machine) == pytest.approx(2 + work.steps * (work.layers * 0.5 + 3 * work.macs / 1e6))
    assert work_of("imagenet") is None


def test_how_long_a_run_is_expected_to_take_is_not_part_of_what_it_computes(tmp_path):
    copy = copy_repository(tmp_path / "copy")
    code = "import json; from normbench.config.code_hash import code_of_run; print(json.dumps(code_of_run('cost', 'batch_norm')['task']))"

    def digest_with(file: str) -> str:
        path = copy / "tasks" / "cost" / file
        kept = path.read_text()
        path.write_text(f"{kept}\nMORE = 1\n")
        digest = printed(code, copy)
        path.write_text(kept)
        return digest

    unchanged = printed(code, copy)
    assert digest_with("work.py") == unchanged and digest_with("timing.py") != unchanged


def two_tasks(folder, monkeypatch, **second):
    """Folders of two small tasks on the search path, the first with the dataset `pictures`."""
    fields = {"title": "", "headline": "m", "metrics": {"m": {"unit": "", "direction": "none", "says": ""}}, "models": {}, "recipes": {}}
    own = {"one": {"datasets": {"pictures": {"embedded": True, "train": 4, "says": ""}}}, "two": {"datasets": {}, **second}}
    for name, given in own.items():
        (folder / name).mkdir()
        (folder / name / "task.yaml").write_text(yaml.safe_dump({"task": name, **fields, **given}))
    monkeypatch.setenv("NORMBENCH_TASKS_PATH", str(folder))


def test_a_borrowed_dataset_is_the_owners(tmp_path, monkeypatch):
    two_tasks(tmp_path, monkeypatch, datasets_from={"one": ["pictures"]})
    assert read_task("two").datasets == read_task("one").datasets
    assert owner_of("pictures") == "one"
    assert owner_of("digits") == "imagenet" and owner_of("gaussian") == "propagation"
    assert read_task("propagation").datasets["cifar100"].classes == 100


@pytest.mark.parametrize(
    "second, facts",
    [
        ({"datasets_from": {"one": ["picture"]}}, ["two/task.yaml", "datasets_from.one", "'picture'", "'pictures'"]),
        ({"datasets_from": {"won": ["pictures"]}}, ["two/task.yaml", "datasets_from", "'won'", "one"]),
        (
            {"datasets": {"pictures": {"embedded": True, "train": 1, "says": ""}}, "datasets_from": {"one": ["pictures"]}},
            ["two/task.yaml", "datasets_from.one", "'pictures'"],
        ),
    ],
)
def test_a_mistake_in_what_is_borrowed_is_one_sentence(second, facts, tmp_path, monkeypatch):
    two_tasks(tmp_path, monkeypatch, **second)
    with mistake(*facts):
        read_task("two")


def test_a_dataset_that_two_tasks_declare_has_no_owner(tmp_path, monkeypatch):
    two_tasks(tmp_path, monkeypatch, datasets={"pictures": {"embedded": True, "train": 1, "says": ""}})
    with mistake("one/task.yaml", "two/task.yaml", "'pictures'", "datasets_from"):
        owner_of("pictures")
    with mistake("'picturs'", "'pictures'"):
        owner_of("picturs")


def test_the_owner_makes_what_others_borrow(tmp_path):
    ready = tmp_path / "ready.json"
    with mock.patch.object(sys, "argv", ["prepare", "--data", str(tmp_path), "--dataset", "digits", "--ready", str(ready)]):
        assert prepare.main() == 0
    assert json.loads(ready.read_text())["data_sha256"] == json.loads((tmp_path / "digits" / "manifest.json").read_text())["data_sha256"]


def test_a_metric_that_a_predictor_has_not_is_one_sentence(tmp_path, monkeypatch):
    two_tasks(tmp_path, monkeypatch, predictor={"accuracy": "m", "speed": "mm", "properties": {"m": "m"}})
    with mistake("two/task.yaml", "predictor: speed", "'mm'", "'m'"):
        read_task("two")


def test_an_unknown_task_names_the_nearest():
    with mistake("'imagent'", "'imagenet'"):
        read_task("imagent")
