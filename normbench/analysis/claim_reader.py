"""What a claim's tests are told of a tier: samples, series and published numbers by operand."""

from collections.abc import Mapping
from dataclasses import dataclass

from normbench.analysis.results import Measured
from normbench.claims.operands import Operand
from normbench.claims.outcomes import Sample, Series
from normbench.config.papers import Claim, Paper, claim_place, reported_number
from normbench.config.spec import canonical
from normbench.config.tasks import recipe_fields
from normbench.core.errors import InputError


@dataclass(frozen=True)
class ClaimReader:
    """The `Reader` of normbench.claims.operands, for one claim at one tier."""

    paper: Paper
    claim: Claim
    measured: Measured

    @property
    def tier(self) -> str:
        return self.measured.tier

    def sample(self, operand: Operand, metric: str) -> Sample:
        return self.measured.of(self.paper, operand, metric)

    def sweep(self, operand: Operand, along: str, metric: str) -> Series:
        return self.measured.sweep(self.paper, operand, along, metric)

    def series(self, operand: Operand, quantity: str, along: str) -> Series:
        return self.measured.series(self.paper, operand, quantity, along)

    def reported(self, where: Mapping[str, str]) -> float:
        place = claim_place(self.paper, self.claim)
        number = reported_number(self.paper, where, place)
        if number is None:
            raise InputError(f"{place}: reported: a number has a table, setting, method and metric, got only {', '.join(where) or 'none'}")
        return float(number["value"])

    def check_paired(self, a: Operand, b: Operand) -> None:
        """Pairing by seed is fair only where both arms see the same data in the same order."""
        plan = self.measured.plan
        arms = [arm for operand in (a, b) for arm in plan.arms_at(self.paper.key, operand.arm)]
        specs = [plan.arms[arm] for arm in arms if arm in plan.arms]
        orders = {canonical([s.task, s.dataset, *(s.recipe.get(key) for key in recipe_fields(s.task).paired)]) for s in specs}
        if len(orders) > 1:
            place = claim_place(self.paper, self.claim)
            raise InputError(
                f"{place}: paired: {a.arm} and {b.arm} differ in dataset, batch, budget or augmentation: their seeds pair nothing"
            )
