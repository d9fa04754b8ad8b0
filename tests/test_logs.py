"""What stands in the logs: of other libraries no debug line, whatever one of them did to the root logger."""

import subprocess
import sys

import pytest
from records_on_disk import write_line

from normbench.core.schema import ROOT

pytestmark = pytest.mark.slow

# As where a library, once imported, sets logging up for all others.
LOUD = """
import importlib, logging, sys
module = importlib.import_module(sys.argv.pop(1))
logging.basicConfig(level=logging.DEBUG)
sys.exit(module.main())
"""
PICTURE = """
import io, logging
from PIL import Image
logging.basicConfig(level=logging.DEBUG)
file = io.BytesIO()
Image.new("L", (2, 2)).save(file, "png")
Image.open(file)
"""


def loudly(module: str, *words: str) -> str:
    """What a command prints where every library may log all."""
    done = subprocess.run([sys.executable, "-c", LOUD, module, *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_a_picture_has_debug_lines_in_other_programs():
    assert "DEBUG:PIL" in subprocess.run([sys.executable, "-c", PICTURE], capture_output=True, text=True).stderr


def test_data_are_made_without_debug_lines(tmp_path):
    words = ("--data", str(tmp_path), "--dataset", "digit_scenes", "--ready", str(tmp_path / "ready.json"))
    assert "DEBUG" not in loudly("normbench.execution.prepare", *words)


def test_figures_are_drawn_without_debug_lines(tmp_path):
    root = write_line(tmp_path / "tiny", papers=["norm_matters"])
    loudly("normbench.analysis.ledger", "--root", str(root))
    loudly("normbench.analysis.prediction", "--root", str(root), "--output", str(root / "prediction.csv"))
    said = loudly("normbench.reporting.figures", "--root", str(root))
    assert "DEBUG" not in said and list(root.glob("figures/norm_matters/*.png"))
