"""What a paper's figure draws: for each arm and quantity the seeds' values at each place, and what theory says of them."""

from dataclasses import dataclass, field

import numpy as np

from normbench.analysis.results import Measured, NotRun
from normbench.config.exhibits import Figure
from normbench.config.papers import Paper
from normbench.config.tiers import GUEST
from normbench.planning.make import guest_arm_name

LOGARITHMIC_ABOVE = 10.0  # largest over smallest mean: from there on an axis of equal steps hides most of them


@dataclass
class Line:
    """values[i]: of the seeds that have one at x[i]. lost: {x: seeds that diverged there, or nobody knows where}."""

    title: str
    x: list[float]
    values: list[list[float]]
    lost: dict[float, int] = field(default_factory=dict)

    def means(self, positive: bool = False) -> tuple[list[float], list[float]]:
        """(x, mean) where any seed has a value; `positive`: of those that a logarithmic axis can show."""
        points = [(x, float(np.mean(v))) for x, v in zip(self.x, self.values, strict=True) if v]
        points = [(x, mean) for x, mean in points if mean > 0 or not positive]
        return [x for x, _ in points], [mean for _, mean in points]


def arm_titles(paper: Paper, figure: Figure, measured: Measured) -> dict[str, str]:
    """What stands over the panel of each arm that was planned, the guests' last.

    The arms of a figure share the start of their names; what follows is a row of the paper's tables.
    """
    planned = [arm for arm in figure.arms if (paper.key, arm) in measured.plan.points]
    rows = {key: row.title for table in reversed(paper.tables) for key, row in table.rows.items()}
    titles = {arm: rows.get(name := arm.partition("_")[2], name.replace("_", " ")) for arm in planned}
    return titles | {
        arm: arm.partition(GUEST)[2].replace("_", " ") for place in figure.guest_places() for arm in guests(paper, place, measured)
    }


def guests(paper: Paper, place: str, measured: Measured) -> list[str]:
    """Arms with a guest's method in the place of `place`'s own, as far as they were planned."""
    names = [guest_arm_name(place, guest) for guest in measured.plan.guests]
    return [name for name in names if (paper.key, name) in measured.plan.points]


def read_line(paper: Paper, figure: Figure, arm: str, title: str, quantity: str, measured: Measured) -> Line | None:
    """One arm's line; None where it was not run or has nothing of this quantity."""
    points = measured.plan.points[paper.key, arm]
    try:
        line = (
            _probed(points[0][1], title, quantity, measured)
            if figure.along == "k"
            else _swept(points, figure.along, title, quantity, measured)
        )
    except NotRun:
        return None
    return line if any(line.values) or line.lost else None


def _probed(arm: str, title: str, quantity: str, measured: Measured) -> Line:
    runs = measured.status(arm)
    found = {run.run: part for run in runs if (part := measured.probe(run.run, quantity)) is not None}
    places = sorted({int(k) for part in found.values() for k in part})
    values = [[part[k] for part in found.values() if k in part] for k in places]
    lost: dict[float, int] = {}
    for run in (run.run for run in runs if run.status == "diverged"):
        last = float(max(found[run])) if run in found else 1.0
        lost[last] = lost.get(last, 0) + 1
    return Line(title, [float(k) for k in places], values, lost)


def _swept(points: list, along: str, title: str, quantity: str, measured: Measured) -> Line:
    line = Line(title, [], [])
    for x, arm in sorted((float(point[along]), arm) for point, arm in points):
        lost = sum(run.status == "diverged" for run in measured.status(arm))
        line.x.append(x)
        line.values.append(measured.finished(arm, quantity))
        line.lost |= {x: lost} if lost else {}
    return line


def theory(word: str, x: np.ndarray, width: float | None = None) -> np.ndarray:
    """What a word of Figure.theory stands for, at the places x; `width` in channels."""
    with np.errstate(over="ignore"):  # a hundred and more doublings leave the axis, not the machine's numbers
        return {
            "2^k": lambda: np.exp2(x),
            "k": lambda: x,
            "constant": lambda: np.ones_like(x),
            "sqrt(k)": lambda: np.sqrt(x),
            "sqrt(width/group size)": lambda: np.sqrt(width / x),
        }[word]()


def logarithmic(lines: list[Line]) -> bool:
    """Whether the means lie decades apart and none is negative."""
    means = [mean for line in lines for mean in line.means()[1]]
    positive = [mean for mean in means if mean > 0]
    return bool(positive) and min(means) >= 0 and max(positive) / min(positive) > LOGARITHMIC_ABOVE
