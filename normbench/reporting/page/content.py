"""What the page says, as plain values for its template: papers with their claims, tables and figures, in the order of their files."""

from pathlib import Path
from typing import Any

from normbench.analysis.agreement import compared
from normbench.analysis.prediction import read_prediction
from normbench.analysis.prediction_score import names, score
from normbench.analysis.ranking import comparison
from normbench.analysis.results import Measured
from normbench.config.papers import Claim, Paper, Table, paper_keys, reached
from normbench.core.files import read_json
from normbench.planning.coverage import missing
from normbench.reporting.page.embedded import inline_svg
from normbench.reporting.page.ledger import claim_arms, entry, facets
from normbench.reporting.page.packed import pack_json, packed_library
from normbench.reporting.page.run_data import arms_shown, run_data
from normbench.reporting.plots.style import VERDICTS
from normbench.reporting.summary import counts
from normbench.reporting.table_layout import Shaped
from normbench.reporting.tables import shaped_table, verdicts_of

Figures = dict[tuple[str, str, str], list[dict[str, Any]]]  # (paper, kind, of) -> figures
SECTIONS = [
    ("ledger", "Claims and questions"),
    ("tables", "Tables"),
    ("figures", "Figures"),
    ("methods", "Methods over tasks"),
    ("questions", "Reviewers' questions"),
    ("prediction", "Do untrained networks tell?"),
    ("coverage", "What has not run"),
    ("reading", "How to read a verdict"),
    ("data", "Data"),
    ("versions", "Versions"),
    ("cost", "Cost"),
]


def content(root: Path, measured: Measured, claims: list[dict[str, str]], library: str | None = None) -> dict[str, Any]:
    """All that stands on the page but provenance and cost. library: packed_library(), where it is at hand."""
    figures, drawings = read_figures(root / "figures")
    papers = measured.plan.papers
    behind = [claim_arms(papers[row["paper"]], _claim_of(papers, row), measured) for row in claims if row["verdict"] != "not run"]
    arms = arms_shown(measured, [one["arm"] for found in behind for one in found])
    index = {arm: i for i, arm in enumerate(arms)}
    runs = run_data(measured, arms)
    entries = [_entry(papers, row, measured, index, figures) for row in claims]
    found = counts(claims)
    prediction = _prediction(root / "prediction.csv", figures)
    return {
        "tier": measured.plan.tier,
        "seeds": measured.plan.tier.seeds,
        "sections": [(id_, title) for id_, title in SECTIONS if id_ != "prediction" or prediction],
        "verdicts": [(name, *mark) for name, mark in VERDICTS.items()],
        "counts": [(paper, found.get(paper.key, dict.fromkeys(VERDICTS, 0))) for paper in papers.values()],
        "entries": entries,
        "facets": facets(entries),
        "papers": [_paper(paper, [r for r in claims if r["paper"] == key], measured, figures) for key, paper in papers.items()],
        "absent": [key for key in paper_keys() if key not in measured.plan.papers],
        "guests": measured.plan.guests,
        "prediction": prediction,
        "comparison": comparison(measured),
        "agreement": compared(root, list(papers.values()), measured),
        "unfinished": list(measured.unfinished.values()),
        "left_out": sorted(set(measured.plan.left_out.values())),
        "arms_planned": len(measured.plan.arms),
        "coverage": missing(papers, claims, measured.tier),
        "curve_seeds": runs["seeds"],
        "packed": {"drawings": pack_json(drawings), "runs": pack_json(runs), "library": library or packed_library()},
    }


def read_figures(folder: Path) -> tuple[Figures, list[str]]:
    """(the figures of figures.json, their pictures ready for the page in the order of their numbers)."""
    found: Figures = {}
    drawings = []
    for i, one in enumerate(read_json(folder / "figures.json")):
        label = f"{one['title']}. {one['says']}"
        svg = inline_svg(folder / one["paper"] / f"{one['name']}.svg", f"f{i}", label)
        of = "" if one["kind"] == "ledger" else one["of"]
        style = svg.partition('style="')[2].partition('"')[0]
        found.setdefault((one["paper"], one["kind"], of), []).append({**one, "number": i, "label": label, "style": style})
        drawings.append(svg)
    return found, drawings


