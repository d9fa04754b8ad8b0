"""Packs that a build takes up: what fits is there byte for byte and is not trained, what does not is named, and the build's own stays."""

import json
from pathlib import Path

import pytest
from facts import mistake, names
from packs import SEEDS, a_build, arms_of, contents, opened, pack_of, with_manifest
from records_on_disk import a_record
from test_plan_file import state

from normbench.config.spec import run_id
from normbench.dataset.packed_records import difference
from normbench.dataset.take_up import take_up
from normbench.execution.records import read_record
from normbench.planning.pipeline import Pipeline, arm_content, is_done, open_pipeline
from normbench.planning.record_pack import MANIFEST


def left_to_train(pipeline: Pipeline) -> set[str]:
    return {arm for job in pipeline.jobs.values() for arm in job}


def records(build: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (build / "tiny" / "records").iterdir()}


def carried(tmp_path: Path, name: str, **of: object) -> Path:
    """A pack of a build of its own."""
    return pack_of(a_build(tmp_path / name / "build", **of), tmp_path / name)


def test_a_whole_pack_completes_its_arms_and_nothing_of_them_is_trained(tmp_path, capsys):
    source = a_build(tmp_path / "there" / "build")
    pack, build = pack_of(source), tmp_path / "build"
    arms = arms_of(source)
    before = opened(build)
    pipeline = opened(build, pack)
    assert not build.exists()
    assert set(pipeline.done) == set(arms) and left_to_train(pipeline) == left_to_train(before) - set(arms)
    take_up(pipeline)
    names(capsys.readouterr().err, pack, "4 runs taken up", "0 here already")
    kept = {"records", "norms", "pictures", "index"}
    same = [
        {name: (folders.root / name).read_bytes() for name in state(folders.root) if name.split("/")[0] in kept}
        for folders in (pipeline.folders, source.folders)
    ]
    assert same[0] == same[1] and len(same[0]) == 4 + 2 + 2
    assert all(is_done(pipeline.folders, arm_content(pipeline.plan, arm)) for arm in arms)
    again = opened(build)
    assert set(again.done) == set(arms) and left_to_train(again) == left_to_train(pipeline)


def test_seeds_of_an_arm_that_lacks_others_are_taken_up_and_the_arm_is_trained_on(tmp_path):
    pack, build = carried(tmp_path, "there", seeds=(1,)), tmp_path / "build"
    pipeline = opened(build, pack)
    arms = set(arms_of(pipeline))
    assert not pipeline.done and arms <= left_to_train(pipeline)
    begun = {seed: pipeline.folders.checkpoint(run_id(min(arms), seed)) for seed in (0, 1)}
    for checkpoint in begun.values():
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        checkpoint.write_bytes(b"of a training that was interrupted")
    take_up(pipeline)
    assert begun[0].exists() and not begun[1].exists(), "a run that has its record has nothing to go on from"
    assert records(build).keys() == {f"{run_id(arm, 1)}.json" for arm in arms}
    assert not (build / "tiny" / "index").exists()


def test_two_machines_and_the_builds_own_records_make_arms_whole(tmp_path):
    """The first arm of this build and one machine, the second of two machines."""
    packs = [carried(tmp_path, "one", seeds=(0,)), carried(tmp_path, "two", seeds=(1,))]
    build = tmp_path / "build"
    a_build(build, seeds=(0,), arms=1, seconds=99.0)
    pipeline = opened(build, *packs)
    first, second = arms_of(pipeline)
    assert set(pipeline.done) == {first, second} and not left_to_train(pipeline) & {first, second}
    own = (build / "tiny" / "records" / f"{run_id(first, 0)}.json").read_bytes()
    take_up(pipeline)
    assert set(opened(build).done) == {first, second}
    assert records(build)[f"{run_id(first, 0)}.json"] == own
    assert len(records(build)) == 4
    assert set(opened(build, packs[0]).done) == {first, second} and opened(build, *packs).offers.new == []


