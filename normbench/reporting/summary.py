"""What a person sees at the end: one line a paper, and where to look. Torch-free."""

import csv
from pathlib import Path

from normbench.core.errors import InputError

VERDICTS = ("supported", "contradicted", "inconclusive", "answered", "not run")


def read_claims(path: Path) -> list[dict[str, str]]:
    """The rows of claims.csv."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    except OSError as error:
        raise InputError(f"{path}: is missing or broken ({error}); `snakemake all` writes it again") from error


def counts(rows: list[dict[str, str]]) -> dict[str, dict[str, int]]:
    """paper -> verdict -> how many, in the order of the rows."""
    result: dict[str, dict[str, int]] = {}
    for row in rows:
        paper = result.setdefault(row["paper"], dict.fromkeys(VERDICTS, 0))
        paper[row["verdict"]] += 1
    return result


def summary(root: Path) -> str:
    """The closing lines of a run."""
    rows = read_claims(root / "claims.csv")
    lines = [f"normbench, tier {rows[0]['tier'] if rows else root.name}:"]
    for paper, found in counts(rows).items():
        lines.append(f"  {paper:<18} " + ", ".join(f"{number} {verdict}" for verdict, number in found.items()))
    lines.append(f"look at {root / 'report.html'}, {root / 'claims.csv'}, {root / 'tables'}/")
    return "\n".join(lines)