def _claim_of(papers: dict[str, Paper], row: dict[str, str]) -> Claim:
    return next(claim for claim in papers[row["paper"]].claims if claim.id == row["claim"])


def _entry(papers: dict[str, Paper], row: dict[str, str], measured: Measured, index: dict[str, int], figures: Figures) -> dict[str, Any]:
    """A ledger's entry with the claim's figures."""
    paper, claim = papers[row["paper"]], _claim_of(papers, row)
    own = [one for (key, kind, of), found in figures.items() for one in found if (key, kind) == (paper.key, "claim") and _is_of(of, claim)]
    return {
        **entry(paper, claim, row, measured, index),
        "title": paper.title,
        "arxiv": paper.arxiv,
        "reviews": paper.reviews,
        "figures": own,
    }


def _prediction(path: Path, figures: Figures) -> dict[str, Any] | None:
    """How right predictions out of untrained networks are; None where the line has not asked yet."""
    if not path.is_file():
        return None
    return {"score": score(read_prediction(path)), "names": names(), "figures": figures.get(("", "prediction", "speed"), [])}


def _paper(paper: Paper, rows: list[dict[str, str]], measured: Measured, figures: Figures) -> dict[str, Any]:
    sweeps = [one for arm in paper.arms for one in figures.get((paper.key, "sweep", arm), [])]
    return {
        "key": paper.key,
        "title": paper.title,
        "venue": paper.venue,
        "arxiv": paper.arxiv,
        "reviews": paper.reviews,
        "missing": _missing(rows),
        "ledger": figures.get((paper.key, "ledger", ""), []),
        "tables": [_table(paper, table, measured, figures, rows) for table in paper.tables],
        "figures": [one for (key, kind, _), found in figures.items() for one in found if (key, kind) == (paper.key, "figure")],
        "sweeps": sweeps,
    }


def _is_of(of: str, claim: Claim) -> bool:
    """Figures of one claim are called by its id, with the quantity behind it where there are several."""
    return of == claim.id or of in {f"{claim.id}-{line.name}" for test in claim.tests for line in test.lines(claim.metric)}


def _missing(rows: list[dict[str, str]]) -> list[tuple[str, list[str]]]:
    """(why, claims) of what was not run."""
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if row["verdict"] == "not run":
            reasons.setdefault(row["because"], []).append(row["claim"])
    return list(reasons.items())


def _table(paper: Paper, table: Table, measured: Measured, figures: Figures, claims: list[dict[str, str]]) -> dict[str, Any]:
    shaped = shaped_table(paper, table, measured, verdicts_of(paper.key, claims))
    marks = shaped.notes()[0]
    return {
        "id": table.id,
        "title": table.title,
        "columns": [column.title for column in table.columns.values()],
        "rows": [(row.title, marks.get(name, []), _cells(shaped, name)) for name, row in shaped.rows.items()],
        "notes": shaped.footnotes(),
        "caption": shaped.caption(),
        "needs": "" if reached(table.start, measured.tier) else table.start,
        "arms": _arm_notes(paper, table),
        "figures": figures.get((paper.key, "table", table.id), []),
        "training": figures.get((paper.key, "training", table.id), []),
        "pictures": figures.get((paper.key, "pictures", table.id), []),
    }


def _cells(shaped: Shaped, row: str) -> list[dict[str, Any]]:
    """Published and measured with their marks, column by column; a cell without anything measured says why, in `quiet`."""
    found = []
    for column in shaped.table.columns:
        (published, source), (measured, marks) = shaped.published((row, column)), shaped.measured_here((row, column))
        quiet = shaped.cells[row, column].measured is None
        found.append({"published": published, "source": source, "measured": measured, "marks": marks, "quiet": quiet})
    return found


def _arm_notes(paper: Paper, table: Table) -> list[tuple[str, str]]:
    """(row and columns, what the paper's file says of the arms there)."""
    found: dict[tuple[str, str], list[str]] = {}
    for row in table.rows.values():
        for column, arm in row.arms.items():
            if paper.arms[arm].note:
                found.setdefault((row.title, paper.arms[arm].note), []).append(table.columns[column].title)
    several = len(table.columns) > 1
    return [(f"{title} ({', '.join(where)})" if several else title, note) for (title, note), where in found.items()]
