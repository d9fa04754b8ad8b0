"""The page in a real Chromium: it loads without a complaint and asks for nothing, and hands, keys and eyes get what they need of it."""

import json
from pathlib import Path

import pytest
from browser import CHROMIUM, browser
from debian import Unavailable, program
from synthetic_build import make_build

from normbench.analysis.results import Measured
from normbench.config.papers import read_paper
from normbench.core.files import write_json
from normbench.core.schema import ROOT
from normbench.reporting import figures, report
from normbench.reporting.plots.style import save
from normbench.reporting.summary import read_claims

pytestmark = pytest.mark.slow

KEY = "norm_matters"
PICTURES = ROOT / "build" / "screenshots"  # for people to look at
CHART = "article.open .chart svg"


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A tier with one paper and the first of its figures, its page beside them."""
    folder = make_build(tmp_path_factory.mktemp("build"), "quick", (KEY,))
    measured, claims, entries = Measured.read(folder), read_claims(folder / "claims.csv"), []
    draws = list(figures.paper_figures(read_paper(KEY), claims, measured, folder / "pictures"))
    for one in [drawn for draw in draws[:2] for drawn in draw()][:2]:
        save(one, folder / "figures" / KEY)
        entries.append({"paper": KEY, "name": one.name, "kind": one.kind, "of": one.of, "title": one.title, "says": one.says})
    write_json(folder / "figures" / "figures.json", entries)
    (folder / "report.html").write_text(report.render(folder), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    PICTURES.mkdir(parents=True, exist_ok=True)
    try:
        with browser(tmp_path_factory.mktemp("profile")) as one:
            yield one
    except Unavailable as reason:
        pytest.fail(str(reason), pytrace=False)


@pytest.fixture
def page(chromium, root):
    """The page, freshly loaded on a desk's screen in daylight; whatever a test does, its console stays quiet."""
    chromium.size(1280, 900)
    chromium.dark(False)
    chromium.open("about:blank")
    chromium.errors.clear()
    chromium.requests.clear()
    chromium.open((root / "report.html").as_uri())
    chromium.until("typeof drawings !== 'undefined' && drawings !== null")
    yield chromium
    assert chromium.errors == []
    assert [address for address in chromium.requests if not address.startswith("data:")] == [(root / "report.html").as_uri()]


def one_claim(root: Path, **wanted: str) -> dict[str, str]:
    return next(row for row in read_claims(root / "claims.csv") if all(row[key] == value for key, value in wanted.items()))


def expanded(page) -> list[str]:
    return page.do("claims.filter(c => $('.head', c).getAttribute('aria-expanded') === 'true').map(c => c.id)")


def shown(page) -> int:
    return page.do("claims.filter(c => c.getBoundingClientRect().height > 0).length")


def trained(page) -> str:
    """Opens the first claim whose runs have curves; its id."""
    id_ = page.do("claims.find(c => c.dataset.task === 'imagenet' && $('tr[data-arm]', c)).id")
    page.do(f"$('#{id_} .head').click()")
    page.until(f"document.querySelector('{CHART}') !== null")
    return id_


def test_filters_show_what_they_count_and_the_address_keeps_them(page, root):
    rows = read_claims(root / "claims.csv")
    page.do("boxes.find(b => b.value === 'inconclusive').click()")
    mine = [row for row in rows if row["verdict"] == "inconclusive"]
    assert 0 < len(mine) < len(rows) and shown(page) == len(mine)
    assert page.do("$('#shown').textContent") == f"{len(mine)} of {len(rows)}"
    for task in {row["task"] for row in rows}:
        told = page.do(f"$('.n', boxes.find(b => b.value === {json.dumps(task)}).parentNode).textContent")
        assert int(told) == sum(row["task"] == task for row in mine)
    address = page.do("location.href")
    assert address.endswith("#verdict=inconclusive")
    page.open("about:blank")
    page.requests.clear()
    page.open(address)
    assert shown(page) == len(mine)
    page.do("$('#clear').click()")
    assert shown(page) == len(rows) and "#" not in page.do("location.href")


def test_a_link_opens_its_claim_and_shows_it(page, root):
    row = one_claim(root, verdict="inconclusive")
    id_ = f"{KEY}-{row['claim']}"
    page.do("boxes.find(b => b.value === 'supported').click()")
    page.do(f"location.hash = '#{id_}'")
    page.until(f"$('#{id_}').classList.contains('open')")
    assert expanded(page) == [id_] and page.do(f"document.activeElement === $('#{id_} .head')")
    top, text = page.do(f"[$('#{id_}').getBoundingClientRect().top, $('#{id_} .because').innerText]")
    assert -1 <= top < 900 and "".join(text.split()) == "".join(row["because"].split())


