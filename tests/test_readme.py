"""The README's example is complete: copied into methods/ it conforms, and stands in every table without another edit."""

import re

import pytest

from normbench import methods, papers, plan, tiers
from normbench.conformance import CHECKS
from normbench.methods import load_method
from normbench.schema import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """A methods folder with the suite's files and the README's."""
    source = re.search(r"<!-- example: methods/my_norm.py -->\n```python\n(.*?)```", README, re.DOTALL).group(1)
    folder = tmp_path_factory.mktemp("methods")
    for file in methods.METHODS.glob("*.py"):
        (folder / file.name).symlink_to(file)
    (folder / "my_norm.py").write_text(source, encoding="utf-8")
    return folder


def test_the_example_is_about_thirty_lines(example):
    lines = [line for line in (example / "my_norm.py").read_text(encoding="utf-8").splitlines() if line.strip()]
    assert len(lines) <= 32


@pytest.mark.parametrize("check", CHECKS)
def test_the_example_conforms(example, check):
    CHECKS[check](load_method("my_norm", example))


def test_the_example_stands_in_every_table_with_a_guest_row(example, monkeypatch):
    monkeypatch.setattr(plan, "method_names", lambda: methods.method_names(example))
    monkeypatch.setattr(tiers, "_method_file", lambda name: methods.read_method(name, example))
    made = plan.make_plan("quick")
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
