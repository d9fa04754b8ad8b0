"""One metric against another, an arm a point: measured and published side by side, each point labeled where it lies."""

from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from normbench.analysis.results import Measured, NotRun
from normbench.claims.stats import pearson
from normbench.config.exhibits import Figure, Panel
from normbench.config.papers import Paper, paper_file, reached, reported_number
from normbench.config.tiers import GUEST
from normbench.reporting.plots import marks
from normbench.reporting.plots.lines import guests
from normbench.reporting.plots.style import INK, MUTED, PAGE, RC, SIZE, Drawn, Room, head_inches, heading, panels, text_inches, wrapped

OURS = {"marker": "o", "ms": 6, "mfc": marks.BLUE, "mec": PAGE, "mew": 0.8, "ls": "none", "label": "measured here, mean over seeds"}
SPAN = (7.6, 2.9)  # inches of a panel: wide, for labels are
SMALL = SIZE - 1
SAYS = (
    "Correlations are Pearson's over the paper's own layers; methods that no paper names are points, but not in them. "
    "Published points were read off the paper's figure, at its own scale."
)


@dataclass(frozen=True)
class Point:
    label: str
    x: float
    y: float
    published: bool = False
    guest: bool = False


def scatter_figure(paper: Paper, figure: Figure, measured: Measured) -> Drawn | None:
    """A panel below the other for each of the figure's; None where no arm was measured."""
    points = {panel.title: _points(paper, figure, panel, measured) for panel in figure.panels}
    if not reached(figure.start, measured.tier) or all(p.published for found in points.values() for p in found):
        return None
    with mpl.rc_context(RC):
        room = Room(0.75, 0.2, head_inches(figure.title, SPAN[0] + 0.95) + 0.3, 0.55, 0.25, 0.5)
        drawn, axes = panels(len(figure.panels), 1, SPAN, room, sharex=True)
        for ax, panel in zip(axes[:, 0], figure.panels, strict=True):
            _panel(ax, points[panel.title], [p.x for found in points.values() for p in found])
            ax.set_title(_title(paper, figure, panel, points[panel.title]), loc="left")
            ax.set_ylabel("\n".join(wrapped(marks.quantity_label(figure.quantities[0], {}), SPAN[1])))
            ax.tick_params(labelbottom=True)
        axes[-1, 0].set_xlabel(" ".join(marks.quantity_label(figure.along, {}).split()))
        heading(drawn, figure.title, [Line2D([], [], **look) for look in (OURS, marks.PUBLISHED)])
    return Drawn("figure", figure.id, figure.title, f"{SAYS} {figure.note}".strip(), drawn)


def _points(paper: Paper, figure: Figure, panel: Panel, measured: Measured) -> list[Point]:
    """Measured ones, guests' among them, and the published ones of the same methods."""
    present = {paper.arms[arm].method for arm in panel.arms}
    planned = [name for arm in panel.arms for name in guests(paper, arm, measured)]
    names = [*panel.arms, *(name for name in planned if name.partition(GUEST)[2] not in present)]
    titles = {key: row.title for table in reversed(paper.tables) for key, row in table.rows.items()}
    found = []
    for name in names:
        arm, _, guest = name.partition(GUEST)
        method = guest or paper.arms[arm].method
        label = titles.get(method, method.replace("_", " "))
        try:
            x, y = (measured.of(paper, name, metric).mean for metric in (figure.along, figure.quantities[0]))
            found.append(Point(label, x, y, guest=bool(guest)))
        except NotRun:
            pass
        where = [{**panel.reported, "method": method, "metric": metric} for metric in (figure.along, figure.quantities[0])]
        place = f"{paper_file(paper.key)}: figures.{figure.id}"
        pair = [] if guest else [reported_number(paper, coordinates, place) for coordinates in where]
        if pair and all(pair):
            found.append(Point(label, float(pair[0]["value"]), float(pair[1]["value"]), published=True))
    return found


def _title(paper: Paper, figure: Figure, panel: Panel, points: list[Point]) -> str:
    ours = [(p.x, p.y) for p in points if not (p.published or p.guest)]
    number = reported_number(paper, {**figure.reported, **panel.reported}, f"{paper_file(paper.key)}: figures.{figure.id}")
    parts = [f"correlation {pearson(*zip(*ours, strict=True)).r:+.2f} over {len(ours)} layers"] if len(ours) > 2 else []
    parts += [f"published {float(number['value']):+.2f}"] if number else []
    return f"{panel.title}: {', '.join(parts)}" if parts else panel.title


def _panel(ax: Axes, points: list[Point], across: list[float]) -> None:
    """across: what the horizontal axes of all panels hold."""
    if not points:
        ax.text(0.5, 0.5, "not run at this tier", transform=ax.transAxes, ha="center", va="center", color=MUTED)
        return
    for values, setter in ((across, ax.set_xlim), ([p.y for p in points], ax.set_ylim)):
        low, high = min(values), max(values)
        pad = 0.1 * ((high - low) or 1.0)
        setter(low - pad, high + pad)
    for published, look in ((True, marks.PUBLISHED), (False, OURS)):
        for p in (p for p in points if p.published == published):
            ax.plot(p.x, p.y, **look)
    marks.plain_numbers(ax.xaxis)
    marks.plain_numbers(ax.yaxis)
    _label(ax, points)


def _label(ax: Axes, points: list[Point]) -> None:
    """Each label at the free place nearest to its point, tied to it by a thin line where that is not beside it."""
    wide, tall = SPAN
    (x0, x1), (y0, y1) = ax.get_xlim(), ax.get_ylim()
    centers = np.array([((p.x - x0) / (x1 - x0) * wide, (p.y - y0) / (y1 - y0) * tall) for p in points])
    taken = [(x - 0.06, y - 0.06, x + 0.06, y + 0.06) for x, y in centers]
    for i in sorted(range(len(points)), key=lambda i: (points[i].published, centers[i][0], centers[i][1])):
        size = (text_inches(points[i].label, SMALL), 0.13)
        box = _place(centers[i], size, taken, (wide, tall))
        taken.append(box)
        middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
        near = (np.clip(centers[i][0], box[0], box[2]), np.clip(centers[i][1], box[1], box[3]))
        if np.hypot(*(near - centers[i])) > 0.1:
            ax.plot(
                *zip(near / np.array(SPAN), centers[i] / np.array(SPAN), strict=True), transform=ax.transAxes, color=MUTED, lw=0.5, zorder=1
            )
        color = MUTED if points[i].published else INK
        ax.text(
            middle[0] / wide, middle[1] / tall, points[i].label, transform=ax.transAxes, ha="center", va="center", size=SMALL, color=color
        )


def _place(
    center: np.ndarray, size: tuple[float, float], taken: list[tuple], span: tuple[float, float]
) -> tuple[float, float, float, float]:
    """The box of `size` nearest to the point that touches nothing; beside the point where all of them do."""
    boxes = []
    for far in (0.09, 0.16, 0.28, 0.42, 0.58, 0.75):
        for angle in np.arange(16) * np.pi / 8:
            dx, dy = far * np.cos(angle), far * np.sin(angle)
            left = center[0] + dx - (0 if dx > 0.01 else size[0] if dx < -0.01 else size[0] / 2)
            bottom = center[1] + dy - size[1] / 2
            boxes.append((left, bottom, left + size[0], bottom + size[1]))
    inside = [b for b in boxes if b[0] >= 0 and b[1] >= 0 and b[2] <= span[0] and b[3] <= span[1]] or boxes
    return next((b for b in inside if not any(_touch(b, t) for t in taken)), inside[0])


def _touch(a: tuple, b: tuple) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
