"""reproduces: an arm reaches a published number."""

from typing import ClassVar, Literal

from pydantic import Field

from normbench.claims.kinds.kind import Kind, Stretch
from normbench.claims.operands import Operand, Reader
from normbench.claims.outcomes import Outcome, Readings, not_run
from normbench.core.formatting import exactly

SCALE = "paper"  # the tier that runs what the paper ran


class Reproduces(Kind):
    """The mean lies within `tolerance` of the number at the coordinates `reported`; only a run at the paper's own scale can say so."""

    test: Literal["reproduces"] = "reproduces"
    metric: str | None = None
    arm: Operand
    reported: dict[str, str]
    tolerance: float = Field(ge=0)
    holds_in_margins: ClassVar[Stretch] = (-1.0, 1.0)

    def metrics(self, claim_metric: str | None) -> list[str | None]:
        return [self.metric or claim_metric]

    def holds(self) -> Stretch:
        return -self.tolerance, self.tolerance

    def outcome(self, reader: Reader, claim_metric: str | None) -> Outcome:
        from normbench.claims.comparisons import against_number
        from normbench.claims.decision import Region

        number, sample = reader.reported(self.reported), reader.sample(self.arm, self.metric or claim_metric)
        if reader.tier != SCALE:
            says = f"a reported number can only be reproduced at the {SCALE} tier, and this is the {reader.tier} tier"
            return not_run(says, sample.n, margin=self.tolerance, unit=sample.unit)
        words = exactly(self.tolerance, sample.unit)
        readings = Readings(f"within {words} of it", f"more than {words} from it", f"whether it is within {words} stays open")
        return against_number(sample, number, Region(*self.holds()), self.tolerance, readings)
