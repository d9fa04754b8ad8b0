"""trainable: every seed of an arm trains."""

from typing import ClassVar, Literal

from normbench.claims.kinds.kind import Stretch
from normbench.claims.kinds.seed_count import SeedCount
from normbench.claims.operands import Reader
from normbench.claims.outcomes import Outcome


class Trainable(SeedCount):
    """Every seed ends finite and better than chance by at least `margin`."""

    test: Literal["trainable"] = "trainable"
    contrary: ClassVar[str] = "failing"

    def holds(self) -> Stretch:
        return 1.0, 1.0

    def outcome(self, reader: Reader, claim_metric: str | None) -> Outcome:
        from normbench.claims.trainability import trainable

        return trainable(reader.sample(self.arm, self.metric or claim_metric), self.margin)
