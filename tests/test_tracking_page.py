"""MLflow's own page shows the views that docs/mlflow.md promises, by the addresses that it gives."""

import re

import pytest
from mlflow_builds import experiment, two_papers
from mlflow_page import open_view, page_of, text

from normbench.core.schema import ROOT
from normbench.execution.mlflow_views import PREFIX, view_tags

pytestmark = pytest.mark.slow
PAGE = (ROOT / "docs" / "mlflow.md").read_text(encoding="utf-8")


def test_each_view_shows_what_it_is_for(tmp_path):
    build = two_papers(tmp_path / "build")
    with page_of(build / "mlflow.db") as (page, server):
        page.size(1900, 900)
        number = experiment(build).experiment_id
        open_view(page, server, number, "methods-skipinit", "TABLE")
        page.until("/test_top1[^]*paper_arm[^]*batch_norm/.test(document.body.innerText)")
        assert "3 matching runs" in text(page) and "Group by: model" in text(page)
        open_view(page, server, number, "failed", "TABLE")
        page.until("document.body.innerText.includes('diverged')")
        assert re.search(r"\b1 matching run\b", text(page)) and "the training loss is not finite" in text(page)
        open_view(page, server, number, "curves-skipinit", "CHART")
        page.until("/curve\\s+\\(1\\)[^]*curve.train_loss[^]*Step/.test(document.body.innerText)")
        assert "2 matching runs" in text(page)


def test_the_page_names_views_and_searches_that_there_are():
    views = view_tags(["skipinit"], "test_top1")
    named = re.findall(r"viewStateShareKey=([\w-]+)", PAGE)
    assert len(named) == len(views) == 3 and {PREFIX + name for name in named} == set(views)
    for name in named:
        search = re.search(rf"viewStateShareKey={name}\n(.*)", PAGE).group(1)
        assert f'"searchFilter": "{search}"' in views[PREFIX + name]
    for picture in re.findall(r"\((mlflow/\w+\.png)\)", PAGE):
        assert (ROOT / "docs" / picture).stat().st_size < 200_000
