"""within: the means of two arms are a margin apart at most."""

from typing import ClassVar, Literal

from pydantic import Field

from normbench.claims.kinds.comparison import Comparison
from normbench.claims.kinds.kind import Stretch
from normbench.claims.outcomes import Readings
from normbench.core.formatting import exactly


class Within(Comparison):
    """The means of a and b differ by at most `margin` either way, in the metric's unit (two one-sided tests)."""

    test: Literal["within"] = "within"
    margin: float = Field(ge=0)
    holds_in_margins: ClassVar[Stretch] = (-1.0, 1.0)

    def holds(self) -> Stretch:
        return -self.margin, self.margin

    def readings(self, unit: str) -> Readings:
        words = exactly(self.margin, unit)
        return Readings(f"within {words} of each other", f"more than {words} apart", f"whether they are within {words} stays open")
