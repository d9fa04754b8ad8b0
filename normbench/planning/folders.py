"""Where everything of a build lies. Torch-free, and nothing is written here.

build/<tier>/plan.json               what the tier consists of; papers/ and tier.yaml: what it was planned from
             arms/<arm>.json         one arm: spec, code, seeds
             jobs/<job>.json         arms that one process trains; <job>.done when it has
             checked/<plan>.json     every arm of a plan was built once; collected/<plan>.json: the tables hold its runs
             failures/<arm>.json     why an arm failed, and in which log more of it stands; so_far/: made of what is complete
             made/<step>.json        what claims, tables, figures, report consist of, with hashes (marks.py)
             records/<run>.json      one run's record; norms/<run>.npz beside it where norms were recorded
             index/<arm>.json        sizes and hashes of an arm's complete records
             pictures/<run>.png      what a run had to show, where its task draws
             tracked/<store>.done    MLflow's store of that name has the records
             taken_up/<runs>.done    these runs came out of packs of records; <tier>-<digest>.normbench.zip: a pack made of this build
             checkpoints/ progress/ logs/ locks/; building: who builds this at present
build/ready/<place>/<dataset>.json   a dataset of the data folder <place> was made or checked
"""

from dataclasses import dataclass
from pathlib import Path

from normbench.config.spec import digest
from normbench.planning.marks import names

SQLITE = "sqlite:///"
SHORT = 12  # digits of a hash that names a file


@dataclass(frozen=True)
class Folders:
    """build/<tier>, and what is shared between tiers."""

    build: Path
    tier: str

    @classmethod
    def of(cls, root: Path) -> "Folders":
        """Those of a tier's folder, build/<tier>."""
        return cls(root.parent, root.name)

    @property
    def root(self) -> Path:
        return self.build / self.tier

    @property
    def plan(self) -> Path:
        return self.root / "plan.json"

    def arm(self, arm: str) -> Path:
        return self.root / "arms" / f"{arm}.json"

    def job(self, job: str) -> Path:
        return self.root / "jobs" / f"{job}.json"

    def job_done(self, job: str) -> Path:
        return self.root / "jobs" / f"{job}.done"

    def record(self, run: str) -> Path:
        return self.root / "records" / f"{run}.json"

    def norms(self, run: str) -> Path:
        return self.root / "norms" / f"{run}.npz"

    def picture(self, run: str) -> Path:
        return self.root / "pictures" / f"{run}.png"

    def checkpoint(self, run: str) -> Path:
        return self.root / "checkpoints" / f"{run}.pt"

    def index(self, arm: str) -> Path:
        return self.root / "index" / f"{arm}.json"

    def checked(self, plan: str) -> Path:
        return self.root / "checked" / f"{plan}.json"

    def collected(self, plan: str) -> Path:
        return self.root / "collected" / f"{plan}.json"

    def failure(self, arm: str) -> Path:
        return self.root / "failures" / f"{arm}.json"

    @property
    def so_far(self) -> Path:
        """What was made of the arms that were complete at some time, beside a build that goes on."""
        return self.root / "so_far"

    def made(self, step: str) -> Path:
        return self.root / "made" / f"{step}.json"

    def taken_up(self, runs: list[str]) -> Path:
        """What says that these runs came out of packs: a new name each time that they were lost since."""
        marks = (self.root / "taken_up" / f"{name}.done" for name in names(digest(runs)[:SHORT]))
        return next(mark for mark in marks if not mark.is_file())

    def ready(self, dataset: str, data: Path) -> Path:
        """What says that a dataset is ready: of this data folder, and a new name each time that the dataset was lost since."""
        place = digest(str(data))[:SHORT]
        marks = (self.build / "ready" / name / f"{dataset}.json" for name in names(place))
        return next(mark for mark in marks if not mark.is_file() or (data / dataset).is_dir())

    def tracked(self, tracking_uri: str) -> Path:
        """What says that a store of MLflow's has the records: a new name each time that its file was lost since."""
        lost = is_lost(tracking_uri)
        marks = (self.root / "tracked" / f"{name}.done" for name in names(digest(tracking_uri)[:SHORT]))
        return next(mark for mark in marks if not (lost and mark.is_file()))

    def forget_tracked(self, tracking_uri: str) -> None:
        """Before a store is made anew: what any tier says that the lost one had is true no more."""
        for mark in self.build.glob(f"*/tracked/{digest(tracking_uri)[:SHORT]}*.done"):
            mark.unlink()


def is_lost(tracking_uri: str) -> bool:
    """Whether it is a file that is not there."""
    return tracking_uri.startswith(SQLITE) and not Path(tracking_uri.removeprefix(SQLITE)).is_file()
