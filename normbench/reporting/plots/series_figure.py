"""What a claim's tests read as lines: a quantity over blocks, steps or a swept setting, each line labeled where it ends."""

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes

from normbench.analysis.claim_reader import ClaimReader
from normbench.analysis.results import Measured
from normbench.claims.kinds.kind import Line
from normbench.claims.operands import NotRun
from normbench.claims.outcomes import Series
from normbench.config.papers import Claim, Paper
from normbench.config.tasks import read_task
from normbench.reporting.plots import marks
from normbench.reporting.plots.style import (
    DASHES,
    LINES,
    MUTED,
    RC,
    SIZE,
    Drawn,
    Room,
    head_inches,
    heading,
    panels,
    spread,
    text_inches,
    wrapped,
)

TAKEN = {"best_lr": "best learning rate\nof each seed", "stable_lr": "largest stable\nlearning rate of each seed"}
SPAN = (5.4, 3.0)  # inches of the one panel
SAYS = "Thick lines are means over seeds, thin ones single seeds."


def claim_figures(paper: Paper, claim: Claim, measured: Measured) -> list[Drawn]:
    """A figure for each quantity that the claim's tests read along something; an arm that has nothing to show is left out."""
    wanted: dict[tuple[str, str], list[Line]] = {}
    for line in (line for test in claim.tests for line in test.lines(claim.metric)):
        wanted.setdefault((line.name, line.along), []).append(line)
    drawn = []
    for (quantity, along), lines in wanted.items():
        found = _found(lines, ClaimReader(paper, claim, measured))
        if found:
            name = claim.id if len(wanted) == 1 else f"{claim.id}-{quantity}"
            drawn.append(Drawn("claim", name, *_lines(claim, quantity, along, found)))
    return drawn


def _found(lines: list[Line], reader: ClaimReader) -> list[Series]:
    found: dict[str, Series] = {}
    for line in lines:
        try:
            one = line.read(reader)
        except NotRun:
            continue
        found.setdefault(one.label, one)
    return list(found.values())


def _lines(claim: Claim, quantity: str, along: str, found: list[Series]) -> tuple:
    with mpl.rc_context(RC):
        labels = ["\n".join([*wrapped(one.label, 2.0), f"n {one.n}"]) for one in found]
        right = 0.5 + max(map(text_inches, labels))
        total = 0.95 + SPAN[0] + right
        words = TAKEN.get(quantity) or marks.quantity_label(quantity, read_task(claim.task).metrics)
        title = f"{claim.id}: {' '.join(words.split())} by {marks.place(along).partition(' (')[0]}"
        figure, axes = panels(1, 1, SPAN, Room(0.95, right, head_inches(title, total, 0) + 0.1, 0.55))
        ax = axes[0, 0]
        for i, one in enumerate(found):
            _line(ax, one, LINES[i % len(LINES)], DASHES[(i // len(LINES) + i) % len(DASHES)])
        ax.set_xlabel(marks.place(along))
        ax.set_ylabel(words)
        says = SAYS + _scales(ax, along, found)
        _label_ends(ax, found, labels)
        heading(figure, title, [])
    return title, says, figure


def _line(ax: Axes, one: Series, color: str, dash) -> None:
    marker = {"marker": "o", "ms": 3.5} if len(one.x) < 3 else {}
    for row in one.values if one.n > 1 else ():
        ax.plot(one.x, row, color=color, lw=0.7, alpha=0.45)
    ax.plot(one.x, np.mean(one.values, axis=0), color=color, lw=2, ls=dash, **marker)


def _scales(ax: Axes, along: str, found: list[Series]) -> str:
    """Logarithmic axes where values lie decades apart; says so."""
    values = np.concatenate([np.ravel(one.values) for one in found])
    log = bool(values.min() > 0 and values.max() / values.min() > 30)
    if log:
        ax.set_yscale("log")
    marks.plain_numbers(ax.yaxis, log)
    if along in ("lr", "batch_size"):
        ax.set_xscale("log")
        marks.swept_ticks(ax, sorted({x for one in found for x in one.x}), SPAN[0])
    else:
        marks.plain_numbers(ax.xaxis, few=8, whole=along in ("k", "step"))
    return " The vertical axis is logarithmic." if log else ""


def _label_ends(ax: Axes, found: list[Series], labels: list[str]) -> None:
    """Each label beside its line's end, moved apart where lines end together, and tied to it by a thin line."""
    ax.figure.canvas.draw()  # limits are final only now
    ends = [(max(one.x), float(np.mean(one.values, axis=0)[-1])) for one in found]
    at = [ax.transAxes.inverted().transform(ax.transData.transform(end)) for end in ends]
    tall = max(label.count("\n") + 1 for label in labels) * SIZE * 1.25 / 72 / SPAN[1]
    for i, (place, (x, y)) in enumerate(zip(spread(np.array([y for _, y in at]), tall), at, strict=True)):
        color = LINES[i % len(LINES)]
        ax.plot([x + 0.01, 1.03], [y, place], transform=ax.transAxes, color=MUTED, lw=0.6, clip_on=False)
        ax.text(1.04, place, labels[i], transform=ax.transAxes, va="center", color=color, fontweight="bold", size=SIZE - 1)
