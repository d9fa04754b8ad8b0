"""What a paper shows of its arms: tables, and figures of them. Torch-free."""

from collections.abc import Collection, Iterable, Mapping
from functools import cache
from typing import Any, Literal

from pydantic import Field, field_validator

from normbench.config.fidelity import Tier
from normbench.config.tasks import read_task, task_names
from normbench.core.errors import InputError, unknown
from normbench.core.schema import Strict

ALONG = ("k", "model.blocks", "model.width", "batch_size", "pixels", "params.group_size")
Theory = Literal["2^k", "k", "constant", "sqrt(k)", "sqrt(width/group size)"]


class Column(Strict):
    title: str
    metric: str | None = None
    reported: dict[str, str] = {}


class Row(Strict):
    """arms: {column: arm}; reported: coordinates in papers/reported.csv, completed by the table's and the column's."""

    title: str
    arms: dict[str, str] = {}
    reported: dict[str, str] = {}


class Table(Strict):
    """One table of the paper. `guests`: the row whose arms a method that no paper names is put into."""

    id: str
    title: str
    start: Tier = Field("quick", alias="from")
    metric: str
    reported: dict[str, str] = {}
    columns: dict[str, Column]
    rows: dict[str, Row]
    guests: str | None = None
    note: str = ""

    def every_arm(self) -> list[str]:
        return [arm for row in self.rows.values() for arm in row.arms.values()]

    def guest_places(self) -> list[str]:
        """The arms that a guest's method is put into."""
        return [] if self.guests is None else list(self.rows[self.guests].arms.values())


class Panel(Strict):
    """Points of one panel. reported: coordinates of its published points; their methods are the arms', their metrics the axes'."""

    title: str
    arms: list[str]
    reported: dict[str, str] = {}


class Figure(Strict):
    """One figure of arms: lines over blocks or over a swept setting, or one metric against another.

    along: k (blocks; `quantities` are probes), a setting that every arm sweeps, or with `panels` the metric of the horizontal axis.
    arms: one panel each, or one panel a quantity where there is one arm. guests: the arm whose place a method that no paper names takes.
    theory: {quantity: what it should grow as}, the number of blocks being k.
    panels: of points. reported: coordinates of the published correlation, completed by the panel's.
    """

    id: str
    title: str
    start: Tier = Field("quick", alias="from")
    arms: list[str] = []
    guests: str | None = None
    along: str
    quantities: list[str] = Field(min_length=1)
    theory: dict[str, list[Theory]] = {}
    panels: list[Panel] = []
    reported: dict[str, str] = {}
    note: str = ""

    @field_validator("theory", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        """A word, or a list of them."""
        if not isinstance(value, dict):
            return value
        return {key: words if isinstance(words, list) else [words] for key, words in value.items()}

    def every_arm(self) -> list[str]:
        return [*self.arms, *(arm for panel in self.panels for arm in panel.arms)]

    def guest_places(self) -> list[str]:
        """The arm that a guest's method is put into."""
        return [] if self.guests is None else [self.guests]


def check_table(place: str, table: Table, arms: Mapping[str, Any]) -> None:
    """Every name in the table is one of its rows, its columns, the paper's arms or, for a metric, those of the arm's task."""
    if table.guests is not None and table.guests not in table.rows:
        raise unknown(f"{place}.guests", "row", table.guests, table.rows)
    shown: dict[tuple[str, str], list[str]] = {}
    for name, row in table.rows.items():
        for column, arm in row.arms.items():
            if column not in table.columns:
                raise unknown(f"{place}.rows.{name}", "column", column, table.columns)
            known_arm(f"{place}.rows.{name}", arm, arms)
            own = table.columns[column].metric
            shown.setdefault((f"{place}.columns.{column}.metric" if own else f"{place}.metric", own or table.metric), []).append(arm)
    for (where, metric), names in shown.items():
        known_metrics(where, [metric], names, arms)


def check_figure(place: str, figure: Figure, arms: Mapping[str, Any]) -> None:
    """Every name in the figure is known, and every arm sweeps what the figure runs along."""
    if bool(figure.arms) == bool(figure.panels):
        raise InputError(f"{place}: a figure has either arms or panels, and this one has {'both' if figure.arms else 'neither'}")
    for arm in figure.every_arm():
        known_arm(place, arm, arms)
    if figure.guests is not None and figure.guests not in figure.arms:
        raise unknown(f"{place}.guests", "arm of the figure", figure.guests, figure.arms)
    for quantity in figure.theory:
        if quantity not in figure.quantities:
            raise unknown(f"{place}.theory", "quantity of the figure", quantity, figure.quantities)
    if figure.panels and len(figure.quantities) > 1:
        raise InputError(f"{place}: panels of points have one quantity on their vertical axis, and here are {len(figure.quantities)}")
    if not figure.panels and figure.along not in ALONG:
        raise unknown(f"{place}.along", "setting that figures run along", figure.along, ALONG)
    if not figure.panels and figure.along != "k":
        for arm in figure.arms:
            if set(arms[arm].over) != {figure.along}:
                swept = " and ".join(arms[arm].over) or "nothing"
                raise InputError(f"{place}: the arm {arm!r} sweeps {swept}; a figure along {figure.along} needs arms that sweep just that")
    metrics = [] if figure.along == "k" else [*figure.quantities, *([figure.along] if figure.panels else [])]
    known_metrics(place, metrics, figure.every_arm(), arms)


def known_metrics(place: str, metrics: Iterable[str], names: Iterable[str], arms: Mapping[str, Any]) -> None:
    """Every metric is one of the task of each arm named. A task that is not here cannot be asked."""
    for task in sorted({arms[name].task for name in names}):
        known = _metrics_of(task)
        for metric in metrics if known is not None else ():
            if metric not in known:
                raise unknown(place, f"metric of the task {task}", metric, known)


@cache
def _metrics_of(task: str) -> Collection[str] | None:
    """The names of a task's metrics; None of a task that is not here."""
    return read_task(task).metrics if task in task_names() else None


def known_arm(place: str, arm: str, arms: Mapping[str, Any]) -> None:
    if arm not in arms:
        raise unknown(place, "arm", arm, arms)
