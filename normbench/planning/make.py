"""From papers and a tier to a plan: which runs there are, who asked for them, and which the user selected. Torch-free."""

from collections.abc import Iterable
from dataclasses import dataclass

from normbench.config.code_hash import code_of_run, files_of_run
from normbench.config.cost_model import expected_seconds
from normbench.config.method_files import method_names, method_path, read_method
from normbench.config.papers import Arm, Claim, Figure, Paper, Table, every_paper, paper_keys, reached
from normbench.config.spec import ArmSpec
from normbench.config.tasks import absence, check_task, owner_of, recipe_fields, task_names
from normbench.config.tiers import GUEST, TierFile, as_guest, check_overrides, of_paper, points, read_tier, with_norms_from
from normbench.core.errors import InputError, unknown, warn
from normbench.planning.plan import Effort, Plan, Point, resources_of


@dataclass(frozen=True)
class Selection:
    """What the user asked for on the command line; empty means all."""

    papers: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()


def make_plan(tier_name: str, selection: Selection = Selection()) -> Plan:
    """The plan of a tier; every mistake in papers, tiers, methods and the selection is found here."""
    tier = read_tier(tier_name)
    _check_selection(selection)
    every = every_paper(selection.papers)
    papers = {key: every[key] for key in selection.papers or every}
    named = {arm.method for paper in every.values() for arm in paper.arms.values()}
    broken = broken_methods(set(method_names()) - set(selection.methods))
    plan = Plan(tier, papers, sorted(({*method_names()} - named - {*broken}) | {*selection.methods}))
    for key, paper in papers.items():
        check_overrides(tier, key, paper.arms)
        here = of_paper(tier, paper)
        for name, arm in wanted_arms(plan, paper).items():
            if reasons := [broken[method] for method in methods_of(paper, arm) if method in broken]:
                plan.left_out[key, name] = reasons[0]
            else:
                _add(plan, here, key, name, arm, paper)
    for dataset in {spec.dataset for spec in plan.arms.values()}:
        owner_of(dataset)
    plan.efforts = {arm: effort_of(spec, tier) for arm, spec in plan.arms.items()}
    plan.code = code_of_plan(plan)
    plan.selected = [a for a in plan.arms if _is_selected(plan.arms[a], selection)]
    sources = dict.fromkeys(plan.arms[a].source for a in plan.selected)
    plan.selected += [s for s in sources if s and s not in plan.selected]
    return plan


def broken_methods(names: Iterable[str]) -> dict[str, str]:
    """Method -> what is wrong with its file. It costs only what it takes part in, and there is a warning."""
    broken = {}
    for name in sorted(names):
        method_path(name)  # two files of one name are nothing to leave out: which of them would it be?
        try:
            read_method(name)
        except InputError as error:
            broken[name] = str(error)
            warn(f"{error}; it is left out")
    return broken


def methods_of(paper: Paper, arm: Arm) -> list[str]:
    """That of the arm, and that of the arm whose weight norms it uses."""
    return [arm.method, *([paper.arms[arm.norms_from].method] if arm.norms_from else [])]


def effort_of(spec: ArmSpec, tier: TierFile) -> Effort:
    """What an arm takes at a tier."""
    gpus = gpus_of(spec, tier)
    return Effort(tuple(tier.seeds_of(spec.task)), round(expected_seconds(spec, tier.machine) / max(1, gpus), 4), gpus)


def gpus_of(spec: ArmSpec, tier: TierFile) -> int:
    """How many GPUs a run of the arm takes at a tier; 0: one CPU core.

    Several only where the recipe says what each passes through the network at once, and they share a step evenly.
    """
    return recipe_fields(spec.task).gpus(spec.recipe, min(tier.gpus, resources_of(spec).gpus))


def code_of_plan(plan: Plan) -> dict[str, dict[str, str]]:
    """The hashes of all code that the plan's runs depend on, and of each file by itself, to tell which one changed."""
    pairs = sorted({(spec.task, spec.method) for spec in plan.arms.values()})
    return {
        "tasks": {task: code_of_run(task, method)["task"] for task, method in pairs},
        "methods": {method: code_of_run(task, method)["method"] for task, method in pairs},
        "files": {file: sha for task, method in pairs for file, sha in files_of_run(task, method).items()},
    }


def wanted_arms(plan: Plan, paper: Paper) -> dict[str, Arm]:
    """The arms that the paper's claims, tables and figures need at this tier, guests' included."""
    wanted: dict[str, Arm] = {}
    for claim in paper.claims:
        if claim_runs_at(claim, plan.tier.tier):
            wanted |= {o.arm: paper.arms[o.arm] for test in claim.tests for o in test.operands()}
    for shown in (*paper.tables, *paper.figures):
        if reached(shown.start, plan.tier.tier):
            wanted |= {arm: paper.arms[arm] for arm in shown.every_arm()}
            wanted |= guest_arms(plan, paper, shown)
    for arm in list(wanted.values()):
        if arm.norms_from:
            wanted[arm.norms_from] = paper.arms[arm.norms_from]
    return wanted


def guest_arms(plan: Plan, paper: Paper, shown: Table | Figure) -> dict[str, Arm]:
    """Arms of a table's guest row, or a figure's guest arm, with each guest in the method's place, named arm@guest."""
    present = {paper.arms[arm].method for arm in shown.every_arm()}
    places = [(guest, arm) for guest in plan.guests if guest not in present for arm in shown.guest_places()]
    return {guest_arm_name(arm, guest): as_guest(paper.arms[arm], guest) for guest, arm in places}


def guest_arm_name(arm: str, guest: str) -> str:
    return f"{arm}{GUEST}{guest}"


def claim_runs_at(claim: Claim, tier: str) -> bool:
    return reached(claim.start, tier) and not absence(claim.task)


def _add(plan: Plan, tier: TierFile, paper_key: str, name: str, arm: Arm, paper: Paper) -> None:
    if (paper_key, name) in plan.points or absence(arm.task):
        return
    result: list[Point] = []
    for point, spec in points(paper_key, name, arm, tier, paper.task_of(arm)):
        if arm.norms_from:
            source_arm = paper.arms[arm.norms_from]
            _, source = points(paper_key, arm.norms_from, source_arm, tier, paper.task_of(source_arm))[0]
            spec = with_norms_from(spec, source)
        plan.arms[spec.id] = spec
        result.append((point, spec.id))
    plan.points[paper_key, name] = result


def _is_selected(spec: ArmSpec, selection: Selection) -> bool:
    in_task = not selection.tasks or spec.task in selection.tasks
    return in_task and (not selection.methods or spec.method in selection.methods)


def _check_selection(selection: Selection) -> None:
    for what, given, known in (
        ("paper", selection.papers, paper_keys()),
        ("task", selection.tasks, task_names()),
        ("method", selection.methods, method_names()),
    ):
        for name in given:
            if name not in known:
                raise unknown(f"config: {what}s", what, name, known)
    for name in selection.methods:
        read_method(name)
    for name in selection.tasks:
        check_task(name)
