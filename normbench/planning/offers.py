"""What packs of records have for a plan: which of their runs fit it, and why the others do not. Torch-free, and nothing is written."""

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from normbench.config.code_hash import code_of_arm
from normbench.config.spec import canonical, run_id
from normbench.core.errors import InputError
from normbench.core.formatting import joined
from normbench.planning.folders import Folders
from normbench.planning.plan import Plan
from normbench.planning.record_pack import Pack, PackedArm, read_pack


@dataclass(frozen=True)
class Fitting:
    """A pack beside a plan. seeds: arm -> those of its packed seeds that fit. left: reason -> the runs that do not fit for it."""

    pack: Pack
    seeds: dict[str, list[int]]
    left: dict[str, list[str]]

    def runs(self) -> dict[str, tuple[str, int]]:
        """run -> its arm and seed, of all that fit."""
        return {run_id(arm, seed): (arm, seed) for arm, seeds in self.seeds.items() for seed in seeds}

    def why_left(self) -> str:
        """The runs that do not fit, counted by reason, with an example of each."""
        return ", ".join(f"{len(runs)} {reason} (as {runs[0]})" for reason, runs in self.left.items())


@dataclass(frozen=True)
class Offers:
    """What all packs have for a build. complete: the arms that they and the build's own records make whole. new: runs that it lacks."""

    fittings: Sequence[Fitting] = ()
    complete: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)


NOTHING = Offers()


def read_offers(packs: Sequence[Path], plan: Plan, folders: Folders, done: Collection[str]) -> Offers:
    """What the packs have for the plan. done: the arms that the build has all records of.

    Raises InputError where a pack cannot be read, is of another tier, or has nothing that fits.
    """
    fittings = [fitting_of(read_pack(path), plan) for path in packs]
    packed: dict[str, set[int]] = {}
    for one in fittings:
        for arm, seeds in one.seeds.items():
            packed.setdefault(arm, set()).update(seeds)
    complete, new = [], []
    for arm in (arm for arm in plan.arms if arm in packed and arm not in done):
        own = {seed for seed in plan.seeds(arm) if has_record(folders, plan, arm, seed)}
        new += [run_id(arm, seed) for seed in sorted(packed[arm] - own)]
        complete += [arm] * (own | packed[arm] == set(plan.seeds(arm)))
    return Offers(fittings, complete, new)


def fitting_of(pack: Pack, plan: Plan) -> Fitting:
    """Raises InputError where the pack is of another tier, or none of its runs fits."""
    manifest, tier = pack.manifest, plan.tier.tier
    if manifest.tier != tier:
        raise InputError(
            f"{pack.path}: holds runs of the tier {manifest.tier}, and this is {tier}; --config tier={manifest.tier} takes it up"
        )
    fits: dict[str, list[int]] = {}
    left: dict[str, list[str]] = {}
    for arm, packed in sorted(manifest.arms.items()):
        reason = misfit(arm, packed, plan)
        for seed in sorted(set(packed.seeds)):
            why = reason or ("" if seed in plan.seeds(arm) else "of seeds that the tier does not have")
            if why:
                left.setdefault(why, []).append(run_id(arm, seed))
            else:
                fits.setdefault(arm, []).append(seed)
    fitting = Fitting(pack, fits, left)
    if not fits:
        made = joined([commit[:12] for commit in manifest.commits[:3]] or ["no commit"])
        raise InputError(
            f"{pack.path}: none of its {len(manifest.runs())} runs fits here: {fitting.why_left()}; take it up with the papers and "
            f"the code that made it ({made}), or leave pack= away"
        )
    return fitting


def misfit(arm: str, packed: PackedArm, plan: Plan) -> str:
    """Why a packed arm is none of the plan's, in words; "" where it is."""
    if arm not in plan.arms:
        return "of arms that this plan does not have"
    spec = plan.arms[arm]
    if canonical(packed.spec) != canonical(asdict(spec)):
        return "of another spec than their arm's"
    names = {"task": spec.task, "method": spec.method}
    other = [f"the {part} {names.get(part, '')}" for part, sha in code_of_arm(spec).items() if packed.code.get(part) != sha]
    return f"made by other code of {joined(other)}" if other else ""


def has_record(folders: Folders, plan: Plan, arm: str, seed: int) -> bool:
    """Whether the build has a current record of the run, as far as a look tells: who reads it checks the rest."""
    spec = plan.arms[arm]
    try:
        record: dict[str, Any] = json.loads(folders.record(run_id(arm, seed)).read_bytes())
        made_of = canonical(record["spec"]) == canonical(asdict(spec)) and record["code"] == code_of_arm(spec)
        return made_of and record["end"] == "complete"
    except (OSError, ValueError, KeyError, TypeError):
        return False
