"""Lines over blocks or over a swept setting: a small panel for each arm with all others in grey behind it, theory as a dashed line."""

from collections.abc import Iterator

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator

from normbench.analysis.results import Measured
from normbench.config.exhibits import Figure
from normbench.config.papers import Paper, reached
from normbench.reporting.plots import marks
from normbench.reporting.plots.lines import Line, arm_titles, logarithmic, read_line, theory
from normbench.reporting.plots.style import MUTED, PAGE, RC, SIZE, VERMILLION, Drawn, Room, head_inches, heading, panels, wrapped

OTHER = {"color": "#c4c4c4", "lw": 0.8, "zorder": 1.5, "label": "the other methods"}
OWN = {"color": marks.BLUE, "lw": 1.8, "zorder": 3, "label": "mean over seeds"}
SEEDS = {"color": marks.BLUE, "lw": 0.6, "alpha": 0.45, "zorder": 2.8}
THEORY = {"color": VERMILLION, "lw": 1.1, "ls": (0, (4, 2)), "zorder": 2.5, "label": "theory"}
SAYS = (
    "Dots or thin lines are single seeds; bars are 95% intervals of the mean, left out where the axis is logarithmic. "
    "A cross marks where seeds diverged, and how many."
)
ABSOLUTE = "A dashed line is the named function itself: a method that follows it grows like it, and need not have its height."
BEHIND = {"facecolor": PAGE, "edgecolor": "none", "pad": 0.6, "alpha": 0.8}  # of words on lines
NAMED = {"sqrt(k)": "√k", "constant": "1", "sqrt(width/group size)": "√(width / group size)"}


def multiples_figures(paper: Paper, figure: Figure, measured: Measured) -> Iterator[Drawn]:
    """One figure a quantity, or of a single arm one figure with a panel for each quantity; nothing where nothing was measured."""
    if not reached(figure.start, measured.tier):
        return
    titles = arm_titles(paper, figure, measured)
    found = {}
    for quantity in figure.quantities:
        lines = {arm: read_line(paper, figure, arm, title, quantity, measured) for arm, title in titles.items()}
        found[quantity] = {arm: line for arm, line in lines.items() if line is not None}
    found = {quantity: lines for quantity, lines in found.items() if any(any(line.values) for line in lines.values())}
    if found and len(figure.every_arm()) == 1 and len(titles) == 1:
        yield _of_one_arm(paper, figure, found, measured)
        return
    for quantity, lines in found.items():
        yield _of_arms(figure, quantity, list(lines.values()), [title for arm, title in titles.items() if arm not in lines])


