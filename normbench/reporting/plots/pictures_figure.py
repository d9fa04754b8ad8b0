"""What the rows of a table had to show: the pictures that their runs left, one under the other.

A picture is a PNG of two halves: above what is right, the same for all rows, and below what the run made of it.
"""

from pathlib import Path

import matplotlib as mpl
import numpy as np
from PIL import Image

from normbench.analysis.results import Measured, NotRun
from normbench.reporting.plots.style import RC, Drawn, Room, head_inches, heading, panels
from normbench.reporting.table_layout import Shaped

WIDTH = 6.4  # inches
SAYS = "On top what is right, below what the first seed of each row found; of a method that diverged there is nothing."


def pictures_figure(shaped: Shaped, measured: Measured, folder: Path) -> Drawn | None:
    """The pictures in `folder` of each row's first column; None where no run left any."""
    found = {row.title: picture for name, row in shaped.rows.items() if (picture := _picture(shaped, name, measured, folder)) is not None}
    if not found:
        return None
    halves = {"What is right": next(iter(found.values()))[0], **{title: below for title, (_, below) in found.items()}}
    title = f"Found: {shaped.table.title}"
    height = WIDTH * max(half.shape[0] / half.shape[1] for half in halves.values())
    with mpl.rc_context(RC):
        room = Room(0.1, 0.1, head_inches(title, WIDTH + 0.2, 0) + 0.25, 0.1, 0.0, 0.3)
        figure, axes = panels(len(halves), 1, (WIDTH, height), room)
        for ax, (name, half) in zip(axes.flat, halves.items(), strict=True):
            ax.imshow(half, interpolation="none")
            ax.set_title(name, loc="left")
            ax.set_axis_off()
        heading(figure, title, [])
    return Drawn("pictures", shaped.table.id, title, SAYS, figure)


def _picture(shaped: Shaped, row: str, measured: Measured, folder: Path) -> tuple[np.ndarray, np.ndarray] | None:
    """(upper half, lower half) of the picture that the row's first seed left."""
    arm = shaped.cells[row, next(iter(shaped.table.columns))].arm
    try:
        runs = measured.status(arm) if arm else ()
    except NotRun:
        return None
    for run in runs:
        if (folder / f"{run.run}.png").is_file():
            with Image.open(folder / f"{run.run}.png") as image:
                pixels = np.asarray(image.convert("RGB"))
            return pixels[: len(pixels) // 2], pixels[len(pixels) // 2 :]
    return None
