"""How figures look, and how they become files: a color-blind safe palette, one type size, equal bytes for equal content."""

import textwrap
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from scipy.optimize import isotonic_regression

from normbench.core.files import whole_file

INK, MUTED, RULE, PAGE = "#1b1b1b", "#666666", "#d4d4d4", "#ffffff"
ON_COLOR = "#111111"  # letters on a colored mark, dark on a dark page too
# Okabe & Ito's palette without its yellow, which no thin line on white survives.
BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"
LINES = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.5)), (0, (6, 1.5, 1.5, 1.5)))
VERDICTS = {
    "supported": ("S", GREEN),
    "contradicted": ("C", VERMILLION),
    "inconclusive": ("I", ORANGE),
    "answered": ("A", SKY),
    "not run": ("N", "#bdbdbd"),
}
SIZE = 9  # points
RC = {
    "font.family": "DejaVu Sans",
    "font.size": SIZE,
    "axes.titlesize": SIZE,
    "axes.labelsize": SIZE,
    "xtick.labelsize": SIZE - 1,
    "ytick.labelsize": SIZE - 1,
    "legend.fontsize": SIZE - 1,
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.titley": 1.0,  # else each drawing looks for marks above, where no figure has any: a sixth of its time
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.5,
    "figure.facecolor": PAGE,
    "axes.facecolor": "none",
    "svg.fonttype": "none",
    "svg.hashsalt": "normbench",
    "path.simplify_threshold": 0.5,
}
PLAIN = FontProperties(family="DejaVu Sans", size=SIZE)


@dataclass(frozen=True)
class Drawn:
    """A figure and what it shows.

    kind: table, claim, figure, sweep, training, pictures or ledger. of: the id of the table, claim or arm, or of the paper's figure with
    its quantity behind it where it shows several. says: how to read it.
    """

    kind: str
    of: str
    title: str
    says: str
    figure: Figure

    @property
    def name(self) -> str:
        return {"table": self.of, "ledger": "ledger"}.get(self.kind, f"{self.kind}-{self.of}")


@dataclass(frozen=True)
class Room:
    """Inches around and between panels."""

    left: float = 0.8
    right: float = 0.2
    top: float = 0.9
    bottom: float = 0.55
    across: float = 0.25
    down: float = 0.55


def panels(rows: int, columns: int, size: tuple[float, float], room: Room, **shared) -> tuple[Figure, np.ndarray]:
    """A figure of rows x columns panels of `size` inches each, with exactly `room` around them; axes as a (rows, columns) array."""
    width = room.left + room.right + columns * size[0] + (columns - 1) * room.across
    height = room.top + room.bottom + rows * size[1] + (rows - 1) * room.down
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False, **shared)
    figure.subplots_adjust(
        left=room.left / width,
        right=1 - room.right / width,
        top=1 - room.top / height,
        bottom=room.bottom / height,
        wspace=room.across / size[0],
        hspace=room.down / size[1],
    )
    return figure, axes


def heading(figure: Figure, title: str, handles: list, columns: int = 0) -> None:
    """The title on top, and under it, outside all panels, what the marks mean."""
    width, height = figure.get_size_inches()
    lines = wrapped(title, width - 0.2, bold=True)
    figure.text(0.1 / width, 1 - 0.1 / height, "\n".join(lines), va="top", ha="left", fontweight="bold", size=SIZE + 1)
    if handles:
        top = 1 - (0.14 + 0.19 * len(lines)) / height
        options = {"ncols": columns or len(handles), "frameon": False, "borderaxespad": 0, "borderpad": 0, "columnspacing": 1.4}
        figure.legend(handles=handles, loc="upper left", bbox_to_anchor=(0.1 / width, top), handletextpad=0.5, **options)


def head_inches(title: str, width: float, key_rows: int = 1) -> float:
    """How much room the heading needs on a figure of `width` inches."""
    return 0.2 + 0.19 * len(wrapped(title, width - 0.2, bold=True)) + 0.2 * key_rows


def text_inches(text: str, size: float = SIZE) -> float:
    """The width of a text's widest line."""
    properties = PLAIN.copy()
    properties.set_size(size)
    return max((text_to_path.get_text_width_height_descent(line, properties, ismath=False)[0] / 72 for line in text.split("\n")), default=0)


def wrapped(text: str, inches: float, bold: bool = False) -> list[str]:
    """The text in lines of at most about `inches`."""
    per_character = text_inches("abcdefghij klmnop rstuv") / 23 * (1.25 if bold else 1.05)
    return textwrap.wrap(text, max(8, int(inches / per_character))) or [""]


def spread(wanted: np.ndarray, gap: float, low: float = 0.0, high: float = 1.0) -> np.ndarray:
    """Places for labels: as near to the wanted ones as can be, in their order, at least `gap` apart, inside low..high where they fit."""
    wanted = np.asarray(wanted, dtype=float)
    order = np.argsort(wanted, kind="stable")
    steps = gap * np.arange(len(wanted))
    places = isotonic_regression(wanted[order] - steps).x
    result = np.empty(len(wanted))
    result[order] = np.clip(places, low, max(low, high - gap * (len(wanted) - 1))) + steps
    return result


def save(drawn: Drawn, folder: Path) -> None:
    """<folder>/<name>.svg and .png, without dates or versions."""
    with mpl.rc_context(RC):
        for suffix, options in (
            ("svg", {"metadata": {"Date": None, "Creator": None}}),
            ("png", {"dpi": 110, "metadata": {"Software": None}}),
        ):
            with whole_file(folder / f"{drawn.name}.{suffix}") as file:
                drawn.figure.savefig(file, format=suffix, **options)
