"""What a task's folder may say beyond its numbers: what guessing reaches, which framework it needs, how long it takes."""

import pytest
from copies import copy_repository, printed

from normbench.analysis.results import guessing
from normbench.config import tasks
from normbench.config.cost_model import Machine, Work, expected_seconds
from normbench.config.spec import ArmSpec
from normbench.config.tasks import Metric, absence, read_task, work_of
from normbench.core.errors import InputError


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
from normbench.planning.plan import make_plan
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


def test_an_unknown_task_names_the_nearest():
    with pytest.raises(InputError, match="'imagent' is no task; did you mean 'imagenet'"):
        read_task("imagent")
