"""A new kind of test is one file and one line: planned, judged and drawn, and nothing else has to know of it."""

import re

import pytest
from copies import copy_repository, printed

from normbench.core.schema import ROOT

pytestmark = pytest.mark.slow

NEW_KIND = '''"""above: an arm's mean is above a number."""

import math
from typing import ClassVar, Literal

from normbench.claims.kinds.kind import Kind, Stretch
from normbench.claims.operands import Operand
from normbench.claims.outcomes import Readings


class Above(Kind):
    """The mean of the claim's metric is above `bound` by at least `by`."""

    test: Literal["above"] = "above"
    arm: Operand
    bound: float
    by: float
    effect_name: ClassVar[str] = "lead "
    holds_in_margins: ClassVar[Stretch] = (1.0, math.inf)

    def metrics(self, claim_metric):
        return [claim_metric]

    def holds(self):
        return self.by, math.inf

    def detectable(self, n):
        return f"a lead with {n} seeds"

    def outcome(self, reader, claim_metric):
        from normbench.claims.comparisons import against_number
        from normbench.claims.decision import Region

        readings = Readings("well above", "not above", "whether it is above stays open")
        return against_number(reader.sample(self.arm, claim_metric), self.bound, Region(*self.holds()), self.by, readings)
'''
LINE = "from normbench.claims.kinds.above import Above as Above\n"
# A quick build with invented results, planned and judged, then what is drawn and printed of the claim.
LOOK = f"""
import contextlib, io, json, sys
from pathlib import Path
from unittest import mock
sys.path.append({str(ROOT / "tests")!r})
from synthetic_build import make_build
from normbench.analysis.results import Measured
from normbench.config.papers import read_paper
from normbench.planning import plan_report
from normbench.reporting.page.ledger import entry
from normbench.reporting.plots.ledger_figure import ledger_figure
from normbench.reporting.summary import read_claims

with contextlib.redirect_stdout(io.StringIO()) as printed:
    root = make_build(Path("build"), "quick", ("rescalenet",))
    with mock.patch.object(sys, "argv", ["plan_report", "--config", json.dumps({{"papers": "rescalenet"}})]):
        plan_report.main()
paper, measured, rows = read_paper("rescalenet"), Measured.read(root), read_claims(root / "claims.csv")
(row,) = [row for row in rows if row["claim"] == "beats-fixup"]
claim = next(c for c in paper.claims if c.id == "beats-fixup")
axes = ledger_figure(paper, [row], measured).figure.axes[0]
print(json.dumps({{
    "plan": printed.getvalue(),
    "row": row,
    "entry": entry(paper, claim, row, measured, {{}}),
    "texts": [text.get_text() for text in axes.texts],
    "holds": [p.get_paths()[0].get_extents().get_points()[:, 0].tolist() for p in axes.collections],
}}))
"""


def test_a_new_kind_is_one_file_and_one_line(tmp_path):
    root = copy_repository(tmp_path / "copy")
    kinds = root / "normbench" / "claims" / "kinds"
    (kinds / "above.py").write_text(NEW_KIND, encoding="utf-8")
    union = (kinds / "__init__.py").read_text(encoding="utf-8")
    (kinds / "__init__.py").write_text(union.replace("from normbench.claims.kinds.better", LINE + "from normbench.claims.kinds.better", 1))
    paper = root / "papers" / "rescalenet.yaml"
    old, new = "{test: better, a: resnet50_rescalenet, b: resnet50_fixup}", "{test: above, arm: resnet50_rescalenet, bound: -300, by: 5}"
    text = paper.read_text(encoding="utf-8")
    assert old in text
    paper.write_text(text.replace(old, new, 1), encoding="utf-8")

    seen = printed(LOOK, root)
    assert re.search(r"beats-fixup.*above.*a lead with 3 seeds", seen["plan"])
    assert seen["row"]["verdict"] == "supported" and "well above" in seen["row"]["because"] and seen["row"]["margin"] == "5"
    assert any(text.startswith("lead ") and text.endswith("n 3") for text in seen["texts"])
    assert seen["holds"] == [[1.0, 100.0]]
    ((words, picture),) = seen["entry"]["pictures"]
    assert "the claim holds above 5" in picture and words in seen["row"]["because"]
    assert seen["entry"]["tests"] == ["above"] and [one["label"] for one in seen["entry"]["arms"]]
