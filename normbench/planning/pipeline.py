"""What the Snakefile needs to know: the plan, what of it is done, which jobs are left. Torch-free.

`open_pipeline` reads and changes no file: a dry run, a look at the plan, or a second invocation that is refused leave a running build
as it is. `prepare` writes what jobs read, once this process holds the build (lock.py).
"""

import itertools
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from normbench.config.code_hash import code_of_arm
from normbench.config.papers import TIERS
from normbench.config.search_paths import folders as folders_of
from normbench.config.search_paths import use_config
from normbench.config.spec import digest, run_id
from normbench.core.errors import unknown
from normbench.core.files import read_json, write_if_changed
from normbench.core.formatting import listed
from normbench.planning.budget import within_budget
from normbench.planning.cluster import Allocation, allocation
from normbench.planning.folders import SHORT, Folders
from normbench.planning.make import Selection, make_plan
from normbench.planning.marks import mark_of
from normbench.planning.offers import NOTHING, Offers, read_offers
from normbench.planning.packing import jobs
from normbench.planning.plan import Job, Plan, refuse_newer
from normbench.planning.settings import NAMES, read_settings, without_braces

STEPS = ("claims", "tables", "prediction", "figures", "report")  # of what is made of the collected runs


@dataclass(frozen=True)
class Pipeline:
    """A build as it stands.

    plan: all runs of the tier. jobs: job id -> arms still to be trained, and which seeds of them. done: arms whose records are complete and
    current, or will be once what packs offer is taken up. main: whether this is the process that the user started; a cluster's job reads
    the Snakefile again while others run.
    """

    plan: Plan
    folders: Folders
    data: Path
    tracking_uri: str
    jobs: dict[str, Job]
    done: list[str]
    main: bool
    offers: Offers = NOTHING

    def path(self, *parts: str) -> str:
        return str(self.folders.root.joinpath(*parts))

    @cached_property
    def shown(self) -> Plan:
        """The plan of what is done and what is left: what tables and claims read."""
        return self.plan.only({*self.done, *(arm for job in self.jobs.values() for arm in job)})

    @cached_property
    def id(self) -> str:
        """Of the plan that tables and claims read."""
        return self.shown.digest[:SHORT]

    def unfinished(self) -> list[str]:
        """What appears when the jobs that are left have ended, and when records came out of packs.

        A rule that stands behind them has to ask for these: Snakemake makes nothing again that is missing behind a file that looks up to
        date.
        """
        taken_up = [str(self.folders.taken_up(self.offers.new))] if self.offers.new else []
        return [*taken_up, *(str(self.folders.job_done(job)) for job in self.jobs)]

    @cached_property
    def _marks(self) -> dict[str, tuple[Path, list[str]]]:
        """step -> its mark, and what is not as that step made it; a cluster's job makes nothing of it, and looks at no file."""
        root = self.folders.root
        first = {"runs": self.folders.collected(self.id), **{step: self.folders.made(step) for step in STEPS}}
        return {step: mark_of(mark, root) if self.main else (mark, []) for step, mark in first.items()}

    def made(self, step: str) -> str:
        """What says that a step of the line has made its files, and that they are as it made them."""
        return str(self._marks[step][0])

    def altered(self) -> list[str]:
        """The files that are not as the line made them; they are made again."""
        return [name for _, names in self._marks.values() for name in names]

    def tracked(self) -> str:
        """What says that MLflow has the records."""
        return str(self.folders.tracked(self.tracking_uri))

    def files(self) -> list[str]:
        """What people wrote that tables and claims are made of: papers and published numbers."""
        return sorted({str(path) for paper in self.plan.papers.values() for path in paper.inputs()})

    def checked(self) -> list[str]:
        """What says that every arm was built once; nothing inside a cluster's job, which was sent after that."""
        return [str(self.folders.checked(self.id))] if self.main else []

    def datasets_of(self, job: str) -> list[str]:
        """What says that the job's data are ready; nothing inside a cluster's job, where other jobs may be left than when it was sent."""
        return sorted({str(self.folders.ready(self.plan.arms[arm].dataset, self.data)) for arm in self.jobs.get(job, [])})

    def jobs_before(self, job: str) -> list[str]:
        """Jobs that record the weight norms which arms of this one use."""
        sources = {self.plan.arms[arm].source for arm in self.jobs.get(job, [])} - {None}
        before = [other for other, arms in self.jobs.items() if sources & set(arms) and other != job] if sources else []
        return [str(self.folders.job_done(other)) for other in before]

    def _arms_of(self, job: str) -> Job:
        """From its file where it is none of this process's: inside a cluster's job other ones may be left."""
        return self.jobs[job] if job in self.jobs else read_json(self.folders.job(job))["arms"]

    def priority(self, job: str) -> int:
        """Expected seconds of a job."""
        return round(self.plan.job_seconds(self._arms_of(job)))

    def allocation(self, job: str) -> Allocation:
        """What a job asks a cluster for."""
        return allocation(self.plan, self._arms_of(job))


