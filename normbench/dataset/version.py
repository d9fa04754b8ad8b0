"""The dataset's version: Major.Minor.Patch, found by comparing what is published with what was. Torch-free."""

import csv
import json
from pathlib import Path
from typing import Literal

from normbench.core.errors import InputError
from normbench.dataset.checksums import read_sums
from normbench.dataset.columns import CLAIMS
from normbench.dataset.merging import differing, without_times
from normbench.execution.tables import read_tables
from normbench.planning.plan import Plan

FIRST = "1.0.0"
Part = Literal["major", "minor", "patch"]
RULE: dict[Part, str] = {
    "major": "numbers are no longer comparable with those of earlier versions: a run has another value, curve or probe than before, "
    "a run is gone, a paper's arm is another run now (its recipe, model or method's parameters changed), a claim has another margin, "
    "or a file has other columns",
    "minor": "all earlier numbers stand and others have come: runs, papers, claims, tables or tiers",
    "patch": "no number but times and speeds differs: they were measured anew, or pages, figures, texts or descriptions changed",
}
NUMBERS = ["run", "arm", "seed", "status", "metric", "value", "unit", "data_sha256"]


def change(before: Path, now: Path) -> tuple[Part, str] | None:
    """Which part of the version two states of a tier's folder ask for, and why; None where every file is the same."""
    if not before.is_dir():
        return "minor", f"the tier {now.name} is new"
    try:
        said, found = read_sums(before), read_sums(now)
        if said == found:
            return None
        return _major(before, now) or _minor(before, now, sorted(set(found) - set(said))) or ("patch", _patch(said, found))
    except InputError as error:
        return "major", f"what was there cannot be compared: {error}"


def bumped(version: str, part: Part) -> str:
    try:
        major, minor, patch = (int(number) for number in version.split("."))
    except ValueError:
        raise InputError(f"results/datapackage.json: version: {version!r} is no version; write Major.Minor.Patch, as {FIRST}") from None
    return {"major": f"{major + 1}.0.0", "minor": f"{major}.{minor + 1}.0", "patch": f"{major}.{minor}.{patch + 1}"}[part]


def read_version(results: Path) -> dict[str, str] | None:
    """version and created, as datapackage.json has them; None where nothing is described yet."""
    path = results / "datapackage.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {"version": content["version"], "created": content["created"][:10]}
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: is broken ({error}); put it back as it was published (git checkout), or remove it to begin at {FIRST}"
        ) from error


def _major(before: Path, now: Path) -> tuple[Part, str] | None:
    old, new = read_tables(before), read_tables(now)
    runs = [set(tables["runs"]["run"].unique()) for tables in (old, new)]
    if gone := runs[0] - runs[1]:
        return "major", f"{_counted(gone)} gone"
    pairs = [[without_times(tables["runs"]).select(NUMBERS) for tables in (old, new)]]
    pairs += [[tables[name] for tables in (old, new)] for name in ("curves", "probes")]
    changed = set().union(*(differing(a, b) for a, b in pairs)) & runs[0]
    if changed:
        return "major", f"{_counted(changed)} of other numbers"
    points = [_points(Plan.read(root)) for root in (before, now)]
    moved = [place for place, arm in points[0].items() if points[1].get(place, arm) != arm]
    if moved:
        return "major", f"{moved[0][0]}: {moved[0][1]} is another run now"
    margins = [_margins(root / CLAIMS.path) for root in (before, now)]
    moved = [claim for claim, margin in margins[0].items() if margins[1].get(claim, margin) != margin]
    return ("major", f"{' '.join(moved[0])} has another margin") if moved else None


def _minor(before: Path, now: Path, added: list[str]) -> tuple[Part, str] | None:
    plans = [Plan.read(root) for root in (before, now)]
    arms, points = ([set(part(plan)) for plan in plans] for part in (lambda p: p.arms, _points))
    if arms[1] - arms[0]:
        return "minor", f"{_counted(arms[1] - arms[0], 'arm')} more"
    claims = [set(_margins(root / CLAIMS.path)) for root in (before, now)]
    tables = [path for path in added if path.startswith("tables/")]
    for what, news in (("arm of a paper", points[1] - points[0]), ("claim", claims[1] - claims[0]), ("table", set(tables))):
        if news:
            return "minor", f"{len(news)} {what}{'s' * (len(news) > 1)} more"
    return None


def _patch(said: dict[str, str], found: dict[str, str]) -> str:
    changed = sorted(path for path in said.keys() | found.keys() if said.get(path) != found.get(path))
    return f"{changed[0]}" + (f" and {len(changed) - 1} other files" if len(changed) > 1 else "") + " changed"


def _counted(runs: set[str], what: str = "run") -> str:
    return f"{len(runs)} {what}s, {min(runs)} among them," if len(runs) > 1 else min(runs)


def _points(plan: Plan) -> dict[tuple[str, str], str]:
    """(paper, arm's name and swept values) -> the arm."""
    return {
        (paper, " ".join([name, *(f"{k}={v}" for k, v in sorted(point.items()))])): arm
        for (paper, name), points in plan.points.items()
        for point, arm in points
    }


def _margins(path: Path) -> dict[tuple[str, str], str]:
    with open(path, encoding="utf-8", newline="") as file:
        return {(row["paper"], row["claim"]): row["margin"] for row in csv.DictReader(file) if row["verdict"] != "not run"}
