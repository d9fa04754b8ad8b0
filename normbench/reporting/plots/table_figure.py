"""A table as a figure: its rows down, a panel for each column, every seed a dot beside mean, interval and published value."""

import math

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes

from normbench.analysis.results import Measured, metric_of
from normbench.config.papers import Table, reported_number
from normbench.config.tasks import Metric
from normbench.reporting.plots import marks
from normbench.reporting.plots.style import MUTED, RC, RULE, Drawn, Room, head_inches, heading, panels, text_inches, wrapped
from normbench.reporting.table_layout import Shaped
from normbench.reporting.tables import Cell

WIDTH = 10.0  # inches, at most
ROW = 0.36
SAYS = (
    "Intervals that leave a panel end in a triangle. Published values stand where they have the metric's unit; "
    "they were measured at the paper's own scale."
)


def table_figure(shaped: Shaped, measured: Measured) -> Drawn | None:
    """The figure of a table, None where nothing of it was measured."""
    table = shaped.table
    if not any(c.measured is not None or c.status == "diverged" for c in shaped.cells.values()):
        return None
    with mpl.rc_context(RC):
        titles = ["\n".join(wrapped(row.title, 2.6)) for row in shaped.rows.values()]
        left = 0.25 + max(map(text_inches, titles))
        columns = list(table.columns)
        width = min(4.2, (WIDTH - left - 0.2) / len(columns) - 0.22)
        total = left + 0.2 + len(columns) * (width + 0.22)
        above = max(len(wrapped(c.title, width)) for c in table.columns.values())
        key_rows = 2 if total < 7.5 else 1
        top = head_inches(table.title, total, key_rows) + 0.16 * above + 0.1
        size = (width, ROW * len(titles))
        figure, axes = panels(1, len(columns), size, Room(left, 0.2, top, 0.5, 0.22), sharey=True)
        views = _views(table, shaped, measured)
        for ax, column in zip(axes[0], columns, strict=True):
            _panel(ax, column, table, shaped, measured, views)
            ax.set_title("\n".join(wrapped(table.columns[column].title, width)), loc="left")
        axes[0, 0].set_yticks(range(len(titles)), titles)
        axes[0, 0].set_ylim(len(titles) - 0.5, -0.5)
        handles = marks.key(axes.flat)
        heading(figure, table.title, handles, math.ceil(len(handles) / key_rows))
    return Drawn("table", table.id, table.title, SAYS, figure)


def _panel(ax: Axes, column: str, table: Table, shaped: Shaped, measured: Measured, views: dict) -> None:
    metric = table.columns[column].metric or table.metric
    told, (low, high), any_lost, chance = views[metric]
    ax.set_xlim(low - 0.24 * (high - low) * any_lost, high)
    ax.grid(axis="y", visible=False)
    ax.tick_params(axis="y", length=0)
    marks.plain_numbers(ax.xaxis, few=4)
    marks.lost_strip(ax, low, vertical=False)
    if told is not None:
        ax.set_xlabel(marks.named(metric, told.unit))
    if chance is not None and low <= chance <= high:
        ax.axvline(chance, **marks.CHANCE)
    for y, row in enumerate(shaped.rows):
        ax.axhline(y + 0.5, color=RULE, lw=0.4)
        published = published_value(shaped, row, column, told)
        if published is not None:
            ax.plot(published, y - 0.16, **marks.PUBLISHED)
        _cell(ax, y, shaped.cells[row, column], metric, measured)


def _cell(ax: Axes, y: int, cell: Cell, metric: str, measured: Measured) -> None:
    if cell.status.startswith("not run"):
        word = "method refuses" if "refuses" in cell.status else "not run"
        ax.text(0.02, y, word, transform=ax.get_yaxis_transform(), color=MUTED, va="center", size=8)
    if not cell.arm:
        return
    values, seeds = measured.finished(cell.arm, metric), len(measured.status(cell.arm))
    if len(values) < seeds:
        side = ax.get_yaxis_transform()
        ax.plot(0.03, y, transform=side, clip_on=False, **marks.DIVERGED)
        ax.text(0.065, y, f"{seeds - len(values)} of {seeds}", transform=side, va="center", size=8)
    if values:
        _mean(ax, y, values)


def _mean(ax: Axes, y: float, values: list[float]) -> None:
    ax.plot(values, np.full(len(values), y + 0.2), **marks.SEED)
    ends, (low, high) = marks.interval(values), ax.get_xlim()
    if ends:
        ax.plot(np.clip(ends, low, high), [y, y], **marks.INTERVAL)
        for end, edge, marker in ((ends[0], low, "<"), (ends[1], high, ">")):
            if (end < low) if marker == "<" else (end > high):
                ax.plot(edge, y, marker=marker, ms=4.5, color=marks.BLUE, clip_on=False)
    ax.plot(np.mean(values), y, **marks.MEAN)


def published_value(shaped: Shaped, row: str, column: str, told: Metric | None) -> float | None:
    """The published number of a cell, where it is one and has the metric's unit and range."""
    table, title = shaped.table, shaped.rows[row]
    where = {**table.reported, **table.columns[column].reported, **title.reported}
    number = reported_number(shaped.paper, where, f"tables.{table.id}") if title.reported else None
    if number is None or told is None or number["unit"] != told.unit:
        return None
    try:
        value = float(number["value"])
    except ValueError:  # "not trainable"
        return None
    inside = (told.low is None or value >= told.low) and (told.high is None or value <= told.high)
    return value if inside else None


def _views(table: Table, shaped: Shaped, measured: Measured) -> dict:
    """metric -> (what it means, axis limits, whether seeds diverged, chance): the same for all columns of one metric."""
    places: dict[str, list[tuple[str, str]]] = {}
    for row, column in shaped.cells:
        places.setdefault(table.columns[column].metric or table.metric, []).append((row, column))
    return {metric: _view(metric, here, shaped, measured) for metric, here in places.items()}


def _view(metric: str, places: list[tuple[str, str]], shaped: Shaped, measured: Measured) -> tuple:
    cells = [shaped.cells[place] for place in places]
    arms = sorted({c.arm for c in cells if c.arm})
    if not arms:
        return None, (0.0, 1.0), False, None
    told = metric_of(measured.status(arms[0])[0].task, metric)
    values = [v for arm in arms for v in measured.finished(arm, metric)]
    published = [v for row, column in places if (v := published_value(shaped, row, column, told)) is not None]
    ends = [end for c in cells for end in (c.low, c.high) if end is not None]
    lost = any(len(measured.finished(arm, metric)) < len(measured.status(arm)) for arm in arms)
    return told, marks.view(values + published, told, ends), lost, marks.chance_of(measured, arms, metric)
