"""Views of an experiment that MLflow's page opens by name: .../#/experiments/1/runs?viewStateShareKey=failed

The page keeps a view that somebody shares as a tag of the experiment, which holds its state: what is searched, the columns, the groups.
These are there from the start.
"""

import json
from collections.abc import Iterable
from typing import Any

from normbench.execution.mlflow_run import BAR

PREFIX = "mlflow.sharedViewState."


def view_tags(papers: Iterable[str], metric: str) -> dict[str, str]:
    """Tags of an experiment: for each paper its methods with the task's main metric and their training curves, and what failed."""
    views = {"failed": _state("tags.status != 'finished'", _columns("tags", "method", "paper_arm", "status", "cause"))}
    for paper in papers:
        search = f"tags.paper LIKE '%{BAR}{paper}{BAR}%'"
        columns = _columns("tags", "method", "model", "dataset", "paper_arm", "status") + _columns("metrics", metric)
        views[f"methods-{paper}"] = _state(search, columns, groupBy=_by("model", "method"))
        curves = {"groupBy": _by("model", "method"), "chartsSearchFilter": "^curve/train_loss$"}
        views[f"curves-{paper}"] = _state(f"{search} AND tags.status = 'finished'", [], **curves)
    return {PREFIX + name: json.dumps(state, sort_keys=True) for name, state in views.items()}


def _state(search: str, columns: list[str], **more: Any) -> dict[str, Any]:
    return {"searchFilter": search, "selectedColumns": columns, "startTime": "ALL", "lifecycleFilter": "Active", **more}


def _columns(kind: str, *names: str) -> list[str]:
    return [f"{kind}.`{name}`" for name in names]


def _by(*tags: str) -> dict[str, Any]:
    """One row or line for all runs with the same values of these tags: their mean."""
    return {"aggregateFunction": "average", "groupByKeys": [{"mode": "tag", "groupByData": tag} for tag in tags]}