def test_of_a_run_with_other_values_the_builds_own_is_kept_and_both_are_said(tmp_path, capsys):
    pack, build = carried(tmp_path, "there", metrics={"test_top1": 81.25, "train_loss": 1.0}), tmp_path / "build"
    arm = arms_of(a_build(build, arms=1, metrics={"test_top1": 80.5, "train_loss": 1.0}))[0]
    own = records(build)
    take_up(opened(build, pack))
    told = capsys.readouterr().err.splitlines()
    assert all(records(build)[name] == data for name, data in own.items()) and len(records(build)) == 4
    assert len(told) == 3
    names(told[0], "2 runs taken up", "2 here already")
    names(told[1], pack, run_id(arm, 0), "test_top1", "81.25", "80.5", "kept")
    names(told[2], run_id(arm, 1))


def test_of_an_equal_run_the_builds_own_is_kept_without_a_word(tmp_path, capsys):
    """Seconds, memory and the machine are no part of what repeats."""
    pack, build = carried(tmp_path, "there", seconds=7.0, machine={"node": "another"}, peak_memory_bytes=5), tmp_path / "build"
    a_build(build)
    before = state(build)
    take_up(opened(build, pack))
    assert state(build) == before and capsys.readouterr().err.count("\n") == 1


def test_packs_that_contradict_each_other_are_refused_and_equal_ones_are_not(tmp_path):
    one, slower = carried(tmp_path, "one"), carried(tmp_path, "slower", seconds=9.0)
    other = carried(tmp_path, "other", status="diverged", metrics={})
    build = tmp_path / "build"
    with mistake(one, other, "-s0", "status", "diverged", "finished", "one of these two"):
        take_up(opened(build, one, other))
    assert not build.exists()
    take_up(opened(build, one, slower))
    assert all(data == contents(one)[f"records/{name}"] for name, data in records(build).items()) and len(records(build)) == 4


def test_a_record_that_other_code_left_gives_way(tmp_path):
    """As it would to a training."""
    pack, build = carried(tmp_path, "there"), tmp_path / "build"
    pipeline = a_build(build, arms=1)
    stale = pipeline.folders.record(run_id(arms_of(pipeline)[0], 0))
    stale.write_text(stale.read_text().replace('"code":{"', '"code":{"other":"1","'))
    take_up(opened(build, pack))
    assert records(build)[stale.name] == contents(pack)[f"records/{stale.name}"]
    assert set(arms_of(pipeline)) == set(opened(build).done)


def of_other_code(pack: Path, arms: list[str], *parts: str) -> Path:
    """The pack as another version would have made it; records that do not fit are not looked into."""

    def change(manifest: dict) -> None:
        for arm in arms:
            manifest["arms"][arm]["code"] |= dict.fromkeys(parts, "0" * 64)

    return with_manifest(pack, contents(pack), change)


def test_what_does_not_fit_is_counted_by_reason_with_an_example_and_left(tmp_path, capsys):
    build = tmp_path / "build"
    source = a_build(tmp_path / "there" / "build", arms=3)
    pack = pack_of(source)
    first, second, third = arms_of(source, 3)
    of_other_code(pack, [first], "method")

    def rename(manifest: dict) -> None:
        for part in ("arms", "members"):
            manifest[part] = {name.replace(second, "elsewhere"): about for name, about in manifest[part].items()}

    found = {name.replace(second, "elsewhere"): data for name, data in contents(pack).items()}
    with_manifest(pack, found, rename)
    pipeline = opened(build, pack)
    assert pipeline.done == [third] and {first, second} <= left_to_train(pipeline)
    take_up(pipeline)
    assert records(build).keys() == {f"{run_id(third, seed)}.json" for seed in SEEDS}
    said = capsys.readouterr().err
    names(said, "2 runs taken up", "2 made by other code of the method batch_norm", run_id(first, 0), "elsewhere-s0")
    assert said.count("left:") == 1 and "of arms that this plan does not have" in said


