"""monotone: a metric gets better from arm to arm, or a quantity rises along blocks, steps or a swept setting."""

from typing import Literal

from pydantic import Field, model_validator

from normbench.claims.kinds.kind import Line
from normbench.claims.kinds.one_line import OneLine
from normbench.claims.operands import Operand, Reader
from normbench.claims.outcomes import Outcome


class Monotone(OneLine):
    """The metric gets better (rising) or worse (falling) over `arms` in their order; of one `arm`, a series rises or falls along x.

    margin: a step back of at most this, in the metric's unit, is none.
    """

    test: Literal["monotone"] = "monotone"
    arm: Operand | None = None
    arms: list[Operand] = []
    direction: Literal["rising", "falling"]
    margin: float = Field(0.0, ge=0)

    @model_validator(mode="after")
    def _levels_or_a_line(self) -> "Monotone":
        if (self.arm is None) == (not self.arms):
            raise ValueError("monotone needs exactly one of 'arm' and 'arms'")
        if self.arm is None and len(self.arms) < 2:
            raise ValueError("monotone needs at least two 'arms', since one has no order")
        if self.arm is None and (self.quantity or self.along):
            raise ValueError("monotone over 'arms' compares a metric of theirs; 'quantity' and 'along' are for one 'arm'")
        if self.arm is not None:
            self.check_line()
        return self

    def lines(self, claim_metric: str | None) -> list[Line]:
        return [] if self.arm is None else [self.line(self.arm, claim_metric)]

    def outcome(self, reader: Reader, claim_metric: str | None) -> Outcome:
        from normbench.claims.trends import along_levels, along_series

        if self.arm is not None:
            return along_series(self.line(self.arm, claim_metric).read(reader), self.direction, self.margin)
        levels = [reader.sample(operand, self.metric or claim_metric) for operand in self.arms]
        return along_levels(levels, self.direction, self.margin)
