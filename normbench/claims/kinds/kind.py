"""What every kind of test has, so that planning, the ledger, figures and the page ask the test and never for its name."""

from dataclasses import dataclass
from typing import ClassVar

from pydantic import ConfigDict

from normbench.claims.operands import Operand, Reader
from normbench.claims.outcomes import Outcome, Series
from normbench.core.schema import Strict

Stretch = tuple[float, float]


@dataclass(frozen=True)
class Scale:
    """How an effect's scale is drawn.

    marks: reference values with a tick of their own. reaches: values that the scale shows without a tick.
    log: logarithmic where the values lie more than a factor of 10 apart. share: effects are shares, shown in percent.
    """

    marks: tuple[float, ...] = (0.0,)
    reaches: tuple[float, ...] = ()
    log: bool = False
    share: bool = False


@dataclass(frozen=True)
class InMargins:
    """An effect and its 95% interval in units of the margin, and where the test holds on that scale."""

    effect: float
    low: float | None
    high: float | None
    holds: Stretch


@dataclass(frozen=True)
class Line:
    """What a test reads along something: `quantity` over blocks or steps, or without one `metric` over a swept setting."""

    operand: Operand
    along: str
    quantity: str | None
    metric: str | None

    def read(self, reader: Reader) -> Series:
        """The measured series; raises NotRun where there is none."""
        if self.quantity:
            return reader.series(self.operand, self.quantity, self.along)
        return reader.sweep(self.operand, self.along, self.metric)

    @property
    def name(self) -> str:
        """What stands on the vertical axis."""
        return self.quantity or self.operand.take or self.metric or ""


class Kind(Strict):
    """One test of a claim; a claim of several has to pass them all. A kind of test is a subclass in a file of its own.

    A subclass says its `test` (a Literal, the word in a paper's file), its fields and its `outcome`, and overrides of the rest what
    applies to it. Its arms are the fields that are an Operand or a list of them. It imports what needs numpy inside its methods.
    effect_name: what numbers call the effect, before it ("exponent ") or behind a share ("of seeds train").
    holds_in_margins: where the test holds on a scale on which its margin is 1; None where the margin is not in the effect's unit.
    """

    model_config = ConfigDict(defer_build=True)  # built once, as part of a claim

    test: str
    scale: ClassVar[Scale] = Scale()
    effect_name: ClassVar[str] = ""
    holds_in_margins: ClassVar[Stretch | None] = None

    def outcome(self, reader: Reader, claim_metric: str | None) -> Outcome:
        """What the measurements say. claim_metric: the claim's metric, for a test that has none of its own. Raises NotRun."""
        raise NotImplementedError

    def operands(self) -> list[Operand]:
        """All arms that the test reads."""
        found = []
        for name in type(self).model_fields:
            value = getattr(self, name)
            found += value if isinstance(value, list) else [value]
        return [value for value in found if isinstance(value, Operand)]

    def about(self) -> list[Operand]:
        """The arms that the test says something about; a control, which only has to train, is not among them."""
        return self.operands()

    def metrics(self, claim_metric: str | None) -> list[str | None]:
        """The metrics that every arm of the test must have; None: one is needed and neither the test nor its claim names it."""
        return []

    def lines(self, claim_metric: str | None) -> list[Line]:
        """What a figure of the claim draws along blocks, steps or a swept setting."""
        return []

    def detectable(self, n: int) -> str:
        """What n seeds could show, in words for the plan: 80% power at a two-sided 5%; "" where nothing says so before a run."""
        return ""

    def holds(self) -> Stretch | None:
        """Where the effect lies if the test holds; None where that is no stretch of the effect's scale."""
        return None

    def in_margins(self, outcome: Outcome) -> InMargins | None:
        """The outcome in units of its margin; None where it has no effect, or no margin in the effect's unit."""
        if self.holds_in_margins is None or outcome.effect is None or not outcome.margin:
            return None
        numbers = (None if v is None else self.over_margin(v, outcome.margin) for v in (outcome.effect, outcome.low, outcome.high))
        return InMargins(*numbers, self.holds_in_margins)

    def over_margin(self, value: float, margin: float) -> float:
        """A value of the effect's scale in units of the margin."""
        return value / margin
