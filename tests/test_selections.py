"""Whatever papers=, tasks= and methods= select, and whatever came of the runs, the line reaches its report: on invented records."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
from records_on_disk import a_record, run_main

from normbench.analysis import ledger, prediction
from normbench.config.papers import paper_keys
from normbench.config.tasks import read_task, task_names
from normbench.core.files import write_json
from normbench.execution.collect import write_tables
from normbench.execution.columns import CURVES, PROBES, RUNS
from normbench.execution.records import Record
from normbench.execution.tables import read_table
from normbench.planning.make import Selection, make_plan
from normbench.planning.plan import Plan
from normbench.reporting import figures, report, tables

pytestmark = pytest.mark.slow

LOST = {"metrics": {}, "curves": {}, "probes": [], "step": 1}
EVERYTHING = [(paper, task) for paper in paper_keys() for task in task_names()]


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Path:
    """Stands for the page's plotting library, which is no table's."""
    path = tmp_path_factory.mktemp("page") / "library.txt"
    path.write_text("", encoding="ascii")
    return path


@pytest.fixture
def undrawn(monkeypatch):
    """Figures are made, and are not rendered: that takes most of the time and reads no table."""
    monkeypatch.setattr(figures, "save", lambda drawn, folder: None)
    monkeypatch.setattr(figures, "write_json", lambda path, entries: write_json(path, []))


def invented(plan: Plan, status: str) -> Iterator[Record]:
    """A record of every selected run, all of which ended alike."""
    for arm in plan.selected:
        spec = plan.arms[arm]
        task = read_task(spec.task)
        for seed in plan.seeds(arm):
            value = 0.5 + 0.1 * seed
            shown = {
                "metrics": dict.fromkeys(task.metrics, value),
                "curves": {name: [(1, value), (2, value / 2)] for name in ("train_loss", task.headline)},
                "probes": [{"layer": f"b{k}", "k": k, "depth": 3, "quantity": "variance", "value": value * k} for k in (1, 2, 3)],
            }
            yield a_record(seed, arm, spec=asdict(spec), status=status, **(shown if status == "finished" else LOST))


def reach_report(root: Path, selection: Selection, status: str, library: Path) -> str:
    """What every stage behind the trainings makes of such records; the page's text."""
    plan = make_plan("tiny", selection)
    root.mkdir()
    plan.only(set(plan.selected)).write(root)
    write_tables(list(invented(plan, status)), root, plan)
    assert run_main(ledger.main, root) == 0
    assert run_main(prediction.main, root, "--output", str(root / "prediction.csv")) == 0
    assert run_main(tables.main, root) == 0
    assert run_main(figures.main, root) == 0
    assert run_main(report.main, root, "--output", str(root / "report.html"), "--library", str(library)) == 0
    return (root / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(("paper", "task"), EVERYTHING, ids=["-".join(pair) for pair in EVERYTHING])
def test_every_paper_and_task_reaches_its_report(paper, task, tmp_path, library, undrawn):
    page = reach_report(tmp_path / "tiny", Selection((paper,), (task,)), "finished", library)
    assert "</html>" in page and paper in page


@pytest.mark.parametrize(
    "selection",
    [
        Selection(("rescalenet",), ("wmt",), ("layer_norm",)),
        Selection(("skipinit",), ("imagenet",), ("skipinit",)),
        Selection(("beyond_batchnorm",), (), ("group_norm",)),
        Selection((), ("propagation",), ("none",)),
    ],
    ids=str,
)
def test_methods_reach_their_report(selection, tmp_path, library, undrawn):
    reach_report(tmp_path / "tiny", selection, "finished", library)
    assert set(read_table(tmp_path / "tiny", RUNS)["method"]) <= set(selection.methods)


@pytest.mark.parametrize("status", ["diverged", "refused"])
@pytest.mark.parametrize("selection", [Selection(("skipinit",)), Selection(("rescalenet",), ("wmt", "coco"))], ids=str)
def test_runs_without_a_single_number_reach_their_report(selection, status, tmp_path, library, undrawn):
    reach_report(tmp_path / "tiny", selection, status, library)
    assert set(read_table(tmp_path / "tiny", RUNS)["status"]) == {status}
    assert read_table(tmp_path / "tiny", CURVES).is_empty() and read_table(tmp_path / "tiny", PROBES).is_empty()


def test_no_run_at_all_reaches_its_report(tmp_path, library):
    """With its figures rendered, too."""
    selection = Selection(("norm_matters",), ("wmt",), ("skipinit",))
    page = reach_report(tmp_path / "tiny", selection, "finished", library)
    assert read_table(tmp_path / "tiny", RUNS).is_empty()
    assert "not run" in page and (tmp_path / "tiny" / "figures" / "figures.json").is_file()
