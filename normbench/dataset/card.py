"""results/README.md: the data card, made of the same descriptions as the schemas. Torch-free."""

from collections.abc import Iterable
from typing import Any

import polars as pl
from jinja2 import Environment, PackageLoader, StrictUndefined

from normbench.config.tasks import Metric, Task, read_task
from normbench.dataset.citation import Citation
from normbench.dataset.columns import FILES
from normbench.dataset.datapackage import LICENSE
from normbench.dataset.tiers import Published
from normbench.dataset.version import RULE
from normbench.execution.columns import RUNS

SAYS = (
    "What normalization does for training: claims of published papers, tested. Every run of every method is a record (accuracy, loss, "
    "signal statistics, status), each paper's tables stand beside what was measured, and each claim has a verdict with its interval."
)


def card(tiers: list[Published], citation: Citation, version: dict[str, str]) -> str:
    """The page in Markdown. tiers: at least one."""
    environment = Environment(
        loader=PackageLoader("normbench.dataset"),
        autoescape=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    every = pl.concat([tier.runs for tier in tiers])
    return environment.get_template("card.md.jinja").render(
        citation=citation,
        version=version,
        license=LICENSE,
        says=SAYS,
        tiers=[_tier(tier) for tier in tiers],
        datasets=_datasets(every),
        files=FILES,
        again=[column.name for column in RUNS.columns if column.again],
        tasks=[_task(read_task(name)) for name in sorted(every["task"].unique())],
        rule=RULE,
    )


def _tier(tier: Published) -> dict[str, Any]:
    runs = tier.runs
    ended = dict(runs["status"].value_counts().iter_rows())
    return {
        "name": tier.name,
        "says": tier.plan.tier.says,
        "papers": len(tier.plan.papers),
        "arms": runs["arm"].n_unique(),
        "runs": f"{len(runs):,}",
        "diverged": ended.get("diverged", 0),
        "refused": ended.get("refused", 0),
        "verdicts": ", ".join(f"{n} {verdict}" for verdict, n in tier.verdicts.items() if n),
        "megabytes": f"{tier.bytes / 1e6:.1f}",
        "torch": _listed(runs["torch"]),
        "engines": _listed(runs.select(pl.col("task") + " by " + pl.col("engine")).to_series()),
        "devices": _listed(runs["device"]),
        "hours": f"{runs['seconds'].sum() / 3600:.1f}",
    }


def _datasets(every: pl.DataFrame) -> list[dict[str, str]]:
    rows = []
    for (task, dataset), part in every.group_by(["task", "dataset"]):
        rows.append(
            {
                "task": task,
                "dataset": dataset,
                "tiers": _listed(part["tier"]),
                "says": read_task(task).datasets[dataset].says,
                "hashes": _listed(f"`{hash_}`" for hash_ in part["data_sha256"] if hash_) or "not recorded",
            }
        )
    return sorted(rows, key=lambda row: (row["task"], row["dataset"]))


def _task(task: Task) -> dict[str, Any]:
    metrics = {name: {**metric.model_dump(), "range": _range(metric)} for name, metric in task.metrics.items()}
    return {"task": task.task, "title": task.title, "metrics": metrics}


def _range(metric: Metric) -> str:
    low, high = ("" if bound is None else f"{bound:g}" for bound in (metric.low, metric.high))
    return f"{low} to {high}" if low and high else f"from {low}" if low else f"up to {high}" if high else "any"


def _listed(values: Iterable[str]) -> str:
    return ", ".join(sorted(set(values)))
