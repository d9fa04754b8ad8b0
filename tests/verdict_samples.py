"""Samples and series whose truth is known, for the tests of verdicts."""

import math

import numpy as np

from normbench.claims.verdicts import Sample, Series, decide

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
