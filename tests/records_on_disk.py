"""Records, and a build folder that holds some, for the tests of what reads them."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from normbench.config.papers import read_paper
from normbench.config.recipe import Recipe
from normbench.config.spec import arm_from
from normbench.config.tiers import read_tier
from normbench.core.files import write_json
from normbench.execution import collect, index
from normbench.execution.records import Record, write_record
from normbench.planning.folders import Folders
from normbench.planning.pipeline import is_done
from normbench.planning.plan import Effort, Plan

SPEC = {
    "task": "imagenet",
    "dataset": "digits",
    "model": {"family": "plain_cnn", "depth": 10},
    "method": "batch_norm",
    "params": {"eps": 1e-5},
    "recipe": Recipe(steps=2, batch_size=4, lr=0.1).model_dump(mode="json"),
    "source": None,
}
CODE = {"method": "1", "task": "2"}
CURVES = [[(1, 2.0), (2, 1.0)], [(1, 2.1), (2, 1.1)], [(1, 2.2), (2, 1.2)]]


def a_record(seed: int = 0, arm: str = "arm", **fields: Any) -> Record:
    given = {
        "run": f"{arm}-s{seed}",
        "arm": arm,
        "seed": seed,
        "tier": "tiny",
        "spec": SPEC,
        "status": "finished",
        "step": 2,
        "metrics": {"test_top1": 80.0 + seed, "train_loss": 1.0 + seed},
        "curves": {"train_loss": CURVES[seed]},
        "probes": [{"layer": "join1", "k": 1, "depth": 2, "quantity": "variance_init", "value": 1.5}],
        "n_parameters": 10,
        "seconds": 1.5,
        "code": CODE,
        "method_sha256": "4",
        "data_sha256": "5",
        "git_commit": "6",
        "torch": "2",
        "device": "cpu",
    }
    return Record(**given | fields)


def write_line(root: Path, curves: list | None = None, arm: str = "arm", papers: list[str] | None = None) -> Path:
    """build/<tier> of one arm with three seeds, the last of which diverged unless `curves` says what each one's loss was.

    papers: collected already, for what reads the tables.
    """
    folders, seeds = Folders(root.parent, root.name), [0, 1, 2]
    content = {"arm": arm, "spec": SPEC, "code": CODE, "seeds": seeds}
    write_json(folders.arm(arm), content)
    for seed in seeds:
        lost = {"status": "diverged", "cause": "the training loss is not finite", "metrics": {}} if seed == 2 and not curves else {}
        write_record(
            a_record(seed, arm, **lost, **({"curves": {"train_loss": curves[seed]}} if curves else {})), folders.record(f"{arm}-s{seed}")
        )
    write_index(folders, arm)
    chosen = {key: read_paper(key) for key in papers or []}
    plan = Plan(read_tier(root.name), chosen, [], {arm: arm_from(SPEC)}, {arm: Effort(tuple(seeds), 1.0, 0)})
    plan.write(root)
    if papers:
        run_main(collect.main, root)
    return root


def run_main(main: Callable[[], int], root: Path, *arguments: str) -> int:
    """What a rule of the line runs: main() with --root."""
    with mock.patch.object(sys, "argv", ["program", "--root", str(root), *arguments]):
        return main()


def all_done(folders: Folders, arm: str) -> bool:
    """Whether the arm of arms/<arm>.json has all its records."""
    return is_done(folders, json.loads(folders.arm(arm).read_text(encoding="utf-8")))


def write_index(folders: Folders, arm: str = "arm") -> None:
    """The sizes and hashes of an arm's records as they lie there."""
    content = json.loads(folders.arm(arm).read_text(encoding="utf-8"))
    index.write_index(folders, content)
