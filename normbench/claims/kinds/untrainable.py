"""untrainable: no seed of an arm trains, in a budget in which a control does."""

from typing import ClassVar, Literal

from normbench.claims.kinds.kind import Stretch
from normbench.claims.kinds.seed_count import SeedCount
from normbench.claims.operands import Operand, Reader
from normbench.claims.outcomes import Outcome


class Untrainable(SeedCount):
    """No seed ends finite and better than chance by at least `margin`.

    control: an arm that has to train in the same budget for the failure to mean anything.
    """

    test: Literal["untrainable"] = "untrainable"
    control: Operand
    contrary: ClassVar[str] = "training"

    def about(self) -> list[Operand]:
        return [self.arm]

    def holds(self) -> Stretch:
        return 0.0, 0.0

    def outcome(self, reader: Reader, claim_metric: str | None) -> Outcome:
        from normbench.claims.trainability import untrainable

        a, control = (reader.sample(operand, self.metric or claim_metric) for operand in (self.arm, self.control))
        return untrainable(a, self.margin, control)
