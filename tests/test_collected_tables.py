"""The files that runs are collected into: their columns have the described types whatever the number of rows."""

import json
from dataclasses import asdict

import pandas as pd
import polars as pl
import pytest
from facts import mistake
from records_on_disk import a_record

from normbench.config.tiers import read_tier
from normbench.execution.collect import write_tables
from normbench.execution.columns import CURVES, PROBES, RUNS, SPEED
from normbench.execution.tables import PARQUET, read_table, schema, table_of, write_table
from normbench.planning.make import Selection, make_plan
from normbench.planning.plan import Plan

LOST = {"status": "diverged", "metrics": {}, "curves": {}, "probes": []}
PLAN = Plan(read_tier("tiny"), {}, [])
RECORDS = {
    "no run": [],
    "diverged": [a_record(0, **LOST)],
    "refused": [a_record(0, **LOST | {"status": "refused"})],
    "finished": [a_record(0), a_record(1, probes=[{"layer": "fc", "quantity": "variance", "value": None}])],
}


@pytest.mark.parametrize("records", RECORDS.values(), ids=RECORDS)
def test_columns_have_their_types_whatever_the_number_of_rows(records, tmp_path):
    write_tables(records, tmp_path, PLAN)
    for file in PARQUET:
        assert table_of([], file).schema == schema(file)
        assert pl.read_parquet_schema(tmp_path / file.path) == schema(file)  # as written, by whichever reader
        assert read_table(tmp_path, file).schema == schema(file)
        assert read_table(tmp_path, file, pl.Categorical).height == read_table(tmp_path, file).height
    assert pl.read_csv(tmp_path / SPEED.path).columns == list(schema(SPEED))


def test_what_has_no_number_is_empty(tmp_path):
    write_tables([*RECORDS["diverged"], a_record(1, probes=[{"layer": "fc", "quantity": "variance", "value": None}])], tmp_path, PLAN)
    assert read_table(tmp_path, RUNS).row(0, named=True).items() >= {"metric": "status", "status": "diverged", "value": None}.items()
    assert read_table(tmp_path, PROBES).rows() == [("arm-s1", "fc", None, None, "variance", None)]
    assert table_of([("r", 1, "train_loss", float("nan"))], CURVES)["value"].null_count() == 1


def test_a_broken_file_and_one_of_another_version_are_one_sentence(tmp_path):
    (tmp_path / RUNS.path).write_bytes(b"PAR1 and no more")
    write_table(table_of([("r", 1, "train_loss", 1.0)], CURVES), tmp_path, CURVES)
    pl.read_parquet(tmp_path / CURVES.path).cast({"step": pl.String}).write_parquet(tmp_path / CURVES.path)
    for file, fact in ((RUNS, "broken"), (PROBES, "missing"), (CURVES, "'step'")):
        with mistake(tmp_path / file.path, fact, *(() if file is CURVES else ["snakemake all"])):
            read_table(tmp_path, file)


def test_a_run_says_what_the_papers_call_it_and_how_it_was_trained(tmp_path):
    plan = make_plan("tiny", Selection(papers=("rescalenet",)))
    arms = plan.arms_at("rescalenet", "resnet50_bn") + plan.arms_at("rescalenet", "vgg19_none")
    records = [a_record(seed, arm, spec=asdict(plan.arms[arm])) for arm in arms for seed in (0, 1)]
    write_tables(records, tmp_path, plan)
    runs = pd.read_parquet(tmp_path / RUNS.path)
    mean = runs[(runs.metric == "test_top1") & (runs.model_name == "resnet50")].groupby("method").value.mean()
    assert mean.to_dict() == {"batch_norm": 80.5}
    (row,) = runs[(runs.arm == arms[0]) & (runs.seed == 0) & (runs.metric == "test_top1")].to_dict("records")
    assert "rescalenet/resnet50_bn" in json.loads(row["paper_arms"]) and json.loads(row["recipe"]) == plan.arms[arms[0]].recipe
