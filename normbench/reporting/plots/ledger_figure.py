"""A paper's ledger as a figure: claims down, each with its verdict, its effects in units of their margins, and its numbers."""

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from normbench.analysis.ledger import run_test
from normbench.analysis.results import Measured
from normbench.claims.kinds import Test
from normbench.claims.kinds.kind import InMargins
from normbench.claims.operands import NotRun
from normbench.claims.outcomes import Outcome
from normbench.config.papers import Claim, Paper
from normbench.core.formatting import decimals, gap, number
from normbench.reporting.plots.style import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    ON_COLOR,
    RC,
    RULE,
    VERDICTS,
    Drawn,
    Room,
    head_inches,
    heading,
    panels,
    text_inches,
    wrapped,
)

ROW, PART = 0.3, 0.13  # inches: of a claim, and more for each further part with a margin
PANEL, NUMBERS = 3.6, 3.2
EDGE = 100.0  # margins; what lies beyond is drawn at the edge
SAYS = (
    "Each line is the effect of one part of a claim with its 95% interval, in units of its margin: the green stretch is where the part "
    "holds. A triangle goes on beyond the panel. Parts without a margin in the effect's unit (a count of seeds, any difference) are in "
    "the numbers alone, which are those of a claim's weakest part. Questions are in italics."
)


def ledger_figure(paper: Paper, rows: list[dict[str, str]], measured: Measured) -> Drawn:
    """rows: the paper's of claims.csv, in its order."""
    claims = {claim.id: claim for claim in paper.claims}
    parts = {row["claim"]: _parts(paper, claims[row["claim"]], measured) if row["verdict"] != "not run" else [] for row in rows}
    shown = {id_: [s for test, outcome in found if (s := test.in_margins(outcome))] for id_, found in parts.items()}
    heights = [ROW + PART * max(0, len(shown[row["claim"]]) - 1) for row in rows]
    title = f"{paper.key}: its claims at the {measured.tier} tier"
    with mpl.rc_context(RC):
        left = 0.75 + max(text_inches(row["claim"]) for row in rows)
        total = left + PANEL + NUMBERS
        room = Room(left, NUMBERS, head_inches(title, total, 1) + 0.1, 0.5)
        figure, axes = panels(1, 1, (PANEL, sum(heights)), room)
        ax = axes[0, 0]
        ax.set_ylim(sum(heights), 0)
        _frame(ax)
        y = 0.0
        for row, height in zip(rows, heights, strict=True):
            _claim(ax, y + height / 2, row, parts[row["claim"]], left)
            for i, part in enumerate(shown[row["claim"]]):
                _part(ax, y + height / 2 + PART * (i - (len(shown[row["claim"]]) - 1) / 2), part)
            y += height
            ax.plot([-left / PANEL, 1 + NUMBERS / PANEL], [y, y], transform=ax.get_yaxis_transform(), color=RULE, lw=0.5, clip_on=False)
        handles = [_mark_handle(verdict) for verdict in VERDICTS] + [Patch(facecolor=GREEN, alpha=0.18, label="the part holds")]
        heading(figure, title, handles)
    return Drawn("ledger", paper.key, title, SAYS, figure)


def numbers_of(row: dict[str, str], parts: list[tuple[Test, Outcome]]) -> str:
    """A claim's numbers as claims.csv has them, with the unit of the part that they are of: +0.5 points (-4.0 to 5.0), n 2."""
    if row["effect"] == "":
        return f"n {row['n']}"
    effect, low, high = (float(row[key]) if row[key] else None for key in ("effect", "low", "high"))
    test, unit = next(((t, o.unit) for t, o in parts if (_text(o.effect), _text(o.low)) == (row["effect"], row["low"])), (None, ""))
    name = test.effect_name if test else ""
    if test is not None and test.scale.share:
        between = f" ({low:.0%} to {high:.0%})" if low is not None else ""
        return f"{effect:.0%} {name}{between}, n {row['n']}"
    digits = decimals((high - low) / 2 if low is not None else 0, unit, (effect,))
    between = f" ({number(low, digits)} to {number(high, digits)})" if low is not None else ""
    return f"{name}{gap(effect, unit, digits, plus=unit == '%')}{between}, n {row['n']}"


def _parts(paper: Paper, claim: Claim, measured: Measured) -> list[tuple[Test, Outcome]]:
    found = []
    for test in claim.tests:
        try:
            found.append((test, run_test(paper, claim, test, measured)))
        except NotRun:
            continue
    return found


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _frame(ax: Axes) -> None:
    ax.set_xscale("symlog", linthresh=1, linscale=1.2)
    ax.set_xlim(-EDGE, EDGE)
    ticks = [-100, -10, -1, 0, 1, 10, 100]
    ax.set_xticks(ticks, [f"{t:g}" for t in ticks])
    ax.xaxis.set_minor_locator(mpl.ticker.NullLocator())
    ax.set_yticks([])
    ax.set_xlabel("effect / margin (linear between -1 and 1)")
    ax.spines["left"].set_visible(False)
    for x, look in ((-1, "--"), (0, "-"), (1, "--")):
        ax.axvline(x, color=MUTED, lw=0.8, ls=look)


def _claim(ax: Axes, y: float, row: dict[str, str], parts: list[tuple[Test, Outcome]], left: float) -> None:
    """The claim's name and verdict at the left of the panel, its numbers or why it was not run at the right."""
    side = ax.get_yaxis_transform()
    letter, color = VERDICTS[row["verdict"]]
    ax.plot(-0.28 / PANEL, y, transform=side, marker="s", ms=13, mfc=color, mec="none", clip_on=False)
    ax.text(-0.28 / PANEL, y, letter, transform=side, ha="center", va="center_baseline", color=ON_COLOR, fontweight="bold", clip_on=False)
    asks = {"style": "italic"} if row["kind"] == "question" else {}
    ax.text((0.12 - left) / PANEL, y, row["claim"], transform=side, va="center", **asks)
    if row["verdict"] == "not run":
        text, color = wrapped(row["because"].rstrip("."), NUMBERS - 0.3)[0], MUTED
        text += " …" if text != row["because"].rstrip(".") else ""
    else:
        text, color = numbers_of(row, parts), INK
    ax.text(1 + 0.12 / PANEL, y, text, transform=side, va="center", color=color, size=8)


def _part(ax: Axes, y: float, part: InMargins) -> None:
    low, high = (max(-EDGE, min(EDGE, end)) for end in part.holds)
    ax.fill_between([low, high], y - PART / 2.4, y + PART / 2.4, color=GREEN, alpha=0.18, lw=0)
    if part.low is not None:
        ends = [max(-EDGE, min(EDGE, end)) for end in (part.low, part.high)]
        ax.plot(ends, [y, y], color=BLUE, lw=1.4)
        for end, edge, marker in ((part.low, -EDGE, "<"), (part.high, EDGE, ">")):
            if abs(end) > EDGE and end * edge > 0:
                ax.plot(edge, y, marker=marker, ms=4, color=BLUE, clip_on=False)
    ax.plot(max(-EDGE, min(EDGE, part.effect)), y, marker="o", ms=4, color=BLUE, clip_on=False)


def _mark_handle(verdict: str) -> Line2D:
    letter, color = VERDICTS[verdict]
    return Line2D([], [], ls="none", marker="s", ms=8, mfc=color, mec="none", label=f"{letter} {verdict}")
