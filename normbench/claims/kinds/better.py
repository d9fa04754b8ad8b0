"""better: the mean of one arm is better than another's."""

import math
from typing import ClassVar, Literal

from pydantic import Field

from normbench.claims.kinds.comparison import Comparison
from normbench.claims.kinds.kind import Stretch
from normbench.claims.outcomes import Readings
from normbench.core.formatting import exactly


class Better(Comparison):
    """The mean of a is better than that of b by more than `by`, in the metric's unit (Welch's t, or Student's over the pairs of a seed)."""

    test: Literal["better"] = "better"
    by: float = Field(0.0, ge=0)
    strict: ClassVar[bool] = True
    holds_in_margins: ClassVar[Stretch] = (1.0, math.inf)

    @property
    def allowed(self) -> float:
        return self.by

    def holds(self) -> Stretch:
        return self.by, math.inf

    def readings(self, unit: str) -> Readings:
        if not self.by:
            return Readings("better", "worse", "which is better stays open")
        words = exactly(self.by, unit)
        return Readings(f"better by more than {words}", f"not better by {words}", f"whether it is better by {words} stays open")
