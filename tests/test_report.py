"""The page: whole in itself, everything escaped, its numbers those of claims.csv, and what was not run says why."""

import base64
import gzip
import html
import json
import re
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import polars as pl
import pytest
from html_page import Page
from synthetic_build import make_build, write_record

from normbench.analysis.agreement import agreements
from normbench.analysis.results import Measured
from normbench.config.papers import read_paper
from normbench.core.files import read_json
from normbench.core.schema import ROOT
from normbench.execution.columns import RUNS
from normbench.execution.tables import read_table, write_table
from normbench.reporting import figures, report
from normbench.reporting.page import run_data
from normbench.reporting.page.embedded import inline_svg
from normbench.reporting.summary import counts, read_claims
from normbench.reporting.tables import shaped_table, verdicts_of

pytestmark = pytest.mark.slow

KEY = "rescalenet"


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    folder = make_build(tmp_path_factory.mktemp("build"), "quick", (KEY,))
    figures.write_figures(Measured.read(folder), read_claims(folder / "claims.csv"), folder / "figures")
    return folder


@pytest.fixture(scope="module")
def text(root) -> str:
    return report.render(root)


@pytest.fixture(scope="module")
def page(text) -> Page:
    return Page(text)


def unpacked(text: str, name: str) -> str:
    found = re.search(rf'<script type="application/gzip" id="packed-{name}">([A-Za-z0-9+/=]*)</script>', text)
    return gzip.decompress(base64.b64decode(found[1])).decode()


def test_the_page_is_well_formed_and_small(text, page):
    assert not page.mistakes and not page.open
    assert len(text.encode()) < 3_000_000
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_the_page_compares_the_order_with_that_of_a_tier_beside_it(root, text, tmp_path):
    assert "The order at the" not in text
    build = tmp_path / "build"
    shutil.copytree(root, build / "quick")
    make_build(build, "laptop", (KEY,))
    for tier in ("quick", "laptop"):  # invented seeds lie too far apart for rows to be told apart
        value, middle = pl.col("value"), pl.col("value").mean().over("arm", "metric")
        nearer = pl.when(pl.col("status") == "finished").then(middle + 0.01 * (value - middle)).otherwise(value)
        write_table(read_table(build / tier, RUNS).with_columns(value=nearer), build / tier, RUNS)
    page = Page(report.render(build / "quick"))
    assert not page.mistakes
    measured, there = (Measured.read(build / tier) for tier in ("quick", "laptop"))
    columns = agreements([read_paper(KEY)], measured, there)
    told = {(one.metric, pair): same for one in columns for pair, same in one.told.items()}
    assert len(told) > sum(told.values()) > 0  # invented results
    says = f"Of {len(told)} pairs of rows that both tiers tell apart, {sum(told.values())} stand in the same order"
    assert f"The order at the laptop tier {says}" in page.text
    for one in columns:
        assert f"{one.column} {len(one.arms)} {one.tau.r:+.2f}" in page.text


