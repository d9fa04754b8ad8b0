"""From papers and a tier to runs: what is to be trained, who asked for it, and in which jobs. Torch-free."""

from dataclasses import dataclass, field
from typing import Any

from normbench.config.cost_model import expected_seconds
from normbench.config.method_files import method_names, read_method
from normbench.config.papers import Arm, Claim, Figure, Paper, Table, every_paper, paper_keys, reached
from normbench.config.search_paths import readable
from normbench.config.spec import ArmSpec
from normbench.config.tasks import Resources, absence, check_task, read_task, task_names
from normbench.config.tiers import GUEST, TierFile, as_guest, check_overrides, of_paper, points, read_tier, with_norms_from
from normbench.core.errors import unknown

SHORT_JOB = 15.0  # seconds, as short as a job may get for the sake of an even end

Job = dict[str, list[int]]  # arm id -> those of its seeds that one process trains
Point = tuple[dict[str, Any], str]  # swept values, arm id


@dataclass(frozen=True)
class Selection:
    """What the user asked for on the command line; empty means all."""

    papers: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()


@dataclass
class Plan:
    """All runs of a tier.

    arms: id -> spec. points: (paper, arm name) -> its points. selected: the ids to train now.
    guests: methods that stand in tables and figures beside the paper's own arms. papers: those selected, whole.
    """

    tier: TierFile
    papers: dict[str, Paper]
    guests: list[str]
    arms: dict[str, ArmSpec] = field(default_factory=dict)
    points: dict[tuple[str, str], list[Point]] = field(default_factory=dict)
    selected: list[str] = field(default_factory=list)

    def runs(self) -> int:
        return sum(len(self.seeds(arm)) for arm in self.selected)

    def seeds(self, arm_id: str) -> list[int]:
        return self.tier.seeds_of(self.arms[arm_id].task)

    def resources(self, arm_id: str) -> Resources:
        """What the task says of a run on the arm's dataset; one GPU where it says nothing."""
        spec = self.arms[arm_id]
        return read_task(spec.task).resources.get(spec.dataset) or Resources()

    def gpus(self, arm_id: str) -> int:
        """How many GPUs a run of the arm takes at this tier; 0: one CPU core.

        Several only where the recipe says what each passes through the network at once, and they share a step evenly: of
        batch_size samples in parts of device_batch_size, or of update_freq batches.
        """
        recipe, most = self.arms[arm_id].recipe, min(self.tier.gpus, self.resources(arm_id).gpus)
        whole, part = recipe.get("batch_size", 1), recipe.get("device_batch_size")
        if "update_freq" in recipe:
            whole, part = recipe["update_freq"], 1
        return next((n for n in range(most, 1, -1) if part and whole % (n * part) == 0), min(most, 1))

    def seconds(self, arm_id: str) -> float:
        """Expected seconds of training an arm, all seeds one after another, on what the tier gives it."""
        return self.run_seconds(arm_id) * len(self.seeds(arm_id))

    def run_seconds(self, arm_id: str) -> float:
        return expected_seconds(self.arms[arm_id], self.tier.machine) / max(1, self.gpus(arm_id))

    def job_seconds(self, job: Job) -> float:
        return sum(self.run_seconds(arm) * len(seeds) for arm, seeds in job.items())


def make_plan(tier_name: str, selection: Selection = Selection()) -> Plan:
    """The plan of a tier; every mistake in papers, tiers, methods and the selection is found here."""
    tier = read_tier(tier_name)
    _check_selection(selection)
    every = every_paper(selection.papers)
    papers = {key: every[key] for key in selection.papers or every}
    named = {arm.method for paper in every.values() for arm in paper.arms.values()}
    guests = sorted({*readable(sorted(set(method_names()) - named - set(selection.methods)), read_method), *selection.methods})
    plan = Plan(tier, papers, guests)
    for key, paper in papers.items():
        check_overrides(tier, key, paper.arms)
        here = of_paper(tier, paper)
        for name, arm in wanted_arms(plan, paper).items():
            _add(plan, here, key, name, arm, paper)
    plan.selected = [a for a in plan.arms if _is_selected(plan.arms[a], selection)]
    sources = dict.fromkeys(plan.arms[a].source for a in plan.selected)
    plan.selected += [s for s in sources if s and s not in plan.selected]
    return plan


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
    for point, spec in points(paper_key, name, arm, tier):
        if arm.norms_from:
            _, source = points(paper_key, arm.norms_from, paper.arms[arm.norms_from], tier)[0]
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


def jobs(plan: Plan, wanted: list[str], processes: int | None = None) -> list[Job]:
    """Runs put together into processes, so that imports are paid once; arms that need another's norms come later. Deterministic.

    processes: how many there are on one machine, where those on a CPU share their runs at the end (sharing.py): they get a job each. None:
    jobs of about `job_seconds`, that a queue takes in any order.
    """
    order = sorted(wanted, key=lambda a: (bool(plan.arms[a].source), -plan.seconds(a), a))
    shared = [a for a in order if processes and not plan.gpus(a)]
    result = _dealt(plan, shared, processes or 1)
    for depends in (False, True):
        result += _cut(plan, [a for a in order if a not in set(shared) and bool(plan.arms[a].source) == depends])
    return result


def _dealt(plan: Plan, order: list[str], processes: int) -> list[Job]:
    """A job for each process and task, fewer where they would be short; each arm, long ones first, goes where least is to be done yet,
    or where the arm is whose norms it needs.
    """
    result = []
    for task in dict.fromkeys(plan.arms[a].task for a in order):
        arms = [a for a in order if plan.arms[a].task == task]
        count = max(1, min(processes, int(sum(plan.seconds(a) for a in arms) / SHORT_JOB)))
        packs: list[Job] = [{} for _ in range(count)]
        filled = [0.0] * count
        for arm in arms:
            with_source = [i for i in range(count) if plan.arms[arm].source in packs[i]]
            i = min(with_source or range(count), key=filled.__getitem__)
            packs[i][arm] = plan.seeds(arm)
            filled[i] += plan.seconds(arm)
        result += packs
    return [job for job in result if job]


def _cut(plan: Plan, level: list[str]) -> list[Job]:
    """Long runs come first and jobs get smaller toward the end, so that all end together: none is expected to take more than half of
    what is left. The seeds of an arm stay together as far as that lets them.
    """
    result: list[Job] = []
    left = sum(plan.seconds(a) for a in level)
    open_jobs: dict[tuple[str, int], tuple[Job, float]] = {}
    for arm, seed in [(a, s) for a in level for s in plan.seeds(a)]:
        alike, run = (plan.arms[arm].task, plan.gpus(arm)), plan.run_seconds(arm)
        job, seconds = open_jobs.get(alike, ({}, 0.0))
        if not job or seconds + run / 2 > min(plan.tier.job_seconds, max(SHORT_JOB, (left + seconds) / 2)):
            job, seconds = {}, 0.0
            result.append(job)
        job.setdefault(arm, []).append(seed)
        open_jobs[alike] = job, seconds + run
        left -= run
    return result
