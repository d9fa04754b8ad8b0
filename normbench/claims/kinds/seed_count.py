"""What trainable and untrainable share: how many seeds of an arm end finite and better than chance."""

from typing import ClassVar

from pydantic import Field

from normbench.claims.kinds.kind import Kind, Scale
from normbench.claims.operands import Operand


class SeedCount(Kind):
    """The share of an arm's seeds that end better than chance by at least `margin`, in the metric's unit. A count decides, no p-value.

    contrary: what a seed would have to show against the test, in words.
    """

    metric: str | None = None
    arm: Operand
    margin: float = Field(ge=0)
    scale: ClassVar[Scale] = Scale(reaches=(1.0,), share=True)
    effect_name: ClassVar[str] = "of seeds train"
    contrary: ClassVar[str]

    def metrics(self, claim_metric: str | None) -> list[str | None]:
        return [self.metric or claim_metric]

    def detectable(self, n: int) -> str:
        from normbench.claims.stats import detectable_rate

        return f"{100 * detectable_rate(n):.0f}% of seeds {self.contrary}"
