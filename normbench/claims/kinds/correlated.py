"""correlated: two metrics go together over arms."""

from typing import Literal

from pydantic import Field

from normbench.claims.kinds.kind import Kind, Stretch
from normbench.claims.operands import Operand, Reader, every_found
from normbench.claims.outcomes import Outcome, Readings, Sample


class Correlated(Kind):
    """The correlation of the metrics x and y over `arms` has this sign and is at least `at_least` in size.

    An arm counts by its means over seeds; one that has not both metrics (its method refuses, say) is left out.
    """

    test: Literal["correlated"] = "correlated"
    x: str
    y: str
    sign: Literal["positive", "negative"]
    at_least: float = Field(0.0, ge=0, lt=1)
    arms: list[Operand] = Field(min_length=1)

    def metrics(self, claim_metric: str | None) -> list[str | None]:
        return [self.x, self.y]

    def holds(self) -> Stretch:
        return (self.at_least, 1.0) if self.sign == "positive" else (-1.0, -self.at_least)

    def outcome(self, reader: Reader, claim_metric: str | None) -> Outcome:
        from normbench.claims.trends import correlated

        size = f" of at least {self.at_least:g}" if self.at_least else ""
        words = f"{self.sign} correlation{size}"
        readings = Readings(f"a {words}", f"no {words}", f"whether there is a {words} stays open")
        return correlated(*self.points(reader), self.sign, self.at_least, readings)

    def points(self, reader: Reader) -> tuple[Sample, Sample]:
        """x and y, each a sample with one value an arm; `seeds` number the arms."""
        means = every_found(self.arms, lambda operand: [reader.sample(operand, metric).mean for metric in (self.x, self.y)])
        n = len(means)
        return tuple(
            Sample(metric.replace("_", " "), values, tuple(range(n)), (False,) * n, "", "none", None, metric)
            for metric, values in zip((self.x, self.y), zip(*means, strict=True), strict=True)
        )
