"""A sweep as a figure: the metric over the swept setting, a panel for each value of the other one."""

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.transforms import offset_copy

from normbench.analysis.results import Measured, NotRun, label_of, metric_of
from normbench.config.papers import Paper
from normbench.config.tasks import read_task
from normbench.reporting.plots import marks
from normbench.reporting.plots.style import RC, Drawn, Room, head_inches, heading, panels

LOGARITHMIC = ("lr", "batch_size")
SAYS = "A cross at the bottom marks a point where seeds diverged, and how many of them; the mean is over the others."
Points = list[tuple[float, str]]  # swept value, arm id


def sweep_figure(paper: Paper, arm: str, measured: Measured) -> Drawn | None:
    """The figure of a swept arm; None where it has one point only or was not trained."""
    points = measured.plan.points.get((paper.key, arm), [])
    swept = [key for key in (points[0][0] if points else {}) if len({p[key] for p, _ in points}) > 1]
    if not swept:
        return None
    try:
        for _, arm_id in points:
            measured.status(arm_id)
    except NotRun:
        return None
    along = "lr" if "lr" in swept else swept[0]
    grouped: dict[str, Points] = {}
    for point, arm_id in sorted(points, key=lambda p: [float(p[0][key]) for key in [*(k for k in swept if k != along), along]]):
        others = ", ".join(f"{marks.place(key).partition(' (')[0]} {point[key]:g}" for key in swept if key != along)
        grouped.setdefault(others, []).append((float(point[along]), arm_id))
    return _drawn(paper, arm, along, grouped, measured)


def _drawn(paper: Paper, arm: str, along: str, grouped: dict[str, Points], measured: Measured) -> Drawn:
    metric = _metric(paper, arm)
    with mpl.rc_context(RC):
        columns = min(3, len(grouped))
        rows = -(-len(grouped) // columns)
        size = (5.0, 2.6) if columns == 1 else (2.75, 1.9)
        total = 0.85 + columns * size[0] + (columns - 1) * 0.25
        title = f"{label_of(paper, arm)}: {metric.replace('_', ' ')} by {marks.place(along).partition(' (')[0]}"
        key_rows = 2 if columns == 1 else 1
        top = head_inches(title, total, key_rows) + 0.3
        figure, axes = panels(rows, columns, size, Room(0.7, 0.15, top, 0.5, 0.25, 0.45), sharex=True, sharey=True)
        for ax in axes.flat[len(grouped) :]:
            ax.set_visible(False)
        _fill(axes, along, metric, grouped, measured, size[0])
        handles = marks.key(axes.flat)
        heading(figure, title, handles, -(-len(handles) // key_rows))
    return Drawn("sweep", arm, title, SAYS, figure)


def _fill(axes: np.ndarray, along: str, metric: str, grouped: dict[str, Points], measured: Measured, width: float) -> None:
    arms = [arm for points in grouped.values() for _, arm in points]
    told = metric_of(measured.status(arms[0])[0].task, metric)
    values = {arm: measured.finished(arm, metric) for arm in arms}
    ends = [end for v in values.values() for end in marks.interval(v) or ()]
    low, high = marks.view([v for vs in values.values() for v in vs], told, ends)
    lost = any(len(values[arm]) < len(measured.status(arm)) for arm in arms)
    chance = marks.chance_of(measured, arms, metric)
    ticks = sorted({x for points in grouped.values() for x, _ in points})
    for i, (ax, (others, points)) in enumerate(zip(axes.flat, grouped.items(), strict=False)):
        ax.set_ylim(low - 0.22 * (high - low) * lost, high)
        ax.set_title(others, loc="left")
        if chance is not None and low <= chance <= high:
            ax.axhline(chance, **marks.CHANCE)
        _points(ax, points, values, measured, low)
        if along in LOGARITHMIC:
            ax.set_xscale("log")
        marks.plain_numbers(ax.yaxis)
        marks.lost_strip(ax, low, vertical=True)
        marks.swept_ticks(ax, ticks, width)
        if i + axes.shape[1] >= len(grouped):
            ax.set_xlabel(marks.place(along))
            ax.tick_params(labelbottom=True)
        if i % axes.shape[1] == 0:
            ax.set_ylabel(marks.named(metric, told.unit))


def _points(ax: Axes, points: Points, values: dict[str, list[float]], measured: Measured, low: float) -> None:
    beside = offset_copy(ax.transData, ax.figure, x=4, units="points")
    ended = [(x, values[arm]) for x, arm in points if values[arm]]
    ax.plot([x for x, _ in ended], [np.mean(v) for _, v in ended], color=marks.BLUE, lw=1, alpha=0.6)
    for x, v in ended:
        ends = marks.interval(v)
        if ends:
            ax.plot([x, x], np.clip(ends, low, ax.get_ylim()[1]), **marks.INTERVAL)
        ax.plot([x] * len(v), v, transform=beside, **marks.SEED)
        ax.plot(x, np.mean(v), **marks.MEAN)
    for x, arm in points:
        lost = len(measured.status(arm)) - len(values[arm])
        if lost:
            ax.plot(x, 0.05, transform=ax.get_xaxis_transform(), **marks.DIVERGED)
            above = {"xycoords": ax.get_xaxis_transform(), "textcoords": "offset points", "ha": "center", "va": "bottom", "size": 8}
            ax.annotate(str(lost), (x, 0.05), (0, 4), **above)


def _metric(paper: Paper, arm: str) -> str:
    """What the table with this arm shows, or the task's first number."""
    for table in paper.tables:
        for row in table.rows.values():
            for column, name in row.arms.items():
                if name == arm:
                    return table.columns[column].metric or table.metric
    return read_task(paper.arms[arm].task).headline
