"""equal: a quantity of two arms is the same value by value, or a known number everywhere."""

import math
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from normbench.claims.kinds.kind import Kind, Stretch
from normbench.claims.operands import Operand, Reader
from normbench.claims.outcomes import Outcome, Readings, Series


class Equal(Kind):
    """The largest relative error between a quantity of a and that of b, or a known `value`, is at most `rtol`, seed by seed."""

    test: Literal["equal"] = "equal"
    a: Operand
    b: Operand | None = None
    value: float | None = None
    quantity: str
    along: str = "k"
    rtol: float = Field(ge=0)
    effect_name: ClassVar[str] = "relative error "
    holds_in_margins: ClassVar[Stretch] = (-math.inf, 1.0)

    @model_validator(mode="after")
    def _one_other_side(self) -> "Equal":
        if (self.b is None) == (self.value is None):
            raise ValueError("equal needs exactly one of 'b' and 'value'")
        return self

    def holds(self) -> Stretch:
        return -math.inf, self.rtol

    def outcome(self, reader: Reader, claim_metric: str | None) -> Outcome:
        from normbench.claims.equality import equal

        a = reader.series(self.a, self.quantity, self.along)
        b = known(a, self.value) if self.b is None else reader.series(self.b, self.quantity, self.along)
        return equal(a, b, self.rtol, Readings("equal", "not equal", ""))


def known(series: Series, value: float) -> Series:
    """A series of the same places and seeds that is `value` everywhere."""
    rows = tuple((float(value),) * len(series.x) for _ in series.seeds)
    return Series(f"{value:g}", series.x, rows, series.seeds, series.unit)
