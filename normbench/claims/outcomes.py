"""What tests compare and what comes of one: samples over seeds, series over layers, outcomes with their numbers and words.

numpy and scipy are imported where they compute: papers, and with them the kinds of tests, are read without either.
"""

import math
from dataclasses import dataclass

from normbench.core.errors import InputError, unknown

DIRECTIONS = ("higher", "lower", "none")
RULES = ("supported", "contradicted", "inconclusive", "answered", "not run")


@dataclass(frozen=True)
class Sample:
    """One metric of one arm, a value for each seed.

    label: the arm as a reader knows it. values, seeds, diverged: one entry a seed; a diverged run's value is the chance level.
    unit: of the values, "%" for percent. direction: which values are good, "none" where neither.
    chance: the value that guessing reaches, None where guessing means nothing. metric: its name, shown after the value.
    """

    label: str
    values: tuple[float, ...]
    seeds: tuple[int, ...]
    diverged: tuple[bool, ...]
    unit: str
    direction: str
    chance: float | None = None
    metric: str = ""

    def __post_init__(self):
        if self.direction not in DIRECTIONS:
            raise unknown(f"sample {self.label!r}: direction", "direction", self.direction, DIRECTIONS)
        if not len(self.values) == len(self.seeds) == len(self.diverged):
            counts = f"{len(self.values)} values, {len(self.seeds)} seeds and {len(self.diverged)} diverged flags"
            raise InputError(f"sample {self.label!r}: {counts}; there must be one of each for a seed")
        _check_seeds(f"sample {self.label!r}", self.seeds)
        for seed, value in zip(self.seeds, self.values, strict=True):
            if not math.isfinite(value):
                raise InputError(f"sample {self.label!r}: seed {seed} has the value {value}; a diverged run counts with the chance level")

    @property
    def n(self) -> int:
        return len(self.values)

    @property
    def mean(self) -> float:
        import numpy as np

        return float(np.mean(self.values))

    @property
    def sign(self) -> int:
        """What turns a difference of values into one in the good direction."""
        return -1 if self.direction == "lower" else 1

    @property
    def all_diverged(self) -> bool:
        return all(self.diverged)


@dataclass(frozen=True)
class Series:
    """A quantity over layers, depths or levels: values[seed][i] at x[i], at least two distinct x."""

    label: str
    x: tuple[float, ...]
    values: tuple[tuple[float, ...], ...]
    seeds: tuple[int, ...]
    unit: str

    def __post_init__(self):
        place = f"series {self.label!r}"
        _check_seeds(place, self.seeds)
        if len(self.values) != len(self.seeds):
            raise InputError(f"{place}: {len(self.values)} rows of values for {len(self.seeds)} seeds; there must be one for each")
        if len(self.x) < 2 or len(set(self.x)) < len(self.x):
            raise InputError(f"{place}: x is {list(self.x)}; it must hold at least two places, each once")
        for seed, row in zip(self.seeds, self.values, strict=True):
            if len(row) != len(self.x):
                raise InputError(f"{place}: seed {seed} has {len(row)} values for {len(self.x)} places")
            for x, value in zip(self.x, row, strict=True):
                if not (math.isfinite(value) and math.isfinite(x)):
                    raise InputError(f"{place}: seed {seed} has the value {value} at {x:g}; it must be finite")

    @property
    def n(self) -> int:
        return len(self.seeds)

    @property
    def smallest(self) -> float:
        return min(min(row) for row in self.values)


@dataclass(frozen=True)
class Readings:
    """How a sentence ends under each verdict."""

    supported: str
    contradicted: str
    inconclusive: str

    def of(self, verdict: str) -> str:
        """The words for a verdict; none for one that judges nothing (answered, not run)."""
        return getattr(self, verdict, "")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one test found.

    effect, low, high, margin, detectable: in `unit`, the 95% interval and the smallest effect that would have been shown; None
    where there is none. n: seeds behind it (of the smaller side, or points of a correlation).
    p_support, p_contradict: one-sided, None where `rule` decides (a count, an exact value, a refusal).
    says: the numbers in words; readings: what they mean; shows: what the seeds could have shown; parts: of a claim of several.
    """

    effect: float | None = None
    low: float | None = None
    high: float | None = None
    margin: float | None = None
    n: int
    detectable: float | None = None
    p_support: float | None = None
    p_contradict: float | None = None
    rule: str | None = None
    unit: str = ""
    says: str
    readings: Readings = Readings("", "", "")
    shows: str = ""
    parts: tuple["Outcome", ...] = ()

    def __post_init__(self):
        ps = (self.p_support, self.p_contradict)
        assert self.rule in (None, *RULES), self.rule
        assert all(p is None for p in ps) if self.rule else all(p is not None and 0 <= p <= 1 for p in ps), (self.rule, ps)

    @property
    def p(self) -> float | None:
        """The two-sided p of the direction that the data lean to."""
        return None if self.rule else min(1.0, 2 * min(self.p_support, self.p_contradict))

    @property
    def leaning(self) -> str:
        """The rule's word, or the direction with the smaller p."""
        return self.rule or ("supported" if self.p_support <= self.p_contradict else "contradicted")

    @property
    def unadjusted(self) -> str:
        """The verdict if this were the only test."""
        from normbench.claims.stats import ALPHA

        return self.rule or (self.leaning if self.p < ALPHA else "inconclusive")

    def sentence(self, verdict: str) -> str:
        """The numbers and what they mean under `verdict`."""
        reading = self.readings.of(verdict)
        return f"{self.says}, {reading}" if reading else self.says


def undecided(says: str, why: str, n: int, **numbers) -> Outcome:
    """An outcome that no amount of arithmetic decides, and why."""
    return Outcome(rule="inconclusive", says=says, readings=Readings("", "", why), n=n, **numbers)


def not_run(says: str, n: int = 0, **numbers) -> Outcome:
    """The outcome of a test that this tier, or this machine, could not make, and why."""
    return Outcome(rule="not run", says=says, n=n, **numbers)


def _check_seeds(place: str, seeds: tuple[int, ...]) -> None:
    if not seeds:
        raise InputError(f"{place}: it has no seeds; it needs at least one")
    if len(set(seeds)) < len(seeds):
        twice = sorted({s for s in seeds if seeds.count(s) > 1})
        raise InputError(f"{place}: seed {twice[0]} stands twice; every seed counts once")
