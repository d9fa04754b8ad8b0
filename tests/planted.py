"""What a tier measured, made up: small frames with planted values, and the paper that asks about them."""

from typing import Any

from normbench.analysis.results import Measured
from normbench.config.papers import Paper, read_paper
from normbench.config.recipe import Recipe
from normbench.config.spec import ArmSpec
from normbench.config.tiers import read_tier
from normbench.core.schema import validated
from normbench.execution.columns import CURVES, PROBES, RUNS
from normbench.execution.tables import table_of
from normbench.planning.plan import Plan

LOST = None  # a seed that diverged
Values = list[float | None]
RECIPE = Recipe(steps=10, batch_size=4, lr=0.1).model_dump(mode="json")


def a_paper(arms: list[str], claims: list[dict] = (), tables: list[dict] = (), sweeps: dict[str, dict] | None = None) -> Paper:
    """A paper of these arms, all of the imagenet task. sweeps: arm -> what it is swept over."""
    arm = {"task": "imagenet", "dataset": "cifar10", "model": "cnn10", "method": "batch_norm", "recipe": "skipinit_cifar"}
    every = {name: {**arm, "over": (sweeps or {}).get(name, {})} for name in [*arms, *(sweeps or {})]}
    fields = {"key": "skipinit", "title": "A paper", "venue": "Nowhere 2020", "reviews": "none", "arms": every}
    return validated(Paper, {**fields, "claims": list(claims), "tables": list(tables)}, "papers/skipinit.yaml")


def a_claim(*tests: dict[str, Any], **fields: Any) -> dict[str, Any]:
    given = {
        "id": "the-claim",
        "kind": "claim",
        "measured": "train",
        "task": "imagenet",
        "says": "It is so.",
        "source": "R1",
        "metric": "test_top1",
    }
    return {**given, "tests": list(tests), **fields}


def measured(
    values: dict[str, Values],
    sweeps: dict[str, list[tuple[dict, Values]]] | None = None,
    *,
    probes: dict[str, dict[int, Values]] | None = None,
    curves: dict[str, dict[int, Values]] | None = None,
    recipes: dict[str, dict] | None = None,
    statuses: dict[str, str] | None = None,
    metric: str = "test_top1",
    guests: list[str] | None = None,
) -> Measured:
    """What the line would have collected.

    values: arm -> one value a seed. sweeps: arm -> (point, values) of each. probes: arm -> {k: the variance of each
    seed}; curves: arm -> {step: the training loss of each seed}. recipes: arm -> what its recipe has otherwise.
    statuses: arm -> status of all seeds.
    """
    points = {name: [({}, name, found)] for name, found in values.items()}
    for name, swept in (sweeps or {}).items():
        points[name] = [(point, f"{name}{i}", found) for i, (point, found) in enumerate(swept)]
    runs, spoken = [], {}
    for name, found in points.items():
        for point, arm, seeds in found:
            recipe = {**RECIPE, **(recipes or {}).get(name, {}), **{k: v for k, v in point.items() if k in RECIPE}}
            spoken[arm] = ArmSpec("imagenet", "digits", {}, "batch_norm", {}, recipe)
            runs += [_run(arm, seed, value, metric, (statuses or {}).get(name)) for seed, value in enumerate(seeds)]
    rows = {"variance_end": probes or {}, "train_loss": curves or {}}
    probe_rows = [
        (f"{a}-s{s}", f"join{k}", k, 9, "variance_end", v)
        for a, ks in rows["variance_end"].items()
        for k, vs in ks.items()
        for s, v in enumerate(vs)
    ]
    curve_rows = [
        (f"{a}-s{s}", t, "train_loss", v) for a, steps in rows["train_loss"].items() for t, vs in steps.items() for s, v in enumerate(vs)
    ]
    named = {("skipinit", name): [(point, arm) for point, arm, _ in found] for name, found in points.items()}
    return Measured(
        Plan(read_tier("quick"), {"skipinit": read_paper("skipinit")}, guests or [], spoken, points=named),
        table_of(runs, RUNS),
        table_of(curve_rows, CURVES),
        table_of(probe_rows, PROBES),
    )


def _run(arm: str, seed: int, value: float | None, metric: str, status: str | None) -> dict[str, Any]:
    status = status or ("finished" if value is not LOST else "diverged")
    told = {"metric": metric, "value": value, "unit": "%"} if status == "finished" else {"metric": "status", "value": None, "unit": ""}
    shared = {
        "run": f"{arm}-s{seed}",
        "task": "imagenet",
        "dataset": "digits",
        "method": "batch_norm",
        "arm": arm,
        "seed": seed,
        "status": status,
    }
    return {**shared, **told, "model": "", "params": "", "engine": ""}