def open_pipeline(config: Mapping[str, Any], main: bool = True, processes: int | None = None) -> Pipeline:
    """The build that `config` (Snakemake's --config) asks for, as it stands. Changes no file.

    processes: how many jobs run side by side on this machine; None on a cluster. Raises InputError for a mistake in any file or value.
    """
    settings = read_settings(config)
    use_config(settings)
    for folder in folders_of("papers"):
        without_braces("the folder of papers", folder)
    tier = settings.get("tier", "quick")
    if tier not in TIERS:
        raise unknown("--config tier", "tier", tier, TIERS)
    plan = make_plan(tier, Selection(*(tuple(listed(settings.get(key, ""))) for key in NAMES)))
    build = Path(settings.get("build", "build"))
    folders = Folders(build, tier)
    refuse_newer(folders.root)
    done = [arm for arm in plan.arms if folders.index(arm).is_file() and is_done(folders, arm_content(plan, arm))]
    # A cluster's job was sent after packs had been taken up.
    offers = read_offers(_files(settings.get("pack", "")), plan, folders, set(done)) if main else NOTHING
    done += offers.complete
    left = [arm for arm in plan.selected if arm not in set(done)]
    if "budget_gpu_hours" in settings:
        left = within_budget(plan, folders.root, left, settings["budget_gpu_hours"])
    named = {job_id(folders, pack): pack for pack in jobs(plan, left, processes)}
    tracking_uri = settings.get("tracking_uri", f"sqlite:///{build}/mlflow.db")
    return Pipeline(plan, folders, Path(settings.get("data", build / "data")), tracking_uri, named, done, main, offers)


def job_id(folders: Folders, pack: Job) -> str:
    """Of the content of its file: a name under which no job has ended. Where one has that trained the same, records were lost since."""
    names = (digest({"arms": pack, **({"again": i} if i else {})})[:SHORT] for i in itertools.count())
    return next(name for name in names if not folders.job_done(name).is_file())


def prepare(pipeline: Pipeline) -> None:
    """Write what jobs and tables read: the plan, its arms, the jobs that are left. Only for who holds the build."""
    folders = pipeline.folders
    pipeline.shown.write(folders.root)
    for arm in pipeline.plan.arms:
        write_if_changed(folders.arm(arm), json.dumps(arm_content(pipeline.plan, arm), indent=1, sort_keys=True) + "\n")
    write_jobs(folders, pipeline.jobs)
    for arm in {arm for job in pipeline.jobs.values() for arm in job}:  # it is tried again
        folders.failure(arm).unlink(missing_ok=True)


def write_jobs(folders: Folders, named: dict[str, Job]) -> None:
    """jobs/<job>.json"""
    for job, arms in named.items():
        write_if_changed(folders.job(job), json.dumps({"job": job, "arms": arms}, indent=1) + "\n")


def arm_content(plan: Plan, arm: str) -> dict[str, Any]:
    """arms/<arm>.json: what determines an arm's numbers."""
    spec = plan.arms[arm]
    return {"arm": arm, "spec": asdict(spec), "code": code_of_arm(spec), "seeds": plan.seeds(arm)}


def arm_digest(content: dict[str, Any]) -> str:
    """What the index of an arm must have been written for."""
    return digest({key: content[key] for key in ("spec", "code", "seeds")})


def is_done(folders: Folders, content: dict[str, Any]) -> bool:
    """Whether all records of the arm of that content are there, of the sizes they had when written, for this very arm and code."""
    arm = content["arm"]
    try:
        index = json.loads(folders.index(arm).read_text(encoding="utf-8"))
        if index["content"] != arm_digest(content) or set(index["records"]) != {run_id(arm, seed) for seed in content["seeds"]}:
            return False
        return all(folders.record(run).stat().st_size == entry["bytes"] for run, entry in index["records"].items())
    except (OSError, ValueError, KeyError):
        return False


def other_tiers(root: Path) -> list[Path]:
    """The folders of other tiers that have run, the smallest first; tiny is for trying out and compares to nothing.

    root: build/<tier>, or a folder in it with what is finished so far.
    """
    build = root.parent if root.name in TIERS else root.parent.parent
    beside = [build / tier for tier in TIERS if tier not in (root.name, root.parent.name, TIERS[0])]
    return [folder for folder in beside if all((folder / name).is_file() for name in ("plan.json", "runs.parquet", "claims.csv"))]


def _files(names: str) -> list[Path]:
    """`--config pack=a.zip,b.zip`; a name may hold blanks."""
    return [Path(name.strip()).expanduser() for name in names.split(",") if name.strip()]
