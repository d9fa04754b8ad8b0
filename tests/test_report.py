"""The page: whole in itself, everything escaped, its numbers those of claims.csv, and what was not run says why."""

import html
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from synthetic_build import make_build, write_record

from normbench import figures, report
from normbench.errors import InputError
from normbench.measured import Measured
from normbench.papers import read_paper
from normbench.shaped import measured_text, published_text
from normbench.showing.embedded import inline_svg
from normbench.summary import counts, read_claims
from normbench.tables import shaped_table

KEY = "rescalenet"
VOID = {"meta", "br", "hr", "img", "input", "link", "col"}


class Page(HTMLParser):
    """Elements with their attributes, the text, and every mistake in nesting."""

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.mistakes: list[str] = []
        self.numbers: list[list[str]] = []  # of each article: what its <dd> hold
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag == "article":
            self.numbers.append([])
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.mistakes.append(f"</{tag}> at {self.getpos()}")

    def handle_data(self, data):
        self.texts.append(data)
        if self.open and self.open[-1] == "dd" and "article" in self.open:
            self.numbers[-1].append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        return " ".join("".join(self.texts).split())


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


def test_the_page_is_well_formed_and_small(text, page):
    assert not page.mistakes and not page.open
    assert len(text.encode()) < 6_000_000
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_nothing_comes_from_elsewhere(text, page):
    for tag, attributes in page.elements:
        assert tag not in ("script", "link", "iframe", "object", "embed", "base")
        for key in ("src", "href", "xlink:href", "data", "action"):
            assert attributes.get(key, "#").startswith("#"), (tag, attributes)
        assert not [key for key in attributes if key.startswith("on")]
    assert "@import" not in text and "@font-face" not in text
    assert all(ref.startswith("#") for ref in re.findall(r"url\(([^)]*)\)", text))


def test_every_reference_leads_somewhere(text, page):
    ids = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    wanted = {a["href"][1:] for _, a in page.elements if (a.get("href") or "").startswith("#")} | set(re.findall(r"url\(#([^)]*)\)", text))
    assert wanted and wanted <= ids


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
    summary = text[text.index('<section id="summary">') :]
    cells = [int(n) for n in re.findall(r'<td class="count[^"]*">(\d+)</td>', summary[: summary.index("</table>")])]
    assert cells == [found[v] for v in ("supported", "contradicted", "inconclusive", "answered", "not run")] + [sum(found.values())]


def test_tables_hold_published_and_measured_in_cells_of_their_own(root, text):
    measured, paper = Measured.read(root), read_paper(KEY)
    for table in paper.tables:
        part = text[text.index(f'<section id="{KEY}-{table.id}">') :]
        part = part[: part.index("</section>")]
        shaped = shaped_table(paper, table, measured)
        cells = [html.unescape(c) for c in re.findall(r"<td class=[^>]*>([^<]*)</td>", part)]
        expected = [t for cell in shaped.cells.values() for t in (published_text(cell), measured_text(cell))]
        assert [c.removeprefix("≈ ") for c in cells] == expected
        for note in shaped.notes()[1].values():
            assert note in html.unescape(part)


def test_every_figure_is_on_the_page(root, page):
    from normbench.line import read_content

    entries = read_content(root / "figures" / "figures.json")
    labels = [a["aria-label"] for a in page.all("svg")]
    assert sorted(labels) == sorted(f"{e['title']}. {e['says']}" for e in entries)


def test_two_pages_are_equal_and_times_stand_in_their_own_section(root, text):
    assert report.render(root) == text
    before, _, cost = text.partition('<section id="cost">')
    assert "minutes in all" in cost and "minutes in all" not in before and "MiB" not in before


def test_what_users_and_papers_write_is_escaped(root, monkeypatch):
    rows = read_claims(root / "claims.csv")
    rows[0] = {**rows[0], "says": "<script>alert(1)</script> & more", "because": '"><img src=x onerror=alert(1)>'}
    monkeypatch.setattr(report, "read_claims", lambda path: rows)
    text = report.render(root)
    assert "<script" not in text and "<img" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more" in text


def test_the_share_of_training_is_that_of_the_records(root):
    measured = Measured.read(root)
    each = measured.runs.drop_duplicates("run")
    for run in each.run:
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


def test_a_broken_figure_is_one_sentence(tmp_path):
    path = tmp_path / "cut.svg"
    path.write_text("<svg><g>")
    with pytest.raises(InputError, match=r"cut\.svg: is missing or broken .*draws it again"):
        inline_svg(path, "f", "")


def test_the_command_writes_the_page(root, text, monkeypatch, capsys):
    output = root / "report.html"
    monkeypatch.setattr(sys, "argv", ["report", "--root", str(root), "--output", str(output)])
    assert report.main() == 0
    assert output.read_text(encoding="utf-8") == text
    monkeypatch.setattr(sys, "argv", ["report", "--root", str(root / "nowhere"), "--output", str(output)])
    assert report.main() == 1
    assert "is missing or broken" in capsys.readouterr().err
