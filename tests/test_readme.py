"""The README's example is complete: copied into methods/ it conforms, and stands in every table without another edit."""

import re
import shlex

import pytest
from snakemake.cli import parse_config

from normbench.config import papers
from normbench.conformance.kit import CHECKS
from normbench.core.schema import ROOT
from normbench.hooks.methods import load_method
from normbench.planning import make
from normbench.planning.settings import CONFIG

README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """A folder of methods with the README's."""
    source = re.search(r"<!-- example: methods/my_norm.py -->\n```python\n(.*?)```", README, re.DOTALL).group(1)
    folder = tmp_path_factory.mktemp("methods")
    (folder / "my_norm.py").write_text(source, encoding="utf-8")
    return folder


def test_the_example_is_about_thirty_lines(example):
    lines = [line for line in (example / "my_norm.py").read_text(encoding="utf-8").splitlines() if line.strip()]
    assert len(lines) <= 32


@pytest.mark.parametrize("check", CHECKS)
def test_the_example_conforms(example, check):
    CHECKS[check](load_method("my_norm", example))


def test_the_example_stands_in_every_table_with_a_guest_row(example, monkeypatch):
    monkeypatch.setenv("NORMBENCH_METHODS_PATH", str(example))
    made = make.make_plan("quick")
    assert made.guests == ["my_norm"]
    for key, paper in made.papers.items():
        for table in paper.tables:
            if table.guests and papers.reached(table.start, "quick"):
                for arm in table.rows[table.guests].arms.values():
                    (point,) = made.points[key, f"{arm}@my_norm"]
                    assert made.arms[point[1]].method == "my_norm"
                    assert made.arms[point[1]].recipe == made.arms[made.points[key, arm][0][1]].recipe


def test_commands_and_files_that_it_names_exist():
    for name in re.findall(r"\]\(([\w./-]+)\)", README):
        assert (ROOT / name).exists(), name
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make (\w+)", README, re.MULTILINE):
        assert f"\n{target}:" in makefile


def documented() -> list[str]:
    """Every `snakemake` command in what users read."""
    pages = [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "methods" / "README.md",
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("tasks/**/README.md"),
        ROOT / "results" / "README.md",
    ]
    texts = [re.sub(r"\\\n", " ", page.read_text(encoding="utf-8")) for page in pages]
    found = {one.strip() for text in texts for one in re.findall(r"^\s*snakemake [^#`\n]*|`snakemake [^`\n]+`", text, re.MULTILINE)}
    return sorted(one.strip("`") for one in found)


@pytest.mark.parametrize("command", documented())
def test_documented_commands_are_such_that_snakemake_takes_them(command):
    """Its keys have two letters at least, and ours are these; its targets are rules of ours."""
    words = shlex.split(command)
    after = words[words.index("--config") + 1 :] if "--config" in words else []
    entries = [word for i, word in enumerate(after) if not any(w.startswith("-") for w in after[: i + 1])]
    assert set(parse_config(entries)) <= set(CONFIG)
    rules = re.findall(
        r"^rule (\w+):", "".join(p.read_text(encoding="utf-8") for p in [ROOT / "Snakefile", *ROOT.glob("workflows/*.smk")]), re.MULTILINE
    )
    assert len(words) == 1 or words[1].startswith("-") or words[1] in rules or "/" in words[1]


def test_there_are_commands_to_look_at():
    assert len(documented()) > 15
