"""Papers are files: <key>.yaml with arms, tables, figures, claims and questions, in papers/ or a folder elsewhere (search_paths).

papers/reported.csv has the published numbers, and <key>.reported.csv beside a paper's YAML more of that paper.
"""

from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase
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
from normbench.config.reported import Numbers, beside, numbers_of, read_numbers
from normbench.config.search_paths import find, folders, readable
from normbench.config.tasks import TASKS, Task, check_task, read_task, task_file, task_folder, task_names
from normbench.config.tier_settings import PaperTier
from normbench.core.errors import InputError, unknown
from normbench.core.schema import ROOT, Strict, read, shown

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
    """<key>.yaml. task: of the arms that name none. recipes, models: the paper's own, {task: {name: {...}}}, beside the task's.

    tiers: what a tier affords of the paper that its file does not know; workflows/tiers/<tier>.yaml wins.
    """

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
    tiers: dict[Tier, PaperTier] = {}
    _path: Path | None = PrivateAttr(None)

    @property
    def path(self) -> Path:
        """Its file."""
        return self._path or paper_path(self.key)

    def numbers(self) -> Numbers:
        """The published numbers by their coordinates: those of papers/reported.csv, or of its copy beside the paper's, and its own."""
        return read_numbers(self.path)

    def inputs(self) -> list[Path]:
        """The files that its tables and claims are made of: its own, and the published numbers."""
        return [self.path, *numbers_of(self.path)]

    @model_validator(mode="before")
    @classmethod
    def _tasks(cls, data: Any) -> Any:
        """Every arm has a task, its own or the paper's."""
        if not isinstance(data, dict) or not isinstance(data.get("arms"), dict) or data.get("task") is None:
            return data
        return {**data, "arms": {k: {"task": data["task"], **a} if isinstance(a, dict) else a for k, a in data["arms"].items()}}

    @model_validator(mode="after")
    def _names(self) -> "Paper":
        file = paper_file(self.key)
        for tier, own in self.tiers.items():
            _check_tier(f"{file}: tiers.{tier}", own, self.arms)
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
                raise InputError(f"{file}: {part}.{task}: {name!r} stands in {task_file(task)}: {part} too; give the paper's another name")


def _check_tier(place: str, own: PaperTier, arms: dict[str, Arm]) -> None:
    """A pattern matches an arm of the paper, and a task is one of theirs."""
    for pattern in own.arms:
        if not any(fnmatchcase(name, pattern) for name in arms):
            raise unknown(f"{place}.arms", "arm", pattern, arms)
    tasks = {arm.task for arm in arms.values()}
    for task in own.tasks:
        if task not in tasks:
            raise unknown(f"{place}.tasks", "task of the paper's arms", task, tasks)


def paper_keys(places: Iterable[Path] | None = None) -> list[str]:
    """The papers that exist, in `places` or everywhere."""
    return sorted({path.stem for place in places or folders("papers") for path in place.glob("*.yaml")})


def paper_path(key: str, folder: Path | None = None) -> Path:
    """A paper's YAML; folder: the only one to look in. InputError where there is none, or several."""
    places = folders("papers") if folder is None else (folder,)
    return find("paper", key, [place / f"{key}.yaml" for place in places], places, lambda: paper_keys(places))


def paper_file(key: str) -> str:
    """A paper's YAML, as messages name it."""
    files = [place / f"{key}.yaml" for place in folders("papers")]
    return shown(next((file for file in files if file.is_file()), files[0]))


def read_paper(key: str, folder: Path | None = None) -> Paper:
    """A paper's YAML, checked; every name in it resolves. folder: the only one to look in."""
    return _read_paper(paper_path(key, folder))


@cache
def _read_paper(path: Path) -> Paper:
    paper = read(Paper, path)
    if paper.key != path.stem:
        raise InputError(f"{shown(path)}: key is {paper.key!r}; it must be the file's name, {path.stem!r}")
    paper._path = path
    return paper


def every_paper(asked: Collection[str] = ()) -> dict[str, Paper]:
    """All papers. Of those outside the suite's own folder one that is broken, or whose task is, is left out unless it was asked for."""
    keys = paper_keys()
    sure = {key for key in keys if key in asked or (PAPERS / f"{key}.yaml").is_file()}
    found = {key: _usable(key) for key in sure} | readable((key for key in keys if key not in sure), _usable)
    return {key: found[key] for key in keys if key in found}


def _usable(key: str) -> Paper:
    paper, here = read_paper(key), task_names()
    for task in sorted({arm.task for arm in paper.arms.values()}):
        if task in here and task_folder(task).parent != TASKS:  # ours are looked at when they are loaded, before anything trains
            check_task(task)
    if beside(paper.path).is_file():
        paper.numbers()
    return paper


def reported_number(paper: Paper, where: dict[str, str], place: str) -> dict[str, str] | None:
    """The published number at the coordinates `where`, None where they are incomplete; a wrong coordinate is an InputError."""
    parts = ("table", "setting", "method", "metric")
    if not all(where.get(part) for part in parts):
        return None
    source = where.get("paper", paper.key)
    key = (source, *(where[part] for part in parts))
    numbers = paper.numbers()
    if source != paper.key and source in paper_keys():  # another paper's own file may have it
        numbers = {**read_numbers(paper_path(source)), **numbers}
    if key not in numbers:
        raise unknown(
            f"{place}: reported", "number of papers/reported.csv", " / ".join(key), [" / ".join(k) for k in numbers if k[0] == source]
        )
    return numbers[key]


def claim_place(paper: Paper, claim: Claim) -> str:
    """Where a claim stands, for messages."""
    return f"{paper_file(paper.key)}: claims.{claim.id}"
