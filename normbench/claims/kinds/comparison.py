"""What better, not_worse and within share: the means of two arms over their seeds."""

from typing import ClassVar

from normbench.claims.kinds.kind import Kind
from normbench.claims.operands import Operand, Reader
from normbench.claims.outcomes import Outcome, Readings


class Comparison(Kind):
    """The difference a - b of the means, positive where a is better, against where the test holds.

    paired: by seed, for arms that see the same data in the same order. strict: a difference on the bound itself shows nothing.
    """

    metric: str | None = None
    a: Operand
    b: Operand
    paired: bool = False
    strict: ClassVar[bool] = False

    def readings(self, unit: str) -> Readings:
        """How the sentence ends. unit: of the metric."""
        raise NotImplementedError

    def outcome(self, reader: Reader, claim_metric: str | None) -> Outcome:
        from normbench.claims.comparisons import compared
        from normbench.claims.decision import Region

        if self.paired:
            reader.check_paired(self.a, self.b)
        a, b = (reader.sample(operand, self.metric or claim_metric) for operand in (self.a, self.b))
        return compared(a, b, self.paired, Region(*self.holds(), strict=self.strict), self.allowed, self.readings(a.unit))

    @property
    def allowed(self) -> float:
        """The margin, in the metric's unit."""
        return self.margin

    def metrics(self, claim_metric: str | None) -> list[str | None]:
        return [self.metric or claim_metric]

    def detectable(self, n: int) -> str:
        from normbench.claims.stats import effect_size_welch

        return f"{effect_size_welch(n, n):.1f} sd" if n > 1 else "none with one seed"
