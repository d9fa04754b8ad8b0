"""The papers' tables as LaTeX: a real pdflatex compiles all that are published, and every character that a text may hold."""

import re
import subprocess
from pathlib import Path

import pytest
from debian import program

from normbench.core.schema import ROOT
from normbench.reporting.writers import _LATEX, NEEDS, tex

pytestmark = pytest.mark.slow

PDFLATEX = (("pdflatex",), "texlive-latex-base texlive-latex-recommended")


def compiled(body: str, folder: Path) -> str:
    """What pdflatex says of a document of this body, which takes what the tables say that they need."""
    packages = "\n".join(re.findall(r"\\usepackage\{\w+\}", NEEDS))
    text = "\n".join([r"\documentclass{article}", packages, r"\begin{document}", body, r"\end{document}"])
    (folder / "all.tex").write_text(text, encoding="utf-8")
    command = [program(*PDFLATEX), "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "all.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    assert (folder / "all.pdf").stat().st_size > 1000
    return done.stdout


@pytest.mark.parametrize("tier", sorted(path.parent.name for path in ROOT.glob("results/*/tables")))
def test_every_published_table_compiles_and_fits_the_page(tier, tmp_path):
    tables = sorted(ROOT.glob(f"results/{tier}/tables/*/*.tex"))
    assert len(tables) > 10
    for path in tables:
        assert path.read_text(encoding="utf-8").startswith(NEEDS)
    said = compiled("\n\\clearpage\n".join(path.read_text(encoding="utf-8") for path in tables), tmp_path)
    assert not re.findall(r"Overfull \\hbox \((\d{2,})\.", said), "a table is wider than the page by 10 points or more"
    assert "multiply defined" not in said


def test_characters_that_mean_something_to_latex_are_printed(tmp_path):
    compiled(tex("a" + " ".join(_LATEX) + "b") + r" \textsuperscript{" + tex("".join(_LATEX)) + "}", tmp_path)
