"""not_worse: the mean of one arm is at most a margin behind another's."""

import math
from typing import ClassVar, Literal

from pydantic import Field

from normbench.claims.kinds.comparison import Comparison
from normbench.claims.kinds.kind import Stretch
from normbench.claims.outcomes import Readings
from normbench.core.formatting import exactly


class NotWorse(Comparison):
    """The mean of a is not worse than that of b by more than `margin`, in the metric's unit."""

    test: Literal["not_worse"] = "not_worse"
    margin: float = Field(ge=0)
    holds_in_margins: ClassVar[Stretch] = (-1.0, math.inf)

    def holds(self) -> Stretch:
        return -self.margin, math.inf

    def readings(self, unit: str) -> Readings:
        worse = f"worse by more than {exactly(self.margin, unit)}" if self.margin else "worse"
        return Readings(f"not {worse}", worse, f"whether it is {worse} stays open")