def test_keys_alone_read_a_claim(page):
    page.do("$('.head', claims[0]).focus()")
    page.press("Enter")
    first, second = page.do("[claims[0].id, claims[1].id]")
    assert expanded(page) == [first] and page.do("$('.panel', claims[0]).getBoundingClientRect().height") > 50
    page.press("ArrowDown")
    assert page.do("document.activeElement.closest('article').id") == second
    page.press(" ")
    assert expanded(page) == [first, second]
    page.press("ArrowUp")
    page.press("Enter")
    assert expanded(page) == [second]
    page.do("boxes[0].focus()")
    page.press(" ")
    assert page.do("boxes[0].checked")
    assert page.do("getComputedStyle(boxes[0]).outlineStyle") == "solid"  # whoever uses keys sees where they are


def test_a_claim_shows_its_interval_its_arms_and_a_curve_of_every_run(page, root):
    id_ = trained(page)
    page.until(f"document.querySelectorAll('{CHART} .mark-line path').length > 0")
    runs, lines = page.do(f"[$('#{id_} .runs summary').textContent, document.querySelectorAll('{CHART} .mark-line path').length]")
    assert lines == int(runs.split()[0]) > 3
    assert page.do(f"$('#{id_} .interval .effect') !== null && $('#{id_} .interval').getAttribute('aria-label').includes('effect')")
    page.do(f"$('#{id_}').scrollIntoView()")
    page.picture(PICTURES / "claim.png")
    page.do(f"$('#{id_} .runs summary').click()")
    page.until(f"$('#{id_} .runs button[aria-pressed]') !== null")
    page.do(f"$('#{id_} .runs button[aria-pressed]').click()")
    page.until(
        f"[...document.querySelectorAll('{CHART} .mark-line path')].filter(p => p.getAttribute('opacity') < 0.5).length === {lines - 1}"
    )
    assert page.do(f"$('#{id_} .runs button[aria-pressed=true]') !== null")
    assert page.do(f"$('#{id_} .command code').textContent") == f"snakemake all --config tier=quick papers={KEY} tasks=imagenet"
    page.picture(PICTURES / "runs.png")


def test_figures_are_drawn_where_somebody_looks(page):
    page.do("$('[data-drawing]').scrollIntoView()")
    page.until("$('[data-drawing].drawn svg[role=img]') !== null")
    label = page.do("$('[data-drawing].drawn svg').getAttribute('aria-label')")
    assert len(label) > 30
    page.picture(PICTURES / "figure.png")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_text_stands_out_from_its_page(page, dark):
    page.dark(dark)
    trained(page)
    low = page.do(CONTRAST)
    assert low == []
    luminance = page.do("luminance(getComputedStyle(document.body).backgroundColor)")
    assert (luminance < 0.05) == dark
    page.picture(PICTURES / f"{'dark' if dark else 'light'}.png")


# Texts with less than 4.5 to 1 (WCAG 2, AA) against the nearest background behind them.
CONTRAST = """
luminance = (color) => {
  const linear = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const [r, g, b] = color.match(/[\\d.]+/g).slice(0, 3).map((v) => linear(v / 255));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
[...document.querySelectorAll('body *')].filter((e) => e.offsetParent && !e.closest('svg')
    && [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim())).flatMap((e) => {
  let up = e;
  while (up && /^rgba.*, 0\\)$|transparent/.test(getComputedStyle(up).backgroundColor)) up = up.parentElement;
  const [a, b] = [getComputedStyle(e).color, getComputedStyle(up ?? document.body).backgroundColor].map(luminance);
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  return ratio < 4.5 ? [e.tagName + ': ' + e.textContent.trim().slice(0, 40) + ' ' + ratio.toFixed(2)] : [];
}).slice(0, 5)
"""


def test_a_telephone_scrolls_one_way_only(page):
    page.size(390, 844)
    trained(page)
    page.until("document.documentElement.scrollWidth <= 390")
    page.do("$('article.open').scrollIntoView()")
    page.picture(PICTURES / "telephone.png")


def test_paper_gets_everything(page, tmp_path):
    assert page.printed(tmp_path / "report.pdf").stat().st_size > 50_000
    assert page.do("document.querySelectorAll('[data-drawing]:not(.drawn)').length") == 0
    (PICTURES / "print.pdf").write_bytes((tmp_path / "report.pdf").read_bytes())


def test_a_screen_reader_finds_its_way(page):
    assert page.do("['header', 'nav[aria-label]', 'main', 'footer'].every((s) => document.querySelectorAll(s).length === 1)")
    controls = "all('button, input, select, a[href], summary')"
    unnamed = f"{controls}.filter((e) => !(e.textContent.trim() || e.labels?.length)).length"
    assert page.do(unnamed) == 0
    jumps = "all('h1, h2, h3, h4').map((h) => +h.tagName[1]).some((level, i, every) => i && level > every[i - 1] + 1)"
    assert not page.do(jumps)
    assert page.do("all('main > section').every((s) => document.getElementById(s.getAttribute('aria-labelledby')))")
    assert page.do("claims.every((c) => document.getElementById($('.head', c).getAttribute('aria-controls')) === $('.panel', c))")


def test_where_no_browser_can_be_had_one_sentence_says_so(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(Unavailable, match=r"^chromium is not installed, .*; as root: apt-get install .*chromium"):
        program(*CHROMIUM)
