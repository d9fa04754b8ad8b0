"""What the page says, as plain values for its template: papers with their claims, tables and figures, in the order of their files."""

from pathlib import Path
from typing import Any

from normbench.line import read_content
from normbench.measured import Measured
from normbench.papers import Claim, Paper, Table, paper_keys, reached, read_paper
from normbench.prediction import read_prediction
from normbench.prediction_score import NAMES, score
from normbench.shaped import Shaped, measured_text, published_text
from normbench.showing.embedded import inline_svg
from normbench.showing.style import VERDICTS
from normbench.summary import counts
from normbench.tables import shaped_table
from normbench.tiers import read_tier

Figures = dict[tuple[str, str, str], list[dict[str, str]]]  # (paper, kind, of) -> figures


def content(root: Path, measured: Measured, claims: list[dict[str, str]]) -> dict[str, Any]:
    """All that stands on the page but provenance and cost."""
    figures = read_figures(root / "figures")
    papers = [_paper(read_paper(key), [r for r in claims if r["paper"] == key], measured, figures) for key in measured.plan["papers"]]
    found = counts(claims)
    return {
        "tier": read_tier(measured.tier),
        "seeds": measured.plan["seeds"],
        "verdicts": [(name, *mark) for name, mark in VERDICTS.items()],
        "counts": [(paper, found.get(paper["key"], dict.fromkeys(VERDICTS, 0))) for paper in papers],
        "papers": papers,
        "absent": [key for key in paper_keys() if key not in measured.plan["papers"]],
        "guests": measured.plan["guests"],
        "prediction": _prediction(root / "prediction.csv", figures),
    }


def read_figures(folder: Path) -> Figures:
    """The figures of figures.json, each with its picture ready for the page."""
    found: Figures = {}
    for i, entry in enumerate(read_content(folder / "figures.json")):
        svg = inline_svg(folder / entry["paper"] / f"{entry['name']}.svg", f"f{i}", f"{entry['title']}. {entry['says']}")
        of = "" if entry["kind"] == "ledger" else entry["of"]
        found.setdefault((entry["paper"], entry["kind"], of), []).append({**entry, "svg": svg})
    return found


def _prediction(path: Path, figures: Figures) -> dict[str, Any] | None:
    """How right predictions out of untrained networks are; None where the line has not asked yet."""
    if not path.is_file():
        return None
    return {"score": score(read_prediction(path)), "names": NAMES, "figures": figures.get(("", "prediction", "speed"), [])}


def _paper(paper: Paper, rows: list[dict[str, str]], measured: Measured, figures: Figures) -> dict[str, Any]:
    claims = {claim.id: claim for claim in paper.claims}
    sweeps = [one for arm in paper.arms for one in figures.get((paper.key, "sweep", arm), [])]
    return {
        "key": paper.key,
        "title": paper.title,
        "venue": paper.venue,
        "arxiv": paper.arxiv,
        "reviews": paper.reviews,
        "ledger": figures.get((paper.key, "ledger", ""), []),
        "claims": [_claim(paper, claims[row["claim"]], row, figures) for row in rows],
        "missing": _missing(rows),
        "tables": [_table(paper, table, measured, figures) for table in paper.tables],
        "figures": [one for (key, kind, _), found in figures.items() for one in found if (key, kind) == (paper.key, "figure")],
        "sweeps": sweeps,
    }


def _claim(paper: Paper, claim: Claim, row: dict[str, str], figures: Figures) -> dict[str, Any]:
    """A row of claims.csv as it is, with the margin's reason and the claim's figures."""
    own = [one for (key, kind, of), found in figures.items() for one in found if (key, kind) == (paper.key, "claim") and _is_of(of, claim)]
    return {**row, "letter": VERDICTS[row["verdict"]][0], "reason": claim.reason, "figures": own}


def _is_of(of: str, claim: Claim) -> bool:
    """Figures of one claim are called by its id, with the quantity behind it where there are several."""
    quantities = {test.quantity or test.metric or claim.metric for test in claim.tests} | {"best_lr", "stable_lr"}
    return of == claim.id or of in {f"{claim.id}-{quantity}" for quantity in quantities}


def _missing(rows: list[dict[str, str]]) -> list[tuple[str, list[str]]]:
    """(why, claims) of what was not run."""
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if row["verdict"] == "not run":
            reasons.setdefault(row["because"], []).append(row["claim"])
    return list(reasons.items())


def _table(paper: Paper, table: Table, measured: Measured, figures: Figures) -> dict[str, Any]:
    shaped = shaped_table(paper, table, measured)
    marks, notes = shaped.notes()
    return {
        "id": table.id,
        "title": table.title,
        "columns": [column.title for column in table.columns.values()],
        "rows": [(row.title, marks.get(name, []), _cells(shaped, name)) for name, row in shaped.rows.items()],
        "notes": list(notes.items()),
        "caption": shaped.caption(),
        "sources": sorted({(c.published_source, c.published_kind) for c in shaped.cells.values() if c.published}),
        "needs": "" if reached(table.start, measured.tier) else table.start,
        "arms": _arm_notes(paper, table),
        "figures": figures.get((paper.key, "table", table.id), []),
        "training": figures.get((paper.key, "training", table.id), []),
        "pictures": figures.get((paper.key, "pictures", table.id), []),
    }


def _cells(shaped: Shaped, row: str) -> list[dict[str, str]]:
    """Published and measured, column by column; a cell without anything measured says why, in `quiet`."""
    cells = [shaped.cells[row, column] for column in shaped.table.columns]
    texts = [(published_text(c), c.published_kind, c.published_source, measured_text(c), c.measured is None) for c in cells]
    return [dict(zip(("published", "kind", "source", "measured", "quiet"), text, strict=True)) for text in texts]


def _arm_notes(paper: Paper, table: Table) -> list[tuple[str, str]]:
    """(row and columns, what the paper's file says of the arms there)."""
    found: dict[tuple[str, str], list[str]] = {}
    for row in table.rows.values():
        for column, arm in row.arms.items():
            if paper.arms[arm].note:
                found.setdefault((row.title, paper.arms[arm].note), []).append(table.columns[column].title)
    several = len(table.columns) > 1
    return [(f"{title} ({', '.join(where)})" if several else title, note) for (title, note), where in found.items()]
