"""What the formats' own validators say of whole files, of a small dataset and of what is published here."""

import json
from pathlib import Path

import frictionless
import mlcroissant
import polars as pl
import pytest
from published_samples import DRAWN, cited, edit, make_tier

from normbench.core.schema import ROOT
from normbench.dataset import datapackage, derived
from normbench.dataset.publish import publish
from normbench.execution.columns import PROBES

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    """A small dataset, some of whose probes are of no block."""
    place = tmp_path_factory.mktemp("published")
    with pytest.MonkeyPatch.context() as patch:
        for name, made in DRAWN.items():
            patch.setitem(derived.MADE, name, made)
        build = make_tier(place / "build")
        outside = pl.when(pl.int_range(pl.len()) % 3 == 0).then(None)
        edit(build, PROBES, lambda probes: probes.head(900).with_columns(outside.otherwise(pl.col("k")).alias("k")))
        cited(place)
        publish(build, place / "results", place / "CITATION.cff")
    return place / "results"


def complaints(report: frictionless.Report) -> list[tuple[str, str]]:
    return [(task.place, error.message) for task in report.tasks for error in task.errors] + [(e.type, e.message) for e in report.errors]


def test_frictionless_finds_nothing_in_whole_files(results):
    report = frictionless.Package(str(results / "datapackage.json")).validate()
    assert report.valid and complaints(report) == []
    assert {task.name for task in report.tasks} >= {"quick-runs", "quick-curves", "quick-probes", "quick-claims"}


@pytest.mark.parametrize("name", ["quick-runs", "quick-claims", "quick-prediction", "laptop-claims", "laptop-prediction"])
def test_frictionless_finds_nothing_in_whole_files_that_are_published_here(name):
    report = frictionless.Package(str(ROOT / "results" / "datapackage.json")).get_resource(name).validate()
    assert report.valid, complaints(report)


def test_our_own_check_asks_frictionless_everything_and_finds_nothing(results, tmp_path):
    for folder in (results, ROOT / "results"):
        assert datapackage.faults(folder / "datapackage.json") == []
    content = json.loads((results / "datapackage.json").read_text())
    claims = next(entry for entry in content["resources"] if entry["name"] == "quick-claims")
    probes = next(entry for entry in content["resources"] if entry["name"] == "quick-probes")
    claims["bytes"] += 1
    next(field for field in probes["schema"]["fields"] if field["name"] == "k")["type"] = "integer"
    (tmp_path / "quick").symlink_to(results / "quick")
    (tmp_path / "datapackage.json").write_text(json.dumps(content))
    found = datapackage.faults(tmp_path / "datapackage.json")
    assert any("claims.csv" in fault and str(claims["bytes"]) in fault for fault in found)
    assert any("probes.parquet" in fault and "integer" in fault for fault in found)


@pytest.mark.parametrize("place", ["small", "here"])
def test_croissant_finds_nothing(place, results):
    folder = results if place == "small" else ROOT / "results"
    issues = mlcroissant.Dataset(jsonld=str(folder / "croissant.json")).metadata.ctx.issues
    assert list(issues.errors) == [] and list(issues.warnings) == []
