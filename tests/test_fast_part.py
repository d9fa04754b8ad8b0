"""What `make test-fast` leaves out is little enough: it still touches every package of the library and every task."""

import ast
from pathlib import Path

from test_architecture import LAYERS, imports

from normbench.config.tasks import task_names
from normbench.core.schema import ROOT

SLOW = "pytest.mark.slow"


def has_fast_tests(file: Path) -> bool:
    body = ast.parse(file.read_text(encoding="utf-8")).body
    if any(isinstance(node, ast.Assign) and ast.unparse(node) == f"pytestmark = {SLOW}" for node in body):
        return False
    tests = [node for node in body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    return not all(SLOW in map(ast.unparse, test.decorator_list) for test in tests)


def touched(folder: Path) -> set[str]:
    """The packages and tasks that files with fast tests import: {"normbench.core", "tasks.wmt", ...}."""
    files = [file for file in folder.glob("test_*.py") if has_fast_tests(file)]
    return {".".join(name.split(".")[:2]) for file in files for name in imports(file)}


def test_fast_tests_touch_every_package_and_task():
    everything = {f"normbench.{name}" for name in LAYERS} | {f"tasks.{name}" for name in task_names()}
    assert everything - touched(ROOT / "tests") == set()


def test_a_file_of_slow_tests_alone_counts_for_nothing(tmp_path):
    fast = "import pytest\nfrom normbench.core import files\n\n\ndef test_a():\n    pass\n\n\n@pytest.mark.slow\ndef test_b():\n    pass\n"
    for name, text in (
        ("fast", fast),
        ("module", fast + f"\n\npytestmark = {SLOW}\n"),
        ("each", fast.replace("def test_a", f"@{SLOW}\ndef test_a")),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "test_it.py").write_text(text)
        assert ("normbench.core" in touched(tmp_path / name)) is (name == "fast"), name
