"""Records: what is written comes back, what is cut short or changed is no record, and padded seeds are caught."""

import json
from datetime import UTC, datetime

import pandas as pd
import pytest
from facts import mistake, names
from hypothesis import given, settings
from hypothesis import strategies as st
from records_on_disk import CODE, SPEC, a_record, all_done, run_main, write_index, write_line

from normbench.execution.collect import main as collect
from normbench.execution.collect import read_records
from normbench.execution.records import Record, is_current, read_record, write_record
from normbench.execution.throughput import speed_rows
from normbench.planning.folders import Folders
from normbench.planning.plan import Plan

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(max_size=8)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(
    metrics=st.dictionaries(TEXT, NUMBERS, max_size=3),
    curve=st.lists(st.tuples(st.integers(0, 10**9), NUMBERS), max_size=5),
    cause=TEXT,
    status=st.sampled_from(["finished", "diverged", "refused"]),
)
def test_what_is_written_comes_back_to_the_last_bit(tmp_path_factory, metrics, curve, cause, status):
    path = tmp_path_factory.mktemp("records") / "run.json"
    record = a_record(metrics=metrics, curves={"train_loss": curve}, cause=cause, status=status)
    write_record(record, path)
    assert read_record(path) == record
    assert is_current(path, SPEC, CODE)


