"""Papers are files: <key>.yaml with arms, tables, figures, claims and questions, in papers/ or a folder elsewhere (search_paths).

papers/reported.csv has the published numbers, and <key>.reported.csv beside a paper's YAML more of that paper.
"""

from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from normbench.config.exhibits import Column as Column
from normbench.config.exhibits import Figure, Table, check_figure, check_table, known_arm
from normbench.config.exhibits import Row as Row
from normbench.config.fidelity import RANK as RANK
from normbench.config.fidelity import TIERS as TIERS
from normbench.config.fidelity import Tier
from normbench.config.fidelity import reached as reached
from normbench.config.reported import REPORTED, beside, reported_numbers
from normbench.config.reported import reported_number as reported_number
from normbench.config.search_paths import find, folders, readable
from normbench.config.tasks import TASKS, check_task, task_folder, task_names
from normbench.config.tier_settings import PaperTier
from normbench.core.errors import InputError, unknown
from normbench.core.schema import ROOT, Strict, read, shown

PAPERS = ROOT / "papers"
TESTS = Literal[
    "better",
    "not_worse",
    "within",
    "trainable",
    "untrainable",
    "constant",
    "growth",
    "monotone",
    "correlated",
    "equal",
    "reproduces",
    "figure",
]
Take = Literal["best", "best_lr", "stable_lr"]


class Arm(Strict):
    """One experiment at the paper's scale, but for its seeds. A tier maps it to what it affords.

    model: a name of the task's models, or {use: name, argument: value}. params: of the method.
    recipe: a name of the task's recipes. set: recipe fields that this arm changes.
    over: a sweep, {lr: [..], batch_size: [..]} or {params.group_size: [..]} or {model.depth: [..]}: one run for each combination.
    norms_from: the arm whose recorded weight norms this one uses (norm_control).
    note: what a reader of a table must know of this arm (another learning rate than its baseline's, say).
    """

    task: str = "imagenet"
    dataset: str
    model: str | dict[str, Any]
    method: str
    params: dict[str, Any] = {}
    recipe: str
    set: dict[str, Any] = {}
    over: dict[str, list[Any]] = {}
    norms_from: str | None = None
    note: str = ""


class Operand(Strict):
    """What a test compares: an arm, or from a sweep the point `at` and what to `take` over the rest of it.

    take: best (the runs at the swept value with the best mean), best_lr (each seed's best learning rate),
    stable_lr (each seed's largest learning rate that trains).
    """

    arm: str
    at: dict[str, Any] = {}
    take: Take | None = None


class Test(Strict):
    """One test out of the closed list, with its operands. A claim of several has to pass them all.

    value: for equal, a known number in the place of `b`. x, y: for correlated, two metrics of each of `arms`.

    control: for untrainable, an arm that has to train in the same budget for the failure to mean anything.
    """

    test: TESTS
    metric: str | None = None
    arm: str | Operand | None = None
    a: str | Operand | None = None
    b: str | Operand | None = None
    control: str | Operand | None = None
    arms: list[str | Operand] = []
    by: float | None = Field(None, ge=0)
    margin: float | None = Field(None, ge=0)
    ratio: float | None = Field(None, gt=1)
    exponent: float | None = None
    tolerance: float | None = Field(None, ge=0)
    form: Literal["power", "exponential"] = "power"
    direction: Literal["rising", "falling"] | None = None
    sign: Literal["positive", "negative"] | None = None
    at_least: float | None = None
    rtol: float | None = Field(None, ge=0)
    value: float | None = None
    quantity: str | None = None
    along: str | None = None
    x: str | None = None
    y: str | None = None
    reported: dict[str, str] | None = None
    paired: bool = False

    @model_validator(mode="after")
    def _operands(self) -> "Test":
        needs = {
            "better": ("a", "b"),
            "not_worse": ("a", "b", "margin"),
            "within": ("a", "b", "margin"),
            "trainable": ("arm", "margin"),
            "untrainable": ("arm", "margin", "control"),
            "constant": ("arm", "quantity", "ratio"),
            "growth": ("arm", "exponent", "tolerance") if self.form == "power" else ("arm",),
            "monotone": ("direction",),
            "reproduces": ("arm", "reported", "tolerance"),
            "correlated": ("x", "y", "sign", "arms"),
            "equal": ("a", "rtol", "quantity"),
            "figure": ("arms",),
        }[self.test]
        for key in needs:
            if getattr(self, key) in (None, []):
                raise ValueError(f"{self.test} needs {key!r}")
        if self.test == "equal" and (self.b is None) == (self.value is None):
            raise ValueError("equal needs exactly one of 'b' and 'value'")
        return self

    def operands(self) -> list[Operand]:
        """All arms that the test reads."""
        given = [self.arm, self.a, self.b, self.control, *self.arms]
        return [Operand(arm=o) if isinstance(o, str) else o for o in given if o is not None]


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
    """<key>.yaml. tiers: what a tier affords of the paper that its file does not know; workflows/tiers/<tier>.yaml wins."""

    key: str
    title: str
    venue: str
    arxiv: str | None = None
    reviews: str
    arms: dict[str, Arm] = {}
    tables: list[Table] = []
    figures: list[Figure] = []
    claims: list[Claim]
    tiers: dict[Tier, PaperTier] = {}

    @model_validator(mode="after")
    def _names(self) -> "Paper":
        file = paper_file(self.key)
        for tier, own in self.tiers.items():
            _check_tier(f"{file}: tiers.{tier}", own, self.arms)
        for claim in self.claims:
            for test in claim.tests:
                for operand in test.operands():
                    known_arm(f"{file}: claims.{claim.id}", operand.arm, self.arms)
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
    if beside(paper_path(key)).is_file():
        reported_numbers(key)
    return paper


def paper_inputs(keys: Iterable[str]) -> list[str]:
    """The files that tables and claims of these papers are made of: their YAML and the published numbers."""
    paths = [paper_path(key) for key in keys]
    return [str(path) for path in (REPORTED, *paths, *map(beside, paths)) if path.is_file()]


def claim_place(paper: Paper, claim: Claim) -> str:
    """Where a claim stands, for messages."""
    return f"{paper_file(paper.key)}: claims.{claim.id}"
