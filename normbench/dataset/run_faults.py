"""What must be true of a tier: its plan, and every run one of the plan's; each thing that is not becomes a sentence. Torch-free."""

from pathlib import Path

import polars as pl

from normbench.config.spec import ArmSpec, canonical
from normbench.core.errors import InputError
from normbench.dataset.sentences import cut, some, words
from normbench.dataset.value_faults import table_problems
from normbench.execution.columns import RUNS
from normbench.execution.tables import read_tables
from normbench.planning.plan import Plan

OWN = "plan.json"
SPECIFIED = ("task", "dataset", "model", "method", "params", "recipe")
CALLED = ("model_name", "paper_arms")


def problems(root: Path) -> list[str]:
    """All that is wrong with the tier at `root`: its plan, and the three tables."""
    try:
        plan, tables = Plan.read(root), read_tables(root)
    except InputError as error:
        return [str(error)]
    runs = tables["runs"]
    return [
        *table_problems(root, tables),
        *plan_problems(root, plan),
        *spec_problems(root, runs, plan),
        *seed_problems(root, runs, seeds_of(plan)),
    ]


def plan_problems(root: Path, plan: Plan) -> list[str]:
    """An arm's id is the hash of its spec: a plan that was changed by hand, or that other code wrote, shows."""
    other = {arm: spec.id for arm, spec in plan.arms.items() if spec.id != arm}
    place = root / "plan.json"
    return [f"{place}: {arm}: its spec is that of {made}: it was changed by hand or is of another version" for arm, made in other.items()]


def spec_problems(root: Path, runs: pl.DataFrame, plan: Plan, whose: str = OWN) -> list[str]:
    """Every run is one of the plan's, of the task, data, model and method that the plan says. whose: the plan, in words."""
    place, each = root / RUNS.path, runs.unique("run", keep="first", maintain_order=True)
    strange = each.filter(~pl.col("arm").is_in(list(plan.arms)))
    found = some(
        strange, lambda r: f"{place}: {r['run']}: is of the arm {r['arm']}, which {whose} does not have: a record from another version"
    )
    named = pl.concat_str("arm", pl.lit("-s"), "seed") != pl.col("run")
    found += some(each.filter(named), lambda r: f"{place}: {r['run']}: is said to be seed {r['seed']} of {r['arm']}, whose id is another")
    if tier := [t for t in each["tier"].unique() if t != plan.tier.tier]:
        found.append(f"{place}: holds runs of the tier {tier[0]}, and {whose} is of {plan.tier.tier}")
    known = [*SPECIFIED, *(CALLED if whose == OWN else ())]  # another plan may hold fewer papers, and so fewer names
    rows = [{"arm": arm, **{name: _told(spec, name) for name in SPECIFIED}, **plan.called(arm)} for arm, spec in plan.arms.items()]
    said = pl.DataFrame(rows, schema=dict.fromkeys(["arm", *SPECIFIED, *CALLED], pl.String))
    both = each.join(said, on="arm", suffix="_planned")
    for name in known:
        differs = both.filter(pl.col(name) != pl.col(f"{name}_planned"))
        found += some(
            differs, lambda r, name=name: f"{place}: {r['run']}: its {name} is {r[name]}, and {whose} says {r[f'{name}_planned']}"
        )
    return found


def seed_problems(root: Path, runs: pl.DataFrame, seeds: dict[str, list[int]]) -> list[str]:
    """Every arm has exactly the seeds that it should have; one without any was not run, and is no problem of the runs."""
    found = []
    for arm, have in runs.group_by("arm", maintain_order=True).agg(pl.col("seed").unique().sort()).iter_rows():
        want = seeds.get(arm)
        if want is None:
            continue
        for verb, which in (("lacks", sorted(set(want) - set(have))), ("has besides", sorted(set(have) - set(want)))):
            if which:
                found.append(f"{root / RUNS.path}: {arm}: {verb} the seed{'s' * (len(which) > 1)} {words(which)} (it needs {words(want)})")
    return cut(found)


def seeds_of(plan: Plan) -> dict[str, list[int]]:
    return {arm: plan.seeds(arm) for arm in plan.arms}


def _told(spec: ArmSpec, name: str) -> str:
    value = getattr(spec, name)
    return value if isinstance(value, str) else canonical(value)
