"""What a test reads, and whom it asks for it: operands name arms, a reader gives what was measured of them.

Nothing here knows a run, a file or a paper. numpy and scipy stay out: planning reads papers without them.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, Protocol, TypeVar

from pydantic import model_validator

from normbench.claims.outcomes import Sample, Series
from normbench.core.schema import Strict

Take = Literal["best", "best_lr", "stable_lr"]
Found = TypeVar("Found")


class NotRun(Exception):
    """What a test reads was not trained here; the text says why."""


class NotEnded(NotRun):
    """An arm that was to be trained here failed, or has not ended: a test that reads it waits, however many others it reads.

    brief: the reason without its details, for a cell of a table.
    """

    def __init__(self, reason: str, brief: str):
        super().__init__(reason)
        self.brief = brief


class Operand(Strict):
    """What a test compares: an arm, or from a sweep the point `at` and what to `take` over the rest of it. A bare name is an arm.

    take: best (the runs at the swept value with the best mean), best_lr (each seed's best learning rate),
    stable_lr (each seed's largest learning rate that trains).
    """

    arm: str
    at: dict[str, Any] = {}
    take: Take | None = None

    @model_validator(mode="before")
    @classmethod
    def _bare_name(cls, given: Any) -> Any:
        if not isinstance(given, str | Mapping | Operand):
            raise ValueError("must be the name of an arm, or {arm: name, at: {setting: value}, take: best}")
        return {"arm": given} if isinstance(given, str) else given


class Reader(Protocol):
    """What was measured for one claim. Every method but `check_paired` raises NotRun with the reason where there is nothing."""

    @property
    def tier(self) -> str:
        """The tier that was run."""

    def sample(self, operand: Operand, metric: str) -> Sample:
        """The metric of the operand's arm, a value for each seed."""

    def sweep(self, operand: Operand, along: str, metric: str) -> Series:
        """The metric along a swept setting."""

    def series(self, operand: Operand, quantity: str, along: str) -> Series:
        """A probe over the blocks (along "k") or a curve over the training (along "step")."""

    def reported(self, where: Mapping[str, str]) -> float:
        """The published number at these coordinates; raises InputError where they lead to none."""

    def check_paired(self, a: Operand, b: Operand) -> None:
        """Raises InputError unless the arms of both see the same data in the same order, seed by seed."""


def every_found(operands: Iterable[Operand], read: Callable[[Operand], Found]) -> list[Found]:
    """What `read` finds of each operand; one that has nothing (it diverged, say) is left out.

    Raises NotRun where none has anything, and NotEnded where one is still to come.
    """
    found, reasons = [], []
    for operand in operands:
        try:
            found.append(read(operand))
        except NotEnded:
            raise
        except NotRun as reason:
            reasons.append(str(reason))
    if not found:
        raise NotRun("; ".join(dict.fromkeys(reasons)))
    return found
