"""How the rows of a table trained: the loss and the task's metric over the steps, a small panel for each row and a line for each column."""

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from normbench.analysis.results import Measured, metric_of
from normbench.config.papers import Table
from normbench.config.tasks import read_task
from normbench.reporting.plots import marks
from normbench.reporting.plots.style import DASHES, LINES, MUTED, RC, Drawn, Room, head_inches, heading, panels, text_inches, wrapped
from normbench.reporting.table_layout import Shaped

ACROSS = 4
POINTS = 40  # at most: finer than a small panel shows
SIZE = (2.05, 1.35)
SAYS = "Thick lines are means over the seeds that finished, thin ones single seeds; long curves are averaged over stretches of their steps."
Curves = dict[str, pd.DataFrame]  # column title -> seeds down, steps across


def training_figure(shaped: Shaped, measured: Measured) -> Drawn | None:
    """The curves of all rows that trained; None where none did."""
    table = shaped.table
    wanted = _arms(table, shaped)
    by_metric = {metric: {row: _curves(arms, metric, measured) for row, arms in wanted.items()} for metric in _metrics(wanted, measured)}
    found = {metric: rows for metric, rows in by_metric.items() if _is_curve(rows)}
    if not found:
        return None
    lines = list(dict.fromkeys(name for arms in wanted.values() for name in arms))
    with mpl.rc_context(RC):
        names = [row for row in wanted if any(rows[row] for rows in found.values())]
        across = min(ACROSS, max(2, len(names)))
        down = -(-len(names) // across)
        total = 0.85 + across * SIZE[0] + (across - 1) * 0.25
        title = f"Training: {table.title}"
        above = max(len(wrapped(shaped.rows[name].title, SIZE[0])) for name in names)
        handles = [_handle(line, i) for i, line in enumerate(lines)] if len(lines) > 1 else []
        per_line = max(1, int((total - 0.2) / (0.75 + max(map(text_inches, lines)))))
        top = head_inches(title, total, -(-len(handles) // per_line)) + 0.16 * above + 0.15
        figure, axes = panels(down * len(found), across, SIZE, Room(0.7, 0.15, top, 0.5, 0.25, 0.52 + 0.17 * above))
        for block, (metric, rows) in zip(np.split(axes, len(found)), found.items(), strict=True):
            _fill(block, metric, names, rows, shaped, measured, lines)
        heading(figure, title, handles, per_line)
    return Drawn("training", table.id, title, SAYS, figure)


def _arms(table: Table, shaped: Shaped) -> dict[str, dict[str, str]]:
    """row -> column title -> arm id; columns that show the same runs (by another metric) are one line."""
    rows: dict[str, dict[str, str]] = {}
    for (row, column), cell in shaped.cells.items():
        if cell.arm and cell.arm not in rows.setdefault(row, {}).values():
            rows[row][table.columns[column].title] = cell.arm
    return rows


def _metrics(wanted: dict[str, dict[str, str]], measured: Measured) -> tuple[str, ...]:
    """The training loss, where the tasks of the table's arms measure it, and what they are about."""
    tasks = [read_task(task) for task in sorted({measured.status(arm)[0].task for arms in wanted.values() for arm in arms.values()})]
    loss = ("train_loss",) if all("train_loss" in task.metrics for task in tasks) else ()
    return (*loss, *(task.headline for task in tasks))


def _curves(arms: dict[str, str], metric: str, measured: Measured) -> Curves:
    found = {}
    for title, arm in arms.items():
        finished = [run.run for run in measured.status(arm) if run.status == "finished"]
        seeds = [s for run in finished if (s := measured.curve(run, metric)) is not None]
        if seeds:
            found[title] = thinned(pd.DataFrame(seeds).reset_index(drop=True))
    return found


def thinned(curves: pd.DataFrame) -> pd.DataFrame:
    """At most POINTS steps: each the mean over a stretch, at its middle step."""
    steps = curves.columns.to_numpy(dtype=float)
    if len(steps) <= POINTS:
        return curves
    stretch = np.arange(len(steps)) * POINTS // len(steps)
    middles = pd.Series(steps).groupby(stretch).mean()
    return curves.T.groupby(stretch).mean().set_axis(middles.to_numpy()).T


def _is_curve(rows: dict[str, Curves]) -> bool:
    """Whether there is more than one step to see: a single evaluation at the end stands in the table."""
    return any(one.shape[1] > 1 for curves in rows.values() for one in curves.values())


def _fill(
    axes: np.ndarray, metric: str, names: list[str], rows: dict[str, Curves], shaped: Shaped, measured: Measured, lines: list
) -> None:
    arms = sorted({c.arm for c in shaped.cells.values() if c.arm})
    told = metric_of(measured.status(arms[0])[0].task, metric)
    everything = [v for curves in rows.values() for one in curves.values() for v in one.to_numpy().ravel()]
    low, high = marks.view(everything, told)
    log = metric.endswith("loss") and min(everything) > 0 and max(everything) / min(everything) > 30
    last = max((one.columns.max() for curves in rows.values() for one in curves.values()), default=1)
    for i, ax in enumerate(axes.flat):
        if i >= len(names):
            ax.set_visible(False)
            continue
        _panel(ax, rows[names[i]], lines)
        ax.set_title("\n".join(wrapped(shaped.rows[names[i]].title, SIZE[0])), loc="left")
        ax.set_xlim(0, last * 1.02)
        if log:
            ax.set_yscale("log")
        ax.set_ylim(*((min(everything) * 0.8, max(everything) * 1.2) if log else (low, high)))
        marks.plain_numbers(ax.xaxis, few=4, whole=True)
        marks.plain_numbers(ax.yaxis, log, few=4)
        ax.tick_params(labelleft=i % axes.shape[1] == 0)
        if i % axes.shape[1] == 0:
            ax.set_ylabel(marks.named(metric, told.unit))
        if i + axes.shape[1] >= len(names):
            ax.set_xlabel("step")


def _panel(ax: Axes, curves: Curves, lines: list[str]) -> None:
    if not curves:
        ax.text(0.5, 0.5, "no seed finished", transform=ax.transAxes, ha="center", va="center", color=MUTED)
    for title, one in curves.items():
        look = _look(lines.index(title))
        marker = {"marker": "o", "ms": 3} if one.shape[1] < 3 else {}
        for _, seed in one.iterrows() if len(one) > 1 else ():
            ax.plot(one.columns, seed, color=look["color"], lw=0.5, alpha=0.4, **marker)
        ax.plot(one.columns, one.mean(), lw=1.6, **look, **marker)


def _look(i: int) -> dict:
    return {"color": LINES[i % len(LINES)], "ls": DASHES[i % len(DASHES)]}


def _handle(line: str, i: int) -> Line2D:
    return Line2D([], [], lw=1.8, label=line, **_look(i))