def test_what_is_not_a_number_comes_back_from_a_file_that_is_still_json(tmp_path):
    path = tmp_path / "run.json"
    values = [(1, float("nan")), (2, float("inf")), (3, float("-inf"))]
    ended = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    write_record(a_record(curves={"train_loss": values}, metrics={"test_loss": float("nan")}, ended=ended), path)
    json.loads(path.read_text(), parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert str(read_record(path).curves["train_loss"]) == str(values) and str(read_record(path).metrics["test_loss"]) == "nan"
    assert read_record(path).ended == ended and is_current(path, SPEC, CODE)


def test_a_record_cut_short_anywhere_is_no_record(tmp_path):
    path = tmp_path / "run.json"
    write_record(a_record(), path)
    content = path.read_bytes()
    for end in range(len(content) - 1):  # the last byte is the line's end
        path.write_bytes(content[:end])
        with mistake(path, "cut short", "snakemake all"):
            read_record(path)
        assert not is_current(path, SPEC, CODE)


@pytest.mark.parametrize(
    "change",
    [
        {"end": "incomplete"},
        {"status": "stopped"},
        {"metrics": {"test_top1": "high"}},
        {"surplus": 1},
        {"seed": None},
    ],
)
def test_a_record_of_another_shape_is_no_record(tmp_path, change):
    path = tmp_path / "run.json"
    path.write_text(json.dumps({**json.loads(a_record().model_dump_json()), **change}))
    with mistake(path, "cut short", "snakemake all"):
        read_record(path)


def test_a_record_that_is_not_there_is_said_to_be_missing(tmp_path):
    with mistake(tmp_path / "none.json", "snakemake all"):
        read_record(tmp_path / "none.json")


def test_a_record_of_another_spec_or_code_is_not_current(tmp_path):
    path = tmp_path / "run.json"
    write_record(a_record(), path)
    assert is_current(path, dict(reversed(SPEC.items())), CODE)  # the order of keys means nothing
    assert not is_current(path, {**SPEC, "recipe": {**SPEC["recipe"], "lr": 0.2}}, CODE)
    assert not is_current(path, SPEC, {**CODE, "method": "another"})


def test_three_tables_hold_all_that_the_records_hold(tmp_path):
    root = write_line(tmp_path / "tiny")
    assert run_main(collect, root) == 0
    runs, curves, probes = (pd.read_parquet(root / f"{name}.parquet") for name in ("runs", "curves", "probes"))
    assert set(zip(runs.run, runs.metric, runs.value, strict=True)) >= {("arm-s0", "test_top1", 80.0), ("arm-s1", "test_top1", 81.0)}
    assert set(runs.unit[runs.metric == "test_top1"]) == {"%"}
    lost = runs[runs.run == "arm-s2"]
    assert (list(lost.metric), list(lost.status)) == (["status"], ["diverged"]) and lost.value.isna().all()
    assert len(curves) == 3 * 2 and list(curves[curves.run == "arm-s1"].value) == [2.1, 1.1]
    assert list(probes.columns) == ["run", "layer", "k", "depth", "quantity", "value"]
    assert list(probes[probes.run == "arm-s0"].k) == [1]


def test_a_changed_record_is_refused_and_made_anew(tmp_path, capsys):
    root = write_line(tmp_path / "tiny")
    folders, path = Folders(tmp_path, "tiny"), root / "records" / "arm-s1.json"
    assert all_done(folders, "arm")
    path.write_text(path.read_text().replace("81.0", "99.0"))  # of the same size, and a record in every other respect
    assert all_done(folders, "arm")
    assert run_main(collect, root) == 1
    names(capsys.readouterr().err, path, "changed", "arm-s1.changed", "snakemake all")
    assert not (root / "runs.parquet").exists()
    # neither the line nor the job takes it for done any more
    assert not all_done(folders, "arm") and not path.exists() and not folders.index("arm").exists()


@pytest.mark.parametrize("damage", [lambda p: p.unlink(), lambda p: p.write_bytes(p.read_bytes()[:-20])])
def test_an_arm_with_a_missing_or_short_record_is_not_done(tmp_path, damage):
    root = write_line(tmp_path / "tiny")
    damage(root / "records" / "arm-s0.json")
    assert not all_done(Folders(tmp_path, "tiny"), "arm")


@pytest.mark.parametrize("change", [("code", {**CODE, "task": "other"}), ("seeds", [0, 1, 2, 3]), ("spec", {**SPEC, "method": "none"})])
def test_an_arm_planned_otherwise_is_not_done(tmp_path, change):
    write_line(tmp_path / "tiny")
    path = Folders(tmp_path, "tiny").arm("arm")
    path.write_text(json.dumps({**json.loads(path.read_text()), change[0]: change[1]}))
    assert not all_done(Folders(tmp_path, "tiny"), "arm")


def test_a_seed_that_is_a_copy_of_another_is_caught(tmp_path):
    same = [(1, 2.0), (2, 1.0)]
    root = write_line(tmp_path / "tiny", curves=[same, [(1, 2.1), (2, 1.1)], same])
    with mistake("records/arm-s2.json", "arm-s0", "copy", "snakemake all"):
        read_records(Folders.of(root), Plan.read(root).arms)


def test_seeds_whose_loss_stands_still_are_no_copies(tmp_path):
    still = [(1, 1.0986123), (2, 1.0986123)]
    root = write_line(tmp_path / "tiny", curves=[still] * 3)
    assert len(read_records(Folders.of(root), Plan.read(root).arms)) == 3


def test_the_records_type_has_no_place_for_what_it_does_not_know():
    with pytest.raises(ValueError, match="Extra inputs are not permitted"):
        Record(**{**a_record().model_dump(), "remarks": ""})


def test_more_processes_are_worth_what_they_add_to_the_smallest_group_of_the_same_arm_and_device():
    """Medians: 100 and 120 a second of one process, 165 of two, 220 of four; another device and an untrained arm are their own."""
    speeds = {(0, 1): 100.0, (1, 1): 120.0, (2, 2): 165.0, (3, 4): 220.0}
    records = [
        a_record(seed % 3, samples_per_second=speed, world_size=size, device="gpu", gpu_hours=size)
        for (seed, size), speed in speeds.items()
    ]
    records += [a_record(0, samples_per_second=7.0, world_size=2), a_record(0, arm="untrained")]
    table = pd.DataFrame(speed_rows(records)).set_index(["device", "world_size"])
    assert table.samples_per_second.to_dict() == {("cpu", 2): 7.0, ("gpu", 1): 110.0, ("gpu", 2): 165.0, ("gpu", 4): 220.0}
    assert table.scaling_efficiency.dropna().to_dict() == {("gpu", 2): 0.75, ("gpu", 4): 0.5}
    assert table.over_world_size.dropna().to_dict() == {("gpu", 2): 1, ("gpu", 4): 1}
    assert table.runs.to_list() == [1, 2, 1, 1] and table.gpu_hours["gpu", 4] == 4


def test_speed_stands_apart_from_what_repeats_exactly(tmp_path):
    root = write_line(tmp_path / "build" / "tiny")
    assert run_main(collect, root) == 0
    before = (root / "runs.parquet").read_bytes()
    fast = a_record(0, samples_per_second=5.0)
    write_record(fast, Folders(root.parent, "tiny").record("arm-s0"))
    write_index(Folders(root.parent, "tiny"))
    assert run_main(collect, root) == 0
    assert (root / "runs.parquet").read_bytes() == before
    assert pd.read_csv(root / "speed.csv").samples_per_second.to_list() == [5.0]
