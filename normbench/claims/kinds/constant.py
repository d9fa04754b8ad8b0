"""constant: a quantity stays within a factor along blocks or steps."""

import math
from typing import ClassVar, Literal

from pydantic import Field

from normbench.claims.kinds.kind import Kind, Line, Scale, Stretch
from normbench.claims.operands import Operand, Reader
from normbench.claims.outcomes import Outcome, Readings


class Constant(Kind):
    """Largest over smallest of a quantity along k (or step) is at most `ratio`, in the mean over seeds of its logarithm."""

    test: Literal["constant"] = "constant"
    arm: Operand
    quantity: str
    along: str = "k"
    ratio: float = Field(gt=1)
    scale: ClassVar[Scale] = Scale(marks=(), reaches=(1.0,), log=True)
    effect_name: ClassVar[str] = "largest over smallest "
    holds_in_margins: ClassVar[Stretch] = (-math.inf, 1.0)

    def holds(self) -> Stretch:
        return -math.inf, self.ratio

    def over_margin(self, value: float, margin: float) -> float:
        return math.log(value) / math.log(margin)

    def lines(self, claim_metric: str | None) -> list[Line]:
        return [Line(self.arm, self.along, self.quantity, None)]

    def outcome(self, reader: Reader, claim_metric: str | None) -> Outcome:
        from normbench.claims.growth import constant

        words = f"constant within a factor of {self.ratio:g}"
        readings = Readings(words, f"not {words}", "whether it is constant stays open")
        return constant(reader.series(self.arm, self.quantity, self.along), self.ratio, readings)
