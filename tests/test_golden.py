"""Golden runs: those of a task come to what is committed; a drift is told by run and step, and by what changed around it."""

import json
import shutil
import sys
from pathlib import Path
from unittest import mock

import pytest
from facts import mistake

from normbench.config.spec import arm_from
from normbench.config.tasks import load_preparer, read_task
from normbench.execution import golden
from normbench.execution.golden_files import FOLDER, STEPS, Golden, GoldenRun, drift, golden_datasets, golden_tasks, read_golden

SPEC = {
    "task": "imagenet",
    "dataset": "digits",
    "model": {"family": "resnet", "depth": 18},
    "method": "skipinit",
    "params": {},
    "recipe": {},
}
RUN = GoldenRun(run="digits-resnet18-skipinit-0123456789-s0", spec=SPEC, seed=0, code="m", losses=[2.5, 2.301, 2.2])
FILES = {"tasks/images/batches.py": "b", "normbench/training/loop.py": "l"}
WAS = Golden(task="imagenet", tolerance=1e-4, versions={"torch": "2.14.1"}, code="t", files=FILES, runs=[RUN])


def now(versions=WAS.versions, code=WAS.code, files=FILES, **fields) -> Golden:
    return WAS.model_copy(update={"versions": versions, "code": code, "files": files, "runs": [RUN.model_copy(update=fields)]})


@pytest.mark.parametrize(
    "made, says",
    [
        (now(), None),
        (now({"torch": "2.15"}), None),
        (now(losses=[2.5, 2.3010001, 2.2]), None),
        (now({"torch": "2.15"}, losses=[2.5, 2.345, 2.9]), "torch 2.14.1 -> 2.15: {run}: loss at step 2 was 2.301, is 2.345"),
        (now(code="u", losses=[2.6, 2.3, 2.2]), "what tasks/imagenet imports changed: {run}: loss at step 1 was 2.5, is 2.6"),
        (
            now({"torch": "2.14.1", "numpy": "3"}, "u", {**FILES, "tasks/images/batches.py": "c"}, losses=[2.5]),
            "numpy none -> 3, tasks/images/batches.py changed: {run}: had 3 steps, and has 1",
        ),
        (
            now(code="u", files={"tasks/images/batches.py": "b", "normbench/core/loop.py": "l", "new.py": "n"}, losses=[2.5]),
            "new.py changed: {run}: had 3 steps, and has 1",
        ),
        (now(code=WAS.code, losses=[2.5, 2.4, 2.2]), "equal versions and code: {run}: loss at step 2 was 2.301, is 2.4"),
        (now(losses=RUN.losses, values={"variance": 1.0}), "equal versions and code: {run}: variance was not measured, is 1"),
    ],
)
def test_a_drift_is_told_by_run_step_and_what_changed(made, says):
    assert list(drift(WAS, made)) == ([says.format(run=RUN.run)] if says else [])


def test_behind_the_steady_steps_only_a_large_drift_counts():
    was, other = WAS.model_copy(update={"steady": 1}), now(losses=[2.5, 2.4, 3.2])
    assert list(drift(was, other)) == [f"equal versions and code: {RUN.run}: loss at step 3 was 2.2, is 3.2"]
    assert list(drift(was, now(losses=[2.501, 2.4, 2.2]))) == [f"equal versions and code: {RUN.run}: loss at step 1 was 2.5, is 2.501"]


def test_a_changed_method_is_told():
    changed = now(losses=[2.5, 2.4, 2.2]).runs[0].model_copy(update={"code": "other"})
    assert next(iter(drift(WAS, WAS.model_copy(update={"runs": [changed]})))).startswith("methods/skipinit.py or what it imports changed: ")


def test_every_task_that_measures_what_repeats_has_three_golden_runs():
    repeating = {name for name in ("coco", "imagenet", "kinetics", "propagation", "wmt")}
    assert set(golden_tasks()) == repeating and golden_datasets()
    for task in golden_tasks():
        runs = read_golden(task).runs
        assert len({run.spec["method"] for run in runs}) == 3
        for run in runs:
            assert run.run == f"{arm_from(run.spec).id}-s{run.seed}"
            assert len(run.losses) == STEPS or (task == "propagation" and len(run.values) > 5)
            assert read_task(task).datasets[run.spec["dataset"]].embedded


def check(folder: Path, data: Path, capsys, *words: str) -> tuple[int, str, str]:
    with mock.patch.object(sys, "argv", ["golden", "--data", str(data), "--folder", str(folder), "--task", "propagation", *words]):
        code = golden.main()
    return code, *capsys.readouterr()


def test_the_command_finds_what_drifted_and_writes_it_anew(tmp_path, capsys):
    data, folder = tmp_path / "data", tmp_path / "golden"
    load_preparer("propagation")("gaussian", data)
    shutil.copytree(FOLDER, folder)
    code, out, err = check(folder, data, capsys)
    assert (code, err) == (0, "") and out.startswith("propagation: 3 runs as they were, by torch ")
    path = folder / "propagation.json"
    content = json.loads(path.read_text())
    run, was = content["runs"][1], content["runs"][1]["values"]["init_loss"]
    run["values"]["init_loss"] = was * 1.01
    path.write_text(json.dumps(content))
    code, _, err = check(folder, data, capsys)
    assert code == 1 and f"{run['run']}: init_loss was {was * 1.01:.6g}, is {was:.6g}" in err and err.count("\n") == 1
    code, out, _ = check(folder, data, capsys, "--write")
    assert code == 0 and "written anew; 1 of 3 runs drifted" in out
    assert read_golden("propagation", folder).runs[1].values["init_loss"] == pytest.approx(was, rel=1e-4)
    code, _, err = check(folder, data, capsys, "--write", "--arms", "beyond_batchnorm/signal_bach_norm")
    assert code == 1 and "is no arm of propagation at the tiny tier; did you mean 'beyond_batchnorm/signal_batch_norm'?" in err


def test_a_broken_file_is_named(tmp_path):
    (tmp_path / "wmt.json").write_text("{")
    with mistake(tmp_path / "wmt.json", "broken", "git"):
        read_golden("wmt", tmp_path)
    (tmp_path / "wmt.json").write_text(WAS.model_dump_json())
    with mistake(tmp_path / "wmt.json", "'imagenet'"):
        read_golden("wmt", tmp_path)