def test_nothing_comes_from_elsewhere(text, page):
    """And nothing could: the policy lets the page ask for nothing but the bytes of pictures that are in it."""
    for tag, attributes in page.elements:
        assert tag not in ("link", "iframe", "object", "embed", "base")
        for key in ("src", "href", "xlink:href", "data", "action"):
            assert attributes.get(key, "#").startswith("#"), (tag, attributes)
        assert not [key for key in attributes if key.startswith("on")]
    drawn = "".join(json.loads(unpacked(text, "drawings")))
    assert all(ref.startswith(("#", "data:")) for ref in re.findall(r' (?:xlink:)?href="([^"]*)"', drawn))
    for one in (text, drawn):
        assert "@import" not in one and "@font-face" not in one
        assert all(ref.startswith("#") for ref in re.findall(r"url\(([^)]*)\)", one))
    (policy,) = [a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    allowed = dict(part.split(" ", 1) for part in policy.split("; "))
    assert allowed["default-src"] == "'none'" and allowed["img-src"] == "data:"
    assert "http" not in policy and "*" not in policy
    script = (ROOT / "normbench" / "reporting" / "templates" / "report.js").read_text(encoding="utf-8")
    assert not re.search(r"fetch\(|XMLHttpRequest|WebSocket|sendBeacon|import\(|https?:", script)


def test_every_reference_leads_somewhere(text, page):
    ids = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    links = {a["href"][1:] for _, a in page.elements if (a.get("href") or "").startswith("#")}
    filters = dict.fromkeys(link for link in links if "=" in link)
    assert links - filters.keys() and links - filters.keys() <= ids
    assert {value for name, value in (link.split("=") for link in filters) if name == "claim"} <= ids
    assert {value for name, value in (link.split("=") for link in filters) if name == "paper"} == {KEY}
    for one in json.loads(unpacked(text, "drawings")):
        assert set(re.findall(r"url\(#([^)]*)\)", one)) <= set(re.findall(r' id="([^"]*)"', one))


def test_every_run_of_a_claims_arms_is_on_the_page_with_its_curve(root, text, page):
    measured, data = Measured.read(root), json.loads(unpacked(text, "runs"))
    places = {int(a["data-arm"]) for a in page.all("tr") if "data-arm" in a}
    assert places == set(range(len(data["arms"]))) and len(places) > 10
    for arm in data["arms"]:
        rows = measured.status(arm["id"])
        assert [(seed, status) for seed, status, _ in arm["runs"]] == [(run.seed, run.status) for run in rows]
        assert arm["spec"] == asdict(measured.plan.arms[arm["id"]])
        for one in arm["curves"]:
            assert len(one["y"]) == len(rows)
            for run, levels in zip((run.run for run in rows), one["y"], strict=True):
                curve = measured.curve(run, one["metric"])
                assert (levels is None) == (curve is None)
                if levels:  # as many points as were measured here, each within half a level
                    shown = [one["low"] + level / 999 * (one["high"] - one["low"]) for level in levels]
                    shown = [10**v for v in shown] if one["log"] else shown
                    assert shown == pytest.approx(list(curve), rel=5e-3, abs=1e-3 * (abs(one["high"]) + abs(one["low"])))


def test_every_claim_stands_with_its_sentences_and_numbers(root, page):
    rows = read_claims(root / "claims.csv")
    assert rows and {row["verdict"] for row in rows} >= {"not run", "answered"}
    for row in rows:
        for key in ("claim", "verdict", "because", "says", "source"):
            assert " ".join(row[key].split()) in page.text, (row["claim"], key)
        entry = _entry(page, f"{KEY}-{row['claim']}")
        for key in ("effect", "margin", "n", "detectable") if row["verdict"] != "not run" else ():
            assert not row[key] or row[key] in entry, (row["claim"], key)
        assert not row["low"] or f"{row['low']} to {row['high']}" in entry


def _entry(page: Page, id_: str) -> list[str]:
    """The numbers in the entry of one claim."""
    articles = [a["id"] for a in page.all("article")]
    assert articles.count(id_) == 1
    return page.numbers[articles.index(id_)]


def test_what_was_not_run_says_why(root, page):
    missing = [row for row in read_claims(root / "claims.csv") if row["verdict"] == "not run"]
    for because in {row["because"].rstrip(".") for row in missing}:
        names = ", ".join(row["claim"] for row in missing if row["because"].rstrip(".") == because)
        assert f"{names} ({because})" in page.text
    assert "it needs the paper tier" in page.text  # a table above this tier
    others = [key for key in ("beyond_batchnorm", "norm_matters", "skipinit") if key != KEY]
    assert f"Not selected for this build: {', '.join(others)}" in page.text


def test_the_counts_of_verdicts_are_those_of_the_claims(root, text):
    found = counts(read_claims(root / "claims.csv"))[KEY]
    summary = text[text.index('<section id="summary"') :]
    cells = [int(n) for n in re.findall(r'<td class="count[^"]*">(\d+)</td>', summary[: summary.index("</table>")])]
    assert cells == [found[v] for v in ("supported", "contradicted", "inconclusive", "answered", "not run")] + [sum(found.values())]


def test_tables_hold_published_and_measured_in_cells_of_their_own(root, text):
    measured, paper = Measured.read(root), read_paper(KEY)
    verdicts = verdicts_of(KEY, read_claims(root / "claims.csv"))
    for table in paper.tables:
        part = text[text.index(f'<section id="{KEY}-{table.id}"') :]
        part = part[: part.index("</section>")]
        shaped = shaped_table(paper, table, measured, verdicts)
        cells = [html.unescape(c) for c in re.findall(r"<td class=[^>]*>(.*?)</td>", part)]
        expected = []
        for place in shaped.cells:
            for number, marks in (shaped.published(place), shaped.measured_here(place)):
                expected.append(number + (f"<sup>{', '.join(marks)}</sup>" if marks else ""))
        assert cells == expected
        for mark, note in shaped.footnotes():
            assert f"<sup>{mark}</sup> {note}." in html.unescape(part)


def test_every_figure_is_on_the_page(root, text, page):
    entries = read_json(root / "figures" / "figures.json")
    places = [a for a in page.all("div") if "data-drawing" in a]
    drawings = json.loads(unpacked(text, "drawings"))
    assert {int(a["data-drawing"]) for a in places} == set(range(len(entries))) and len(drawings) == len(entries)
    for place in places:
        entry = entries[int(place["data-drawing"])]
        assert place["role"] == "img" and place["aria-label"] == f"{entry['title']}. {entry['says']}"


def test_two_pages_are_equal_and_times_stand_in_their_own_section(root, text):
    assert report.render(root) == text
    before, _, cost = text.partition('<section id="cost" ')
    assert "minutes in all" in cost and "minutes in all" not in before and "MiB" not in before


def test_the_plotting_library_of_a_file_makes_the_same_page(root, text, tmp_path):
    library, output = tmp_path / "page" / "library.txt", tmp_path / "report.html"
    subprocess.run([sys.executable, "-m", "normbench.reporting.page.packed", "--output", library], check=True)
    subprocess.run(
        [sys.executable, "-m", "normbench.reporting.report", "--root", root, "--output", output, "--library", library], check=True
    )
    assert output.read_text() == text


def test_what_users_and_papers_write_is_escaped(root, monkeypatch):
    rows = read_claims(root / "claims.csv")
    rows[0] = {**rows[0], "says": "<script>alert(1)</script> & more", "because": '"><img src=x onerror=alert(1)>'}
    monkeypatch.setattr(report, "read_claims", lambda path: rows)
    text = report.render(root)
    assert "<script>alert" not in text and "<img" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more" in text


def test_the_share_of_training_is_that_of_the_records(root):
    measured = Measured.read(root)
    for run in measured.runs["run"].unique():
        write_record(root, run, step_seconds=0.6)
    try:
        assert f"{100 * 0.6 / 1.5:.0f}% of the time" in report.render(root)
    finally:
        for path in (root / "records").iterdir():
            path.unlink()
    assert "are not here" in report.render(root)


def test_an_inlined_figure_takes_the_pages_colors_and_no_id_of_another(root):
    path = root / "figures" / KEY / "ablation.svg"
    one, two = (inline_svg(path, prefix, "A label") for prefix in ("f1", "f2"))
    assert "var(--ink)" in one and "#1b1b1b" not in one and "font-family" not in one
    assert "metadata" not in one and "xmlns" not in one and "<style" not in one
    ids = [set(re.findall(r' id="([^"]*)"', text)) for text in (one, two)]
    assert ids[0] and not ids[0] & ids[1]
    assert one.replace("f1-", "f2-") == two


def test_the_command_writes_the_page(root, text, monkeypatch, capsys):
    output = root / "report.html"
    monkeypatch.setattr(sys, "argv", ["report", "--root", str(root), "--output", str(output)])
    assert report.main() == 0
    assert output.read_text(encoding="utf-8") == text
    monkeypatch.setattr(sys, "argv", ["report", "--root", str(root / "nowhere"), "--output", str(output)])
    assert report.main() == 1
    assert "is missing or broken" in capsys.readouterr().err


def test_a_page_holds_curves_of_fewer_points_and_then_of_fewer_seeds():
    assert run_data.room(1_000, 5) == run_data.Room(run_data.POINTS, None)
    assert run_data.room(30_000, 50) == run_data.Room(run_data.MOST_POINTS // 30_000, None)
    points, seeds = run_data.room(200_000, 100).points, run_data.room(200_000, 100).seeds
    assert points == run_data.FEWEST and points * 200_000 * seeds / 100 <= run_data.MOST_POINTS
