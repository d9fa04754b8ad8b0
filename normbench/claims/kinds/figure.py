"""figure: numbers that answer a question, and judge nothing."""

from typing import Literal

from pydantic import Field

from normbench.claims.kinds.kind import Line
from normbench.claims.kinds.one_line import OneLine
from normbench.claims.operands import Operand, Reader, every_found
from normbench.claims.outcomes import Outcome, Sample, Series
from normbench.core.formatting import amount, decimals, number, rounded


class Figure(OneLine):
    """The mean and standard deviation of a metric for each of `arms`, or where each one's series starts and ends.

    An arm that has nothing to show (it diverged, say) is left out unless all are.
    """

    test: Literal["figure"] = "figure"
    arms: list[Operand] = Field(min_length=1)

    def lines(self, claim_metric: str | None) -> list[Line]:
        return [self.line(operand, claim_metric) for operand in self.arms] if self.quantity or self.along else []

    def outcome(self, reader: Reader, claim_metric: str | None) -> Outcome:
        def read(operand: Operand) -> Sample | Series:
            if self.quantity or self.along:
                return self.line(operand, claim_metric).read(reader)
            return reader.sample(operand, self.metric or claim_metric)

        numbers = {one.label: one for one in every_found(self.arms, read)}
        says = "; ".join(shown(one) for one in numbers.values())
        return Outcome(rule="answered", says=says, n=min(one.n for one in numbers.values()), unit=next(iter(numbers.values())).unit)


def shown(one: Sample | Series) -> str:
    """BN 91.00% (n 3, sd 0.26)."""
    if isinstance(one, Series):
        return _ends(one)
    import numpy as np

    lost = f", {sum(one.diverged)} diverged" if any(one.diverged) else ""
    metric = f" {one.metric.replace('_', ' ')}" if one.metric else ""
    if one.n < 2:
        return f"{one.label} {amount(one.mean, one.unit, decimals(0, one.unit, one.values))}{metric} (n 1{lost})"
    sd = float(np.std(one.values, ddof=1))
    digits = decimals(sd, one.unit, (one.mean,))
    return f"{one.label} {amount(one.mean, one.unit, digits)}{metric} (n {one.n}, sd {number(sd, digits)}{lost})"


def _ends(series: Series) -> str:
    import numpy as np

    means = np.mean(series.values, axis=0)
    first, last, low, high = (float(v) for v in (means[0], means[-1], means.min(), means.max()))
    spread = float(np.mean(np.std(series.values, axis=0, ddof=1))) if series.n > 1 else 0.0
    bounds = f"lowest {rounded(low, series.unit)}, highest {rounded(high, series.unit)}"
    sd = f", sd over seeds {rounded(spread, series.unit)}" if series.n > 1 else ""
    ends = f"{rounded(first, series.unit)} at {series.x[0]:g} and {rounded(last, series.unit)} at {series.x[-1]:g}"
    return f"{series.label} {ends} ({bounds}, n {series.n}{sd})"
