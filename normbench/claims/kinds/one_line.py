"""What growth, monotone and figure share: a quantity along blocks or steps, or a metric along a swept setting."""

from normbench.claims.kinds.kind import Kind, Line
from normbench.claims.operands import Operand


class OneLine(Kind):
    """quantity: a probe, along k (which need not be said), or a curve, along step. Without one, `metric` along a swept setting."""

    metric: str | None = None
    quantity: str | None = None
    along: str | None = None

    def line(self, operand: Operand, claim_metric: str | None) -> Line:
        """What the test reads of an arm along something."""
        return Line(operand, self.along or "k", self.quantity, self.metric or claim_metric)

    def check_line(self) -> None:
        """Raises ValueError where nothing says what the line runs along."""
        if not (self.quantity or self.along):
            raise ValueError(f"{self.test} of one 'arm' needs 'quantity' or 'along'")

    def metrics(self, claim_metric: str | None) -> list[str | None]:
        return [] if self.quantity else [self.metric or claim_metric]
