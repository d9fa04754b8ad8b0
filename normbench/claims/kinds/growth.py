"""growth: a quantity grows by a power, or exponentially, along blocks or a swept setting."""

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from normbench.claims.kinds.kind import InMargins, Line, Scale, Stretch
from normbench.claims.kinds.one_line import OneLine
from normbench.claims.operands import Operand, Reader
from normbench.claims.outcomes import Outcome, Readings


class Growth(OneLine):
    """y grows as x**exponent within `tolerance` of the exponent, or (form exponential) faster than any power."""

    test: Literal["growth"] = "growth"
    arm: Operand
    form: Literal["power", "exponential"] = "power"
    exponent: float | None = None
    tolerance: float | None = Field(None, ge=0)
    scale: ClassVar[Scale] = Scale(marks=())
    effect_name: ClassVar[str] = "exponent "
    holds_in_margins: ClassVar[Stretch] = (-1.0, 1.0)

    @model_validator(mode="after")
    def _a_line_and_its_exponent(self) -> "Growth":
        missing = [key for key in ("exponent", "tolerance") if getattr(self, key) is None]
        if self.form == "power" and missing:
            raise ValueError(f"growth by a power needs {' and '.join(map(repr, missing))} (or 'form: exponential')")
        if self.form == "exponential" and len(missing) < 2:
            raise ValueError("exponential growth has no 'exponent' and no 'tolerance'; leave them out")
        self.check_line()
        return self

    def holds(self) -> Stretch | None:
        return None if self.form == "exponential" else (self.exponent - self.tolerance, self.exponent + self.tolerance)

    def in_margins(self, outcome: Outcome) -> InMargins | None:
        return None if self.form == "exponential" else super().in_margins(outcome)

    def over_margin(self, value: float, margin: float) -> float:
        return (value - self.exponent) / margin

    def lines(self, claim_metric: str | None) -> list[Line]:
        return [self.line(self.arm, claim_metric)]

    def outcome(self, reader: Reader, claim_metric: str | None) -> Outcome:
        from normbench.claims.growth import exponential, power

        series = self.line(self.arm, claim_metric).read(reader)
        if self.form == "exponential":
            return exponential(series)
        words = f"{self.exponent:g} within {self.tolerance:g}"
        readings = Readings(f"an exponent of {words}", f"not an exponent of {words}", f"whether it is {words} stays open")
        return power(series, self.exponent, self.tolerance, readings)
