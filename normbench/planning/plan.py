"""The plan of a tier: every run, what it takes, and which arms of which papers it belongs to. Torch-free.

plan.json holds it beside copies of the papers' and the tier's files, so that a folder that was copied or published says by itself what its
runs were judged by. `Plan` alone writes and reads these files.
"""

import json
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from normbench.config.papers import Paper, read_paper
from normbench.config.spec import ArmSpec, arm_from, digest, run_id
from normbench.config.tasks import Resources, read_task
from normbench.config.tiers import GUEST, TierFile, read_tier_file
from normbench.core.errors import InputError
from normbench.core.files import write_if_changed

Job = dict[str, list[int]]  # arm id -> those of its seeds that one process trains
Point = tuple[dict[str, Any], str]  # swept values, arm id
NAME, PAPERS, TIER = "plan.json", "papers", "tier.yaml"
FORMAT = 1  # of plan.json; a file that says none is older than the first


@dataclass(frozen=True)
class Effort:
    """What an arm takes: its seeds, expected seconds of one run on what the tier gives it, and GPUs of one run (0: one CPU core)."""

    seeds: tuple[int, ...]
    seconds: float
    gpus: int


@dataclass
class Plan:
    """All runs of a tier.

    papers: those selected, whole. guests: methods that stand in tables and figures beside the paper's own arms. arms: id -> spec.
    efforts: id -> what it takes. points: (paper, arm name) -> its points. selected: the ids to train now; all, of a plan that was read.
    code: hashes of all code that the runs depend on, {"tasks": {task: hash}, "methods": {method: hash},
    "files": {file: hash}}. left_out: (paper, arm name) -> why it could not be planned: its method's file is broken.
    """

    tier: TierFile
    papers: dict[str, Paper]
    guests: list[str]
    arms: dict[str, ArmSpec] = field(default_factory=dict)
    efforts: dict[str, Effort] = field(default_factory=dict)
    points: dict[tuple[str, str], list[Point]] = field(default_factory=dict)
    code: dict[str, dict[str, str]] = field(default_factory=dict)
    selected: list[str] = field(default_factory=list, compare=False)
    left_out: dict[tuple[str, str], str] = field(default_factory=dict)

    def runs(self) -> list[str]:
        """The ids of all selected runs."""
        return [run for arm in self.selected for run in self.runs_of(arm)]

    def runs_of(self, arm: str) -> list[str]:
        return [run_id(arm, seed) for seed in self.seeds(arm)]

    def seeds(self, arm: str) -> list[int]:
        return list(self.efforts[arm].seeds)

    def gpus(self, arm: str) -> int:
        return self.efforts[arm].gpus

    def run_seconds(self, arm: str) -> float:
        return self.efforts[arm].seconds

    def seconds(self, arm: str) -> float:
        """Expected seconds of an arm, all seeds one after another."""
        return self.run_seconds(arm) * len(self.seeds(arm))

    def job_seconds(self, job: Job) -> float:
        return sum(self.run_seconds(arm) * len(seeds) for arm, seeds in job.items())

    def arms_at(self, paper: str, name: str) -> list[str]:
        """The ids of a paper's arm: one, or as many as its sweep has points."""
        return [arm for _, arm in self.points.get((paper, name), [])]

    @cached_property
    def names(self) -> dict[str, list[str]]:
        """id -> the papers' arms that it is, each as paper/arm (a guest's: paper/arm@method)."""
        found: dict[str, list[str]] = {}
        for (paper, name), points in self.points.items():
            for _, arm in points:
                found.setdefault(arm, []).append(f"{paper}/{name}")
        return {arm: sorted(set(names)) for arm, names in found.items()}

    def model_names(self, arm: str) -> list[str]:
        """What the arm's network is called where it was asked for: resnet50, also where a tier affords a smaller one."""
        pairs = [name.split("/", 1) for name in self.names.get(arm, [])]
        models = [self.papers[paper].arms[name.partition(GUEST)[0]].model for paper, name in pairs if paper in self.papers]
        return sorted({model if isinstance(model, str) else model.get("use", model.get("family", "")) for model in models})

    def called(self, arm: str) -> dict[str, str]:
        """How the tables of runs name an arm: by the papers' networks and by the papers' arms."""
        return {"model_name": " ".join(self.model_names(arm)), "paper_arms": json.dumps(self.names.get(arm, []))}

    def only(self, arms: set[str]) -> "Plan":
        """The plan of these arms alone, as tables and claims read it; the points of the others stay, to say that they did not run."""
        kept = {arm: spec for arm, spec in self.arms.items() if arm in arms}
        efforts = {arm: self.efforts[arm] for arm in kept}
        return replace(self, arms=kept, efforts=efforts, selected=[arm for arm in self.selected if arm in kept])

    def text(self) -> str:
        """plan.json. Equal plans have equal text, whether trained yet or not."""
        content = {
            "format": FORMAT,
            "tier": self.tier.tier,
            "papers": list(self.papers),
            "guests": self.guests,
            "arms": {arm: {"spec": asdict(spec), **asdict(self.efforts[arm])} for arm, spec in sorted(self.arms.items())},
            "points": [
                {"paper": paper, "arm": name, "point": point, "id": arm}
                for (paper, name), points in sorted(self.points.items())
                for point, arm in points
            ],
            "code": self.code,
        }
        if self.left_out:
            content["left_out"] = [{"paper": key, "arm": arm, "because": why} for (key, arm), why in sorted(self.left_out.items())]
        return json.dumps(content, indent=1, sort_keys=True) + "\n"

    @cached_property
    def digest(self) -> str:
        """Of plan.json."""
        return digest(self.text())

    def write(self, root: Path) -> None:
        """plan.json, papers/ and tier.yaml in the folder `root`."""
        for source in dict.fromkeys(path for paper in self.papers.values() for path in paper.inputs()):
            write_if_changed(root / PAPERS / source.name, source.read_text(encoding="utf-8"))
        write_if_changed(root / TIER, self.tier.path.read_text(encoding="utf-8"))
        write_if_changed(root / NAME, self.text())

    @classmethod
    def read(cls, root: Path) -> "Plan":
        """The plan in the folder `root`. Raises InputError where one of its files is missing or broken."""
        refuse_newer(root)
        path = root / NAME
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            points: dict[tuple[str, str], list[Point]] = {}
            for row in content["points"]:
                points.setdefault((row["paper"], row["arm"]), []).append((row["point"], row["id"]))
            arms = content["arms"].items()
            specs = {arm: arm_from(entry["spec"]) for arm, entry in arms}
            efforts = {arm: Effort(tuple(entry["seeds"]), entry["seconds"], entry["gpus"]) for arm, entry in arms}
            papers, guests, code = content["papers"], content["guests"], content["code"]
            left_out = {(row["paper"], row["arm"]): row["because"] for row in content.get("left_out", [])}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path}: is missing or broken ({error!r}); `snakemake all` writes it again") from error
        return cls(
            read_tier_file(root / TIER),
            {key: read_paper(key, root / PAPERS) for key in papers},
            guests,
            specs,
            efforts,
            points,
            code,
            list(specs),
            left_out,
        )


def refuse_newer(root: Path) -> None:
    """Raises InputError where a newer version wrote plan.json in the folder `root`. One that is missing or broken is no matter of this."""
    path = root / NAME
    try:
        written = json.loads(path.read_text(encoding="utf-8"))["format"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    if isinstance(written, int) and written > FORMAT:
        raise InputError(
            f"{path}: was written by a newer NormBench (format {written}, and this one reads up to {FORMAT}); update this clone, or build "
            "elsewhere with --config build=..."
        )


def resources_of(spec: ArmSpec) -> Resources:
    """What the task says of a run on the arm's dataset; one GPU where it says nothing."""
    return read_task(spec.task).resources.get(spec.dataset) or Resources()
