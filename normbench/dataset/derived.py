"""What follows from a tier's plan and tables, made by the line's own commands: ledger, papers' tables, prediction, figures, page."""

import subprocess
import sys
from pathlib import Path

from normbench.core.errors import InputError
from normbench.core.schema import ROOT

# name -> (module, what it is told behind --root, the files it writes); each reads what those before it wrote.
MADE = {
    "claims": ("normbench.analysis.ledger", (), "claims.csv"),
    "tables": ("normbench.reporting.tables", (), "tables"),
    "prediction": ("normbench.analysis.prediction", ("--output", "prediction.csv"), "prediction.csv"),
    "figures": ("normbench.reporting.figures", (), "figures"),
    "report": ("normbench.reporting.report", ("--output", "report.html"), "report.html"),
}


def make(root: Path, *made: str) -> None:
    """Run the commands of those names on the folder; what one of them says against it is an InputError."""
    for name in made:
        module, arguments, _ = MADE[name]
        told = [str(root / word) if not word.startswith("--") else word for word in arguments]
        command = [sys.executable, "-m", module, "--root", str(root), *told]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"{module} ended with {done.returncode}"]
            raise InputError(lines[-1].removeprefix("error: "))
