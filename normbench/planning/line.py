"""The line on disk: where everything of a tier lies, what is up to date, and which jobs are left. Torch-free.

build/<tier>/plan.json          what the tier consists of: written when it changes, read by what follows
             arms/<arm>.json    one arm: spec, code, seeds
             jobs/<job>.json    arms that one process trains; <job>.done when it has
             records/<run>.json one run's record; norms/<run>.npz beside it where norms were recorded
             index/<arm>.json   sizes and hashes of an arm's complete records
             pictures/<run>.png what a run had to show, where its task draws
             checkpoints/ progress/ logs/
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from normbench.config.papers import TIERS
from normbench.config.search_paths import KEYS, use_config
from normbench.config.spec import code_of_run, digest
from normbench.core.errors import InputError, unknown
from normbench.core.files import write_if_changed
from normbench.planning.budget import affordable, arms_of_claim, corrected, gpu_hours, measured_seconds, read_budget
from normbench.planning.cluster import Allocation, allocation
from normbench.planning.plan import Job, Plan, Selection, jobs, make_plan

SQLITE = "sqlite:///"
CONFIG = (
    "tier",
    "papers",
    "tasks",
    "methods",
    "data",
    "tracking_uri",
    "build",
    "budget_gpu_hours",
    "results",
    "old",
    "new",
    "folder",
    *KEYS,
)


@dataclass(frozen=True)
class Folders:
    """build/<tier>, and what is shared between tiers."""

    build: Path
    tier: str

    @property
    def root(self) -> Path:
        return self.build / self.tier

    def arm(self, arm: str) -> Path:
        return self.root / "arms" / f"{arm}.json"

    def job(self, job: str) -> Path:
        return self.root / "jobs" / f"{job}.json"

    def record(self, run: str) -> Path:
        return self.root / "records" / f"{run}.json"

    def norms(self, run: str) -> Path:
        return self.root / "norms" / f"{run}.npz"

    def picture(self, run: str) -> Path:
        return self.root / "pictures" / f"{run}.png"

    def checkpoint(self, run: str) -> Path:
        return self.root / "checkpoints" / f"{run}.pt"

    def ready(self, dataset: str) -> Path:
        return self.build / "ready" / f"{dataset}.json"

    def index(self, arm: str) -> Path:
        return self.root / "index" / f"{arm}.json"


@dataclass(frozen=True)
class Line:
    """What the Snakefile needs to know.

    jobs: job id -> arms still to be trained, and which seeds of them. done: arms whose records are complete and current.
    """

    plan: Plan
    folders: Folders
    data: Path
    tracking_uri: str
    jobs: dict[str, Job]
    done: list[str]

    def path(self, *parts: str) -> str:
        return str(self.folders.root.joinpath(*parts))

    def priority(self, job: str) -> int:
        """Expected seconds of a job."""
        return round(self.plan.job_seconds(read_content(self.folders.job(job))["arms"]))

    def allocation(self, job: str) -> Allocation:
        """What a job asks a cluster for. Its file says what it trains: inside a job, fewer jobs may be left, and other ones."""
        return allocation(self.plan, read_content(self.folders.job(job))["arms"])


def open_line(config: dict[str, Any], main: bool = True, processes: int | None = None) -> Line:
    """Plan the tier that `config` (Snakemake's --config) asks for and write down what its jobs need.

    main: whether this is the process that the user started. A cluster's job reads the Snakefile again
    while others run, and must then change no file. processes: how many jobs run side by side on this machine; None on a cluster.
    """
    for key in config:
        if key not in CONFIG:
            raise unknown("--config", "key", key, CONFIG)
    use_config(config)
    tier = str(config.get("tier", "quick"))
    if tier not in TIERS:
        raise unknown("--config tier", "tier", tier, TIERS)
    selection = Selection(*(_words(config.get(key, "")) for key in ("papers", "tasks", "methods")))
    plan = make_plan(tier, selection)
    build = Path(config.get("build", "build"))
    folders = Folders(build, tier)
    if main:
        write_arms(plan, folders)
    done = [arm for arm in plan.arms if is_done(folders, arm)]
    left = [arm for arm in plan.selected if arm not in set(done)]
    if "budget_gpu_hours" in config:
        left = within_budget(plan, folders, left, read_budget(config["budget_gpu_hours"], plan.tier.gpus, tier))
    packs = {digest(pack)[:12]: pack for pack in jobs(plan, left, processes)}
    data = Path(config.get("data", build / "data"))
    tracking_uri = str(config.get("tracking_uri", f"sqlite:///{build}/mlflow.db"))
    if main:
        write_jobs(folders, packs)
        write_if_changed(folders.root / "plan.json", plan_text(plan, left, done))
        if (
            packs
        ):  # newer than what was collected: records may have been lost since, of which Snakemake, where it has no notes, knows nothing
            (folders.root / "plan.json").touch()
        forget_lost_store(folders, tracking_uri)
        forget_lost_data(folders, data)
    return Line(plan, folders, data, tracking_uri, packs, done)


def other_tiers(root: Path) -> list[Path]:
    """The folders of other tiers beside `root` that have run, the smallest first; tiny is for trying out and compares to nothing."""
    beside = [root.parent / tier for tier in TIERS if tier not in (root.name, TIERS[0])]
    return [folder for folder in beside if all((folder / name).is_file() for name in ("plan.json", "runs.parquet", "claims.csv"))]


def within_budget(plan: Plan, folders: Folders, left: list[str], budget: float) -> list[str]:
    """Those of the arms that are left which a budget of GPU-hours pays for; what is done costs nothing any more."""
    expected = {arm: plan.seconds(arm) / len(plan.seeds(arm)) for arm in plan.arms}
    seconds = corrected(expected, measured_seconds(folders.root), {arm: spec.task for arm, spec in plan.arms.items()})
    hours = gpu_hours(seconds, {a: plan.gpus(a) for a in left}, {a: len(plan.seeds(a)) for a in left}, left)
    points = {place: [arm for _, arm in found] for place, found in plan.points.items()}
    sources = {arm: spec.source for arm, spec in plan.arms.items()}
    wanted = {(key, c.id): arms_of_claim(c, key, points, sources) for key, paper in plan.papers.items() for c in paper.claims}
    paid = affordable(wanted, hours, budget)
    paid |= {sources[arm] for arm in paid if sources[arm] in hours}
    return [arm for arm in left if arm in paid]


def write_arms(plan: Plan, folders: Folders) -> None:
    """arms/<arm>.json: what determines an arm's numbers, spec and code."""
    for arm, spec in plan.arms.items():
        content = {"arm": arm, "spec": asdict(spec), "code": code_of_run(spec.task, spec.method), "seeds": plan.seeds(arm)}
        write_if_changed(folders.arm(arm), json.dumps(content, indent=1, sort_keys=True) + "\n")


def write_jobs(folders: Folders, packs: dict[str, Job]) -> None:
    """jobs/<job>.json. Their arms are not done: where a job ended before, its records were damaged or removed since."""
    for job, arms in packs.items():
        folders.job(job).with_suffix(".done").unlink(missing_ok=True)
        write_if_changed(folders.job(job), json.dumps({"job": job, "arms": arms}, indent=1) + "\n")


def forget_lost_data(folders: Folders, data: Path) -> None:
    """Remove what says that a dataset is ready where its folder is gone or another place is asked for."""
    for mark in folders.ready("x").parent.glob("*.json"):
        if read_content(mark).get("data") != str(data) or not (data / mark.stem).is_dir():
            mark.unlink()


def forget_lost_store(folders: Folders, tracking_uri: str) -> None:
    """Remove what says that MLflow has the records where it has them no more: another store is asked for, or its file is gone.

    Every tier's mark of a lost file goes, for the file that is made next holds this tier alone.
    """
    lost = tracking_uri.startswith(SQLITE) and not Path(tracking_uri.removeprefix(SQLITE)).is_file()
    for mark in folders.build.glob("*/mlflow.done"):
        imported = mark.read_text(encoding="utf-8").strip()
        if (lost and imported == tracking_uri) or (mark.parent == folders.root and imported != tracking_uri):
            mark.unlink()


def plan_text(plan: Plan, left: list[str], done: list[str]) -> str:
    """plan.json: the arms that tables and claims read. Equal plans have equal text, whether trained yet or not."""
    shown = [arm for arm in plan.arms if arm in set(left) | set(done)]
    content = {
        "tier": plan.tier.tier,
        "seeds": plan.tier.seeds,
        "papers": list(plan.papers),
        "guests": plan.guests,
        "arms": {
            arm: {
                "spec": asdict(plan.arms[arm]),
                "seeds": plan.seeds(arm),
                "expected_seconds": round(plan.seconds(arm), 1),
                "gpus": plan.gpus(arm),
            }
            for arm in sorted(shown)
        },
        "points": [
            {"paper": paper, "arm": name, "point": point, "id": arm}
            for (paper, name), points in sorted(plan.points.items())
            for point, arm in points
        ],
        "code": code_of_plan(plan),
    }
    return json.dumps(content, indent=1, sort_keys=True) + "\n"


def code_of_plan(plan: Plan) -> dict[str, Any]:
    """The hashes of all code that the plan's runs depend on: {"library": ..., "tasks": {task: ...}, "methods": {method: ...}}."""
    found = [(spec, code_of_run(spec.task, spec.method)) for spec in plan.arms.values()]
    return {
        "library": found[0][1]["library"] if found else "",
        "tasks": {spec.task: code["task"] for spec, code in found},
        "methods": {spec.method: code["method"] for spec, code in found},
    }


def is_done(folders: Folders, arm: str) -> bool:
    """Whether all records of the arm are there, of the sizes they had when written, for this very arm and code."""
    try:
        index = json.loads(folders.index(arm).read_text(encoding="utf-8"))
        content = json.loads(folders.arm(arm).read_text(encoding="utf-8"))
        if index["content"] != arm_digest(content) or set(index["records"]) != {f"{arm}-s{seed}" for seed in content["seeds"]}:
            return False
        return all(folders.record(run).stat().st_size == entry["bytes"] for run, entry in index["records"].items())
    except (OSError, ValueError, KeyError):
        return False


def arm_digest(content: dict[str, Any]) -> str:
    """What the index of an arm must have been written for."""
    return digest({"spec": content["spec"], "code": content["code"], "seeds": content["seeds"]})


def read_content(path: Path) -> dict[str, Any]:
    """An arm's or a job's file, written by the planning."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: is missing or broken ({error}); `snakemake all` writes it again") from error


def _words(value: Any) -> tuple[str, ...]:
    """`--config papers=skipinit,rescalenet` or a list."""
    if isinstance(value, str):
        value = value.replace(",", " ").split()
    return tuple(str(v) for v in value)