@pytest.mark.parametrize(
    ("parts", "facts"), [(("task",), ["the task imagenet"]), (("task", "method"), ["imagenet", "the method batch_norm"])]
)
def test_a_pack_of_other_code_is_refused_with_the_code_that_differs_and_the_commit(parts, facts, tmp_path):
    source = a_build(tmp_path / "there" / "build", git_commit="0123456789abcdef")
    pack = of_other_code(pack_of(source), arms_of(source), *parts)
    with mistake(pack, "none of its 4 runs", "0123456789ab", "pack=", *facts):
        opened(tmp_path / "build", pack)
    assert not (tmp_path / "build").exists()


def test_seeds_that_a_tier_does_not_have_are_left(tmp_path):
    source = a_build(tmp_path / "there" / "build", seeds=(0, 2), arms=1)
    source.plan.efforts = {arm: type(effort)((0, 2), effort.seconds, effort.gpus) for arm, effort in source.plan.efforts.items()}
    pipeline = opened(tmp_path / "build", pack_of(source))
    (arm,) = arms_of(source, 1)
    (fitting,) = pipeline.offers.fittings
    assert fitting.seeds == {arm: [0]} and pipeline.done == []
    names(fitting.why_left(), "1 of seeds", run_id(arm, 2))


def test_a_clusters_job_looks_for_no_pack(tmp_path):
    config = {"tier": "tiny", "papers": "norm_matters", "build": str(tmp_path), "pack": str(tmp_path / "gone.zip")}
    assert open_pipeline(config, main=False).offers.fittings == ()
    with mistake(tmp_path / "gone.zip"):
        open_pipeline(config)


def test_tables_are_made_again_each_time_that_records_come_out_of_packs(tmp_path):
    pack, build = carried(tmp_path, "there"), tmp_path / "build"
    pipeline = opened(build, pack)
    (mark,) = set(pipeline.unfinished()) - {str(pipeline.folders.job_done(job)) for job in pipeline.jobs}
    take_up(pipeline)
    assert not any("taken_up" in path for path in opened(build, pack).unfinished())
    Path(mark).parent.mkdir()
    Path(mark).touch()
    for path in (build / "tiny" / "records").iterdir():
        path.unlink()
    (other,) = [path for path in opened(build, pack).unfinished() if "taken_up" in path]
    assert other != mark and not Path(other).exists()


def test_a_damaged_record_that_was_counted_on_is_named(tmp_path):
    """At a look it is of this code and complete."""
    pack, build = carried(tmp_path, "there", seeds=(1,), arms=1), tmp_path / "build"
    pipeline = a_build(build, seeds=(0,), arms=1)
    path = pipeline.folders.record(run_id(arms_of(pipeline)[0], 0))
    record = json.loads(path.read_text())
    path.write_text(json.dumps({key: record[key] for key in ("spec", "code", "end")}))
    before = state(build)
    with mistake(path, "damaged", "remove it"):
        take_up(opened(build, pack))
    assert state(build) == before


def test_what_repeats_is_compared_and_times_are_not():
    one = a_record(0)
    assert difference(one, a_record(0, seconds=3.0, machine={"node": "x"})) is None
    assert difference(one, a_record(0, status="diverged"))[0] == "status"
    assert difference(one, a_record(0, metrics={"test_top1": 80.0})) == ("train_loss", 1.0, "missing")
    assert difference(one, a_record(0, curves={"train_loss": [(1, 2.0), (2, 1.5)]})) == ("train_loss at step 2", 1.0, 1.5)
    spec = one.spec | {"task": "cost"}
    fast, slow = (a_record(0, spec=spec, metrics={"forward_seconds": value}, curves={}) for value in (1.0, 2.0))
    assert difference(fast, slow) is None


def test_names_of_packs_may_hold_blanks(tmp_path):
    pack = carried(tmp_path, "the other machine")
    pipeline = opened(tmp_path / "build", pack, pack)
    assert [one.pack.path for one in pipeline.offers.fittings] == [pack, pack]
    take_up(pipeline)
    assert all(read_record(path).end == "complete" for path in (tmp_path / "build" / "tiny" / "records").iterdir())
    assert MANIFEST in contents(pack)
