"""Runs put together into jobs, each of which is one process. Torch-free."""

from normbench.planning.plan import Job, Plan

SHORT_JOB = 15.0  # seconds, as short as a job may get for the sake of an even end


def jobs(plan: Plan, wanted: list[str], processes: int | None = None) -> list[Job]:
    """Runs put together into processes, so that imports are paid once; arms that need another's norms come later. Deterministic.

    processes: how many there are on one machine, where those on a CPU share their runs at the end
    (work_stealing.py): they get a job each. None: jobs of about `job_seconds`, that a queue takes in any order.
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
