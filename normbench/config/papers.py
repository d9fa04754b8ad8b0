"""Papers are files: papers/<key>.yaml with arms, tables, figures, claims and questions; papers/reported.csv has the published numbers."""

import csv
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PrivateAttr, model_validator

from normbench.claims.kinds import Test
from normbench.config.exhibits import Column as Column
from normbench.config.exhibits import Figure, Table, check_figure, check_table, known_arm, known_metrics
from normbench.config.exhibits import Row as Row
from normbench.config.fidelity import RANK as RANK
from normbench.config.fidelity import TIERS as TIERS
from normbench.config.fidelity import Tier
from normbench.config.fidelity import reached as reached
from normbench.config.tasks import Task, read_task, task_names
from normbench.core.errors import InputError, unknown
from normbench.core.schema import ROOT, Strict, read

PAPERS = ROOT / "papers"


class Arm(Strict):
    """One experiment at the paper's scale, but for its seeds. A tier maps it to what it affords.

    task: the paper's where the arm has none of its own.
    model: a name of the paper's or the task's models, or {use: name, argument: value}. params: of the method.
    recipe: a name of the paper's or the task's recipes. set: recipe fields that this arm changes.
    over: a sweep, {lr: [..], batch_size: [..]} or {params.group_size: [..]} or {model.depth: [..]}: one run for each combination.
    norms_from: the arm whose recorded weight norms this one uses (norm_control).
    note: what a reader of a table must know of this arm (another learning rate than its baseline's, say).
    """

    task: str
    dataset: str
    model: str | dict[str, Any]
    method: str
    params: dict[str, Any] = {}
    recipe: str
    set: dict[str, Any] = {}
    over: dict[str, list[Any]] = {}
    norms_from: str | None = None
    note: str = ""


class Claim(Strict):
    """One entry of the ledger. `from` is the lowest tier that can afford it; `reason` says why the margin is what it is."""

    id: str
    kind: Literal["claim", "question"]
    measured: str
    task: str
    says: str
    source: str
    start: Tier = Field("quick", alias="from")
    metric: str | None = None
    tests: list[Test] = []
    reason: str = ""


class Paper(Strict):
    """papers/<key>.yaml. task: of the arms that name none. recipes, models: the paper's own, {task: {name: {...}}}, beside the task's."""

    key: str
    title: str
    venue: str
    arxiv: str | None = None
    reviews: str
    task: str | None = None
    recipes: dict[str, dict[str, dict[str, Any]]] = {}
    models: dict[str, dict[str, dict[str, Any]]] = {}
    arms: dict[str, Arm] = {}
    tables: list[Table] = []
    figures: list[Figure] = []
    claims: list[Claim]
    _folder: Path = PrivateAttr(PAPERS)

    @property
    def path(self) -> Path:
        """Its file."""
        return self._folder / f"{self.key}.yaml"

    @property
    def reported_path(self) -> Path:
        """The published numbers beside it."""
        return self._folder / "reported.csv"

    @model_validator(mode="before")
    @classmethod
    def _tasks(cls, data: Any) -> Any:
        """Every arm has a task, its own or the paper's."""
        if not isinstance(data, dict) or not isinstance(data.get("arms"), dict) or data.get("task") is None:
            return data
        return {**data, "arms": {k: {"task": data["task"], **a} if isinstance(a, dict) else a for k, a in data["arms"].items()}}

    @model_validator(mode="after")
    def _names(self) -> "Paper":
        file = f"papers/{self.key}.yaml"
        for part in ("recipes", "models"):
            _check_own(file, part, getattr(self, part), {arm.task for arm in self.arms.values()})
        for claim in self.claims:
            for n, test in enumerate(claim.tests):
                self._check_test(f"{file}: claims.{claim.id}.tests.{n}", test, claim.metric)
        for table in self.tables:
            check_table(f"{file}: tables.{table.id}", table, self.arms)
        for figure in self.figures:
            check_figure(f"{file}: figures.{figure.id}", figure, self.arms)
        for name, arm in self.arms.items():
            if arm.norms_from is not None:
                known_arm(f"{file}: arms.{name}.norms_from", arm.norms_from, self.arms)
        ids = [entry.id for entry in (*self.claims, *self.tables, *self.figures)]
        for id_ in ids:
            if ids.count(id_) > 1:
                raise InputError(f"{file}: the id {id_!r} stands twice")
        return self

    def _check_test(self, place: str, test: Test, claim_metric: str | None) -> None:
        """Every arm that the test names is the paper's, and every metric that it reads is one of its arms' tasks."""
        names = [operand.arm for operand in test.operands()]
        for name in names:
            known_arm(place, name, self.arms)
        metrics = test.metrics(claim_metric)
        if None in metrics:
            raise InputError(f"{place}: {test.test} needs the key 'metric', here or in the claim")
        known_metrics(place, metrics, names, self.arms)

    def task_of(self, arm: Arm) -> Task:
        """The arm's task with the paper's own recipes and models in it."""
        task = read_task(arm.task)
        own = {
            part: {**getattr(task, part), **getattr(self, part)[arm.task]}
            for part in ("recipes", "models")
            if arm.task in getattr(self, part)
        }
        return task.model_copy(update=own) if own else task


def _check_own(file: str, part: str, own: dict[str, dict[str, Any]], tasks: set[str]) -> None:
    """What a paper brings is of its arms' tasks, and has a name that the task has not. A task that is not here cannot be asked."""
    for task, named in own.items():
        if task not in tasks:
            raise unknown(f"{file}: {part}", "task of the paper's arms", task, tasks)
        theirs = getattr(read_task(task), part) if task in task_names() else {}
        for name in named:
            if name in theirs:
                raise InputError(
                    f"{file}: {part}.{task}: {name!r} stands in tasks/{task}/task.yaml: {part} too; give the paper's another name"
                )


@cache
def paper_keys(folder: Path = PAPERS) -> list[str]:
    """The papers that exist."""
    return sorted(p.stem for p in folder.glob("*.yaml"))


@cache
def read_paper(key: str, folder: Path = PAPERS) -> Paper:
    """papers/<key>.yaml, checked; every name in it resolves."""
    if key not in paper_keys(folder):
        raise unknown("papers/", "paper", key, paper_keys(folder))
    paper = read(Paper, folder / f"{key}.yaml")
    if paper.key != key:
        raise InputError(f"papers/{key}.yaml: key is {paper.key!r}; it must be the file's name, {key!r}")
    paper._folder = folder
    return paper


@cache
def reported_numbers(folder: Path = PAPERS) -> dict[tuple[str, str, str, str, str], dict[str, str]]:
    """papers/reported.csv by (paper, table, setting, method, metric)."""
    with open(folder / "reported.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {(r["paper"], r["table"], r["setting"], r["method"], r["metric"]): r for r in rows}


def reported_number(paper: Paper, where: dict[str, str], place: str) -> dict[str, str] | None:
    """The published number at the coordinates `where`, None where they are incomplete; a wrong coordinate is an InputError."""
    parts = ("table", "setting", "method", "metric")
    if not all(where.get(p) for p in parts):
        return None
    source = where.get("paper", paper.key)
    key = (source, *(where[p] for p in parts))
    numbers = reported_numbers(paper.reported_path.parent)
    if key not in numbers:
        raise unknown(
            f"{place}: reported", "number of papers/reported.csv", " / ".join(key), [" / ".join(k) for k in numbers if k[0] == source]
        )
    return numbers[key]


def claim_place(paper: Paper, claim: Claim) -> str:
    """Where a claim stands, for messages."""
    return f"papers/{paper.key}.yaml: claims.{claim.id}"
