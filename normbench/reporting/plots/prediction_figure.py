"""What a rule says of arms of methods that it has not seen, against how fast they trained; the misses have their names."""

from collections import Counter

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from normbench.reporting.plots.style import (
    BLUE,
    MUTED,
    PAGE,
    RC,
    SIZE,
    VERMILLION,
    Drawn,
    Room,
    head_inches,
    heading,
    panels,
    spread,
    text_inches,
)

PANEL = (4.2, 3.6)  # inches
LINE = 0.17  # inches between the names of misses
MOST = 24  # names; more make the lines to them unreadable
TRAINED = {"marker": "o", "ms": 5.5, "mfc": BLUE, "mec": PAGE, "mew": 0.6, "alpha": 0.8, "ls": "none", "label": "trained"}
FAILED = {"marker": "X", "ms": 6, "mfc": VERMILLION, "mec": PAGE, "mew": 0.6, "alpha": 0.8, "ls": "none", "label": "failed"}
SAYS = (
    "Every mark is an arm, mean over its seeds; the probability is that of a rule fitted on all other methods' untrained networks. "
    "Right are circles above the line and crosses below it; the others are named. Speed is the mean training accuracy over all steps, "
    "in which a diverged seed counts with what guessing reaches."
)


def prediction_figure(table: pd.DataFrame, tier: str) -> Drawn | None:
    """Of prediction.csv; None where no arm was judged."""
    known = table[table.predicted.notna() & table.speed.notna()]
    if known.empty:
        return None
    title = f"Do untrained networks tell which methods train? The {tier} tier"
    names, rest = miss_names(known)
    with mpl.rc_context(RC):
        beside = 0.55 + max((text_inches(text, SIZE - 1) for _, _, text in names), default=0)
        total = 0.75 + PANEL[0] + beside
        size = (PANEL[0], max(PANEL[1], LINE * len(names) + 0.3))
        figure, axes = panels(1, 1, size, Room(0.75, beside, head_inches(title, total) + 0.1, 0.55))
        ax = axes[0, 0]
        for trained, look in ((True, TRAINED), (False, FAILED)):
            mine = known[known.trained == trained]
            ax.plot(mine.speed, mine.probability, **look)
        ax.axhline(0.5, color=MUTED, lw=0.9, ls="--")
        ax.set_ylim(-0.06, 1.06)
        ax.set_xlabel("mean train top1 over all steps (%)")
        ax.set_ylabel("predicted probability of training")
        _name(ax, names, size)
        heading(figure, title, [Line2D([], [], **look) for look in (TRAINED, FAILED)])
    unnamed = f" {rest} more misses stand in prediction.csv." if rest else ""
    return Drawn("prediction", "speed", title, SAYS + unnamed, figure)


def miss_names(known: pd.DataFrame) -> tuple[list[tuple[float, float, str]], int]:
    """(speed, probability, method and model) of the `MOST` worst misses, and how many arms stay without a name.

    Misses of one method and model have one name, at the worst of them.
    """
    misses = known[known.trained != known.predicted]
    misses = misses.assign(wrong=(misses.probability - 0.5).abs()).sort_values(["wrong", "arm"], ascending=[False, True])
    named = misses.drop_duplicates(["method", "model"]).head(MOST)
    counts = Counter(zip(misses.method, misses.model, strict=True))
    found = []
    for one in named.itertuples():
        number = counts[one.method, one.model]
        times = f" ({number} arms)" if number > 1 else ""
        found.append((one.speed, one.probability, f"{one.method.replace('_', ' ')}, {one.model}{times}"))
    rest = len(misses) - sum(counts[one.method, one.model] for one in named.itertuples())
    return sorted(found, key=lambda miss: (miss[1], -miss[0], miss[2])), rest


def _name(ax: Axes, names: list[tuple[float, float, str]], size: tuple[float, float]) -> None:
    """Names at the right of the panel, each with a line to its mark."""
    left, right = ax.get_xlim()
    ax.set_xlim(left, right)
    low, high = ax.get_ylim()
    places = spread(np.array([y for _, y, _ in names]), LINE / size[1] * (high - low), low, high) if names else ()
    line = {"arrowstyle": "-", "color": MUTED, "lw": 0.5, "shrinkA": 0, "shrinkB": 3, "relpos": (0, 0.5)}
    for (x, y, text), place in zip(names, places, strict=True):
        at = (right + 0.06 * (right - left), place)
        ax.annotate(text, (x, y), xytext=at, va="center", size=SIZE - 1, annotation_clip=False, arrowprops=line)
