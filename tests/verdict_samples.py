"""Samples and series whose truth is known, for the tests of verdicts, and each kind of test as a function of what it compares."""

import math

import numpy as np

from normbench.claims.kinds import (
    Better,
    Constant,
    Correlated,
    Equal,
    Figure,
    Growth,
    Monotone,
    NotWorse,
    Reproduces,
    Trainable,
    Untrainable,
    Within,
)
from normbench.claims.outcomes import Sample, Series
from normbench.claims.verdicts import decide

SPREAD = (-0.3, 0.1, 0.2)  # of three seeds around their mean


def sample(label, values, diverged=(), unit="%", direction="higher", chance=10.0, metric=""):
    n = len(values)
    flags = tuple(i in diverged for i in range(n))
    return Sample(label, tuple(map(float, values)), tuple(range(n)), flags, unit, direction, chance, metric)


def around(mean, label="arm", scale=1.0, **rest):
    """Three seeds around a mean."""
    return sample(label, [mean + scale * s for s in SPREAD], **rest)


def series(rows, x=(1, 2, 4, 8), label="variance", unit=""):
    return Series(label, tuple(map(float, x)), tuple(tuple(map(float, r)) for r in rows), tuple(range(len(rows))), unit)


def powers(exponent, noise=0.01):
    return series([[(1 + noise * s) * x ** (exponent + noise * s) for x in (1, 2, 4, 8)] for s in SPREAD])


def exponentials(rate, noise=0.01):
    return series([[math.exp((rate + noise * s) * x) for x in (1, 2, 4, 8)] for s in SPREAD])


def verdict(outcome):
    return decide({"claim": outcome})["claim"].verdict


TEN = list(np.linspace(-1, 1, 12))
WOBBLE = [0.1 * math.sin(37 * k) for k in range(12)]
UNRELATED = [1, -1, 0.5, -0.7, 0.9, 0, -0.2, 0.8, -1, 1, 0.3, -0.4]


def points(values, label="x"):
    return sample(label, values, unit="")


class Given:
    """A reader that has these samples and series, by the arm's name."""

    def __init__(self, tier="quick", number=None, **arms):
        self.tier, self.number, self.arms = tier, number, arms

    def sample(self, operand, metric):
        assert metric == "the_metric", metric
        return self.arms[operand.arm]

    def sweep(self, operand, along, metric):
        assert along == "lr" and metric == "the_metric", (along, metric)
        return self.arms[operand.arm]

    def series(self, operand, quantity, along):
        assert (quantity, along) == ("the_quantity", "k"), (quantity, along)
        return self.arms[operand.arm]

    def reported(self, where):
        assert where == {"table": "1"}, where
        return self.number

    def check_paired(self, a, b):
        self.paired = a.arm, b.arm


def found(test, **given):
    """The outcome of a test on what is given."""
    return test.outcome(Given(**given), "the_metric")


def _compared(kind):
    return lambda a, b, amount=None, **rest: found(kind(a="a", b="b", **({} if amount is None else {"margin": amount}), **rest), a=a, b=b)


def _monotone(levels, direction="rising", margin=0.0):
    shared = {"direction": direction, "margin": margin}
    if isinstance(levels, Series):
        return found(Monotone(arm="a", quantity="the_quantity", **shared), a=levels)
    names = [f"arm{i}" for i in range(len(levels))]
    return found(Monotone(arms=names, **shared), **dict(zip(names, levels, strict=True)))


def _correlated(x, y, sign="positive", at_least=0.0):
    """x and y hold one value a point: as many arms, each with a sample of its own for either metric."""
    names = [f"arm{i}" for i in range(x.n)]

    class Points(Given):
        def sample(self, operand, metric):
            return sample(metric, [{"x": x, "y": y}[metric].values[names.index(operand.arm)]])

    return Correlated(x="x", y="y", sign=sign, at_least=at_least, arms=names).outcome(Points(), None)


def _figure(numbers):
    along = {"quantity": "the_quantity"} if any(isinstance(one, Series) for one in numbers.values()) else {}
    return found(Figure(arms=list(numbers), **along), **numbers)


TESTS = {
    "better": lambda a, b, by=0.0, **rest: found(Better(a="a", b="b", by=by, **rest), a=a, b=b),
    "not_worse": _compared(NotWorse),
    "within": _compared(Within),
    "trainable": lambda a, margin: found(Trainable(arm="a", margin=margin), a=a),
    "untrainable": lambda a, margin, control=None: found(Untrainable(arm="a", control="b", margin=margin), a=a, b=control or around(60)),
    "constant": lambda one, ratio: found(Constant(arm="a", quantity="the_quantity", ratio=ratio), a=one),
    "growth": lambda one, exponent=None, tolerance=None, form="power": found(
        Growth(arm="a", quantity="the_quantity", exponent=exponent, tolerance=tolerance, form=form), a=one
    ),
    "monotone": _monotone,
    "correlated": _correlated,
    "equal": lambda a, b, rtol: found(Equal(a="a", b="b", quantity="the_quantity", rtol=rtol), a=a, b=b),
    "reproduces": lambda a, number, tolerance, tier: found(
        Reproduces(arm="a", reported={"table": "1"}, tolerance=tolerance), a=a, number=number, tier=tier
    ),
    "figure": _figure,
}