def _of_arms(figure: Figure, quantity: str, lines: list[Line], without: list[str]) -> Drawn:
    """All panels share their axes, so that heights compare across them."""
    with mpl.rc_context(RC):
        across = 6 if len(lines) > 12 else 4
        size = (1.36, 1.3) if across == 6 else (2.1, 1.35)
        names = ["\n".join(wrapped(line.title, size[0])) for line in lines]
        above = 0.17 * (1 + max(name.count("\n") for name in names))
        words = " ".join(marks.quantity_label(quantity, {}).split())
        title = f"{figure.title}: {words}"
        room = Room(0.85, 0.15, 0, 0.5, 0.16, 0.22 + above)
        total = room.left + room.right + across * size[0] + (across - 1) * room.across
        handles = _key(figure, quantity, lines)
        room = Room(0.85, 0.15, head_inches(title, total) + above + 0.05, 0.5, 0.16, 0.22 + above)
        drawn, axes = panels(-(-len(lines) // across), across, size, room, sharex=True, sharey=True)
        log, (low, high) = logarithmic(lines), _limits(lines)
        means = [np.column_stack(line.means(log)) for line in lines]
        for i, ax in enumerate(axes.flat):
            if i >= len(lines):
                ax.set_visible(False)
                continue
            # As one object: each alone, of all panels of all methods, took most of the drawing.
            behind = [mean for mean, line in zip(means, lines, strict=True) if line is not lines[i]]
            ax.add_collection(LineCollection(behind, colors=OTHER["color"], linewidths=OTHER["lw"], zorder=OTHER["zorder"]), autolim=False)
            _axes(ax, figure.along, log, lines, size[0])
            ax.set_ylim(low, high)
            _own(ax, lines[i], figure.along, log)
            for word in figure.theory.get(quantity, []):
                _theory(ax, word, lines[i], None)
            ax.set_title(names[i], loc="left")
            ax.tick_params(labelbottom=i + across >= len(lines), labelleft=i % across == 0)
        middle = room.bottom / drawn.get_figheight() / 2 + (1 - room.top / drawn.get_figheight()) / 2
        drawn.text(0.12 / drawn.get_figwidth(), middle, words, rotation=90, va="center", ha="left")
        drawn.text(0.5, 0.1 / drawn.get_figheight(), marks.place(figure.along), va="bottom", ha="center")
        heading(drawn, title, handles)
    return Drawn("figure", f"{figure.id}-{quantity}", title, _says(figure, log, [quantity], without), drawn)


def _of_one_arm(paper: Paper, figure: Figure, found: dict[str, dict[str, Line]], measured: Measured) -> Drawn:
    (arm,) = {arm for lines in found.values() for arm in lines}
    spec = measured.plan.arms[measured.plan.arms_at(paper.key, arm)[0]]
    with mpl.rc_context(RC):
        size, across = (2.4, 2.0), len(found)
        total = 0.95 + across * size[0] + (across - 1) * 0.85
        room = Room(0.8, 0.15, head_inches(figure.title, total) + 0.1, 0.5, 0.85)
        drawn, axes = panels(1, across, size, room)
        for ax, (quantity, lines) in zip(axes[0], found.items(), strict=True):
            line, log = lines[arm], logarithmic([lines[arm]])
            _axes(ax, figure.along, log, [line], size[0])
            curves = [theory(word, np.array(line.x), spec.model.get("width")) for word in figure.theory.get(quantity, [])]
            low, high = _limits([line, *(Line("", line.x, [[v] for v in curve]) for curve in curves)], log)
            ax.set_ylim(low, high)
            _own(ax, line, figure.along, log)
            for word in figure.theory.get(quantity, []):
                _theory(ax, word, line, spec.model.get("width"))
            ax.set_xlabel(marks.place(figure.along))
            ax.set_ylabel(marks.quantity_label(quantity, {}))
        handles = _key(figure, "", [line for lines in found.values() for line in lines.values()])
        heading(drawn, figure.title, [h for h in handles if h.get_label() != OTHER["label"]])
    log = any(logarithmic(list(lines.values())) for lines in found.values())
    return Drawn("figure", figure.id, figure.title, _says(figure, log, list(found), []), drawn)


def _own(ax: Axes, line: Line, along: str, log: bool) -> None:
    if along == "k":
        for row in zip(*line.values, strict=True) if len({len(v) for v in line.values}) == 1 and len(line.values[0]) > 1 else ():
            ax.plot(line.x, row, **SEEDS)
    else:
        # A mean of values decades apart is no middle of anything.
        ends = {} if log else {x: found for x, v in zip(line.x, line.values, strict=True) if (found := marks.interval(v))}
        if ends:
            x, heights = np.repeat(list(ends), 3), [(*np.clip(found, *ax.get_ylim()), np.nan) for found in ends.values()]
            ax.plot(x, np.ravel(heights), **marks.INTERVAL)
        ax.plot(np.repeat(line.x, [len(v) for v in line.values]), [one for v in line.values for one in v], **{**marks.SEED, "ms": 2.6})
    ax.plot(*line.means(log), **OWN, marker="" if along == "k" else "o", ms=4, mec=PAGE, mew=0.6)
    for x, lost in line.lost.items():
        ax.plot(x, 0.06, transform=ax.get_xaxis_transform(), **marks.DIVERGED)
        ax.annotate(
            str(lost), (x, 0.06), (0, 4), xycoords=ax.get_xaxis_transform(), textcoords="offset points", ha="center", va="bottom", size=8
        )
    if log and any(line.values) and not line.means(True)[0]:
        ax.text(
            0.5, 0.5, "zero at every place", transform=ax.transAxes, ha="center", va="center", color=MUTED, size=8, backgroundcolor=PAGE
        )


def _theory(ax: Axes, word: str, line: Line, width: float | None) -> None:
    """The dashed line, and its name where it ends or leaves the panel, on the side where the arm's own line is not."""
    space = np.geomspace if ax.get_xscale() == "log" else np.linspace
    x = space(min(line.x), max(line.x), 200)
    y = theory(word, x, width)
    low, high = ax.get_ylim()
    ax.plot(x, y, **THEORY)
    inside = np.flatnonzero((y >= low) & (y <= high))
    if not len(inside):
        return
    rising = y[-1] >= y[0]
    at = inside[-1] if rising else inside[len(inside) // 4]
    own = np.interp(x[at], *line.means()) if any(line.values) else low
    move, va = ((0, -5), "top") if own > y[at] else ((0, 4), "bottom")
    if rising and at < len(x) - 1:
        move, va = (-4, -1), "top"
    elif not rising:
        move = (4, 2)
    words = {"color": VERMILLION, "size": SIZE - 1, "bbox": BEHIND, "ha": "right" if rising else "left", "va": va}
    ax.annotate(NAMED.get(word, word), (x[at], y[at]), move, textcoords="offset points", **words)


def _axes(ax: Axes, along: str, log: bool, lines: list[Line], width: float) -> None:
    if log:
        ax.set_yscale("log")
    marks.plain_numbers(ax.yaxis, log, few=4)
    if log:
        means = [mean for line in lines for mean in line.means(True)[1]]
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 3) if max(means) < 1000 * min(means) else (1,), numticks=5))
    if along == "k":
        marks.plain_numbers(ax.xaxis, few=4, whole=True)
    else:
        ax.set_xscale("log")
        marks.swept_ticks(ax, sorted({x for line in lines for x in line.x}), width)


def _limits(lines: list[Line], log: bool | None = None) -> tuple[float, float]:
    """Room for every seed's value; theory may leave the panel where it is not among the lines."""
    log = logarithmic(lines) if log is None else log
    values = [v for line in lines for seeds in line.values for v in seeds if v > 0 or not log]
    low, high = min(values), max(values)
    if log:
        pad = (high / low) ** 0.06
        return low / pad, high * pad
    pad = 0.07 * ((high - low) or abs(high) or 1.0)
    return low - pad, high + pad


def _key(figure: Figure, quantity: str, lines: list[Line]) -> list[Line2D]:
    looks = [OWN, OTHER] + ([THEORY] if figure.theory.get(quantity) or (not quantity and figure.theory) else [])
    looks += [marks.DIVERGED] if any(line.lost for line in lines) else []
    return [Line2D([], [], **look) for look in looks]


def _says(figure: Figure, log: bool, quantities: list[str], without: list[str]) -> str:
    parts = [SAYS]
    if set(quantities) & set(figure.theory):
        parts.append(ABSOLUTE)
    if log:
        parts.append("A vertical axis whose values span decades is logarithmic.")
    if without:
        parts.append(f"Not run, or with nothing here to measure: {', '.join(without)}.")
    return " ".join([*parts, *([figure.note] if figure.note else [])])
