"""Whether two series are the same value by value: the largest error decides, with no p-value."""

import numpy as np

from normbench.claims.outcomes import Outcome, Readings, Series, undecided
from normbench.core.errors import InputError
from normbench.core.formatting import counted


def equal(a: Series, b: Series, rtol: float, readings: Readings) -> Outcome:
    """a and b agree value by value, seed by seed: the largest relative error |a - b| / max(|a|, |b|) is at most `rtol`."""
    if a.x != b.x:
        raise InputError(f"{a.label!r} and {b.label!r}: values can only be equal one by one, at the same places, got {a.x} and {b.x}")
    if set(a.seeds) != set(b.seeds):  # one that diverged has no series
        says = f"{a.label} has the seeds {sorted(a.seeds)} and {b.label} has {sorted(b.seeds)}"
        return undecided(says, "only the same seeds can be equal, so this stays open", min(a.n, b.n), margin=rtol)
    rows = dict(zip(b.seeds, b.values, strict=True))
    xs, ys = np.asarray(a.values, dtype=float), np.asarray([rows[seed] for seed in a.seeds], dtype=float)
    scale = np.maximum(np.abs(xs), np.abs(ys))
    error = float(np.max(np.abs(xs - ys) / np.where(scale > 0, scale, 1)))
    size = f"{xs.size} values, {counted(a.n, 'seed')}"
    says = f"{a.label} and {b.label} differ by at most {error:.2g} of their size ({size}; {rtol:g} is allowed)"
    return Outcome(effect=error, margin=rtol, n=a.n, rule="supported" if error <= rtol else "contradicted", says=says, readings=readings)
