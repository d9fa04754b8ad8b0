"""Kinetics as the user has it, and the embedded set: which clips count, of which class, and what is said of those that do not."""

import hashlib
import json

import numpy as np
import pytest
from facts import mistake, names
from videos import damaged, grays, kinetics, write

from normbench.config.tasks import read_task
from normbench.core.errors import InputError
from normbench.execution.manifest import read_manifest, verify
from tasks.kinetics import data, index, motions, render
from tasks.kinetics.index import read_index
from tasks.kinetics.layout import EXPECTED
from tasks.kinetics.recipe import Recipe
from tasks.kinetics.video import encoder

CLASSES = {"air drumming": 3, "zumba": 1}
# Every published number on the digits in motion hangs on these pictures: a change of them must be meant.
SMALL = {"train": 2, "val": 1}
SMALL_SHA256 = {"libx264": "4dfd806df8949a1e76a339f7ec9cbad2358bf26fe13e8259a5b641ecddfdbd7c"}


def read(folder, cache=None):
    return read_index(folder, len(CLASSES), cache)


def says(folder, cache=None) -> str:
    with pytest.raises(InputError) as error:
        read(folder, cache)
    return str(error.value)


@pytest.mark.parametrize("flat", [False, True], ids=["folders by class", "one folder"])
def test_clips_of_the_official_list_wherever_they_lie(tmp_path, flat):
    found = read(kinetics(tmp_path, CLASSES, flat=flat))
    assert found.classes == ["air drumming", "zumba"]
    assert [clip.label for clip in found.splits["train"].clips] == [0, 0, 0, 1]
    assert [clip.label for clip in found.splits["val"].clips] == [0, 1]
    assert {(clip.frames, clip.seconds) for split in found.splits.values() for clip in split.clips} == {(12, 1.1)}
    assert found.splits["train"].coverage == 100 and not found.splits["train"].strays


def test_folders_by_class_need_no_list(tmp_path):
    found = read(kinetics(tmp_path, CLASSES, listed=False))
    assert [clip.label for clip in found.splits["train"].clips] == [0, 0, 0, 1] and found.splits["train"].coverage is None


def test_clips_of_the_list_that_are_missing_are_coverage_and_files_on_no_list_are_left_out(tmp_path):
    folder = kinetics(tmp_path, CLASSES)
    gone = sorted((folder / "train" / "air drumming").iterdir())[1]
    gone.rename(gone.with_name("somebody-elses_000000_000010.mp4"))
    split = read(folder).splits["train"]
    assert (split.coverage, split.listed, split.missing, split.strays) == (75, 4, [gone.stem], 1)
    assert data.Unread(read(folder)).metrics() == {"unreadable_train": 0, "unreadable_val": 0, "coverage_train": 75, "coverage_val": 100}


def test_the_lists_may_lie_in_annotations_and_corrupted_clips_have_replacements(tmp_path):
    folder = kinetics(tmp_path, CLASSES)
    (folder / "annotations").mkdir()
    for split in ("train", "val"):
        (folder / f"{split}.csv").rename(folder / "annotations" / f"{split}.csv")
    victim = sorted((folder / "train" / "air drumming").iterdir())[0]
    victim.write_bytes(b"corrupted")
    better = write(folder / "replacement" / "part" / f"{victim.stem[:11]}.mp4", grays(7))
    clips = read(folder).splits["train"].clips
    assert [clip.path for clip in clips if clip.frames == 7] == [str(better.relative_to(folder))] and len(clips) == 4


def test_a_file_named_by_its_video_alone_is_found(tmp_path):
    folder = kinetics(tmp_path, CLASSES)
    path = sorted((folder / "val" / "zumba").iterdir())[0]
    path.rename(path.with_name(f"{path.stem[:11]}.mp4"))
    assert read(folder).splits["val"].coverage == 100


def test_a_class_with_one_clip_counts(tmp_path):
    found = read(kinetics(tmp_path, CLASSES))
    assert sum(clip.label == 1 for clip in found.splits["train"].clips) == 1
    empty = sorted((tmp_path / "train" / "zumba").iterdir())[0]
    empty.unlink()
    names(says(tmp_path), "'zumba'", "no clip", tmp_path / "train", "1 ", EXPECTED)


# What is wrong with a copy


def test_a_list_with_other_columns(tmp_path):
    folder = kinetics(tmp_path, CLASSES)
    (folder / "train.csv").write_text("path,class\ntrain/a.mp4,zumba\n")
    names(says(folder), folder / "train.csv", "no column 'label'", "'path', 'class'", "label,youtube_id,time_start,time_end")
    (folder / "train.csv").write_text("label,youtube_id,time_start,time_end\nzumba,abc,0:03,13\n")
    names(says(folder), folder / "train.csv", "line 2", "time_start", "time_end", "whole seconds", "'0:03'", "'13'")
    (folder / "train.csv").write_text("")
    names(says(folder), folder / "train.csv", "no column 'label'", "nothing")


def test_unreadable_clips_are_counted_and_listed_and_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(index, "LARGEST_SHARE", 0.5)
    folder = kinetics(tmp_path, CLASSES)
    broken = sorted((folder / "train" / "air drumming").iterdir())[1]
    broken.write_bytes(b"no video")
    found = read(folder)
    path = str(broken.relative_to(folder))
    assert list(found.splits["train"].unreadable) == [path] and len(found.splits["train"].clips) == 3
    assert (found.splits["train"].coverage, found.splits["train"].missing) == (75, [])
    unread = data.Unread(found)
    assert unread.metrics()["unreadable_train"] == 1
    recipe = Recipe(steps=1, batch_size=1, lr=1, frames=2, stride=20, rate=10, short_side=[24, 24], crop=24,
                    test_short_side=24, test_crop=24, test_clips=1, test_crops=1)  # fmt: skip
    notes = unread.notes(recipe)
    assert notes["unreadable_train"].startswith(f"{path}: cannot be decoded (")
    assert notes["clips_train"] == (
        "3 clips can be read, 4 are on the official list, 0 of those missing; 3 are shorter than 2.00 s, their last frame stands"
    )
    assert notes["decoder"].startswith("PyAV ") and "libavcodec" in notes["decoder"]


def test_more_unreadable_clips_than_the_stated_share_are_an_error_that_names_the_list(tmp_path):
    folder, cache = kinetics(tmp_path / "copy", CLASSES), tmp_path / "cache"
    broken = sorted((folder / "train" / "air drumming").iterdir())[0]
    broken.write_bytes(b"no video")
    said = says(folder, cache)
    (listed,) = cache.glob("*.unreadable.csv")
    names(said, "1 of 4", folder / "train", "1%", f"train/air drumming/{broken.name}", listed, "replace", "remove")
    assert listed.read_text().splitlines()[1].startswith(f"train/air drumming/{broken.name},cannot be decoded (")
    assert said == says(folder, cache)  # out of the cache as well


def test_folders_that_do_not_fit(tmp_path):
    folder = kinetics(tmp_path / "copy", CLASSES, listed=False)
    with mistake(folder, "2 classes", "400", EXPECTED):
        read_index(folder, 400, None)
    (folder / "train" / "zumba").rename(folder / "train" / "zumbo")
    names(says(folder), "'zumba'", f"in {folder}/val", f"not in {folder}/train", "1 ")
    stray = write(folder / "train" / "clip.mp4", grays(3))
    names(says(folder), stray, "class", "no train.csv")
    with mistake(tmp_path / "none", "missing", EXPECTED, "data=FOLDER"):
        data.read("kinetics400", tmp_path / "none")
    (tmp_path / "half" / "train").mkdir(parents=True)
    names(says(tmp_path / "half"), tmp_path / "half" / "val", "missing", EXPECTED)


def test_headers_are_read_again_only_where_something_changed(tmp_path, monkeypatch):
    folder, cache, seen = kinetics(tmp_path / "copy", CLASSES), tmp_path / "cache", []
    header = index.read_header
    monkeypatch.setattr(index, "read_header", lambda path: seen.append(path) or header(path))
    first = read(folder, cache)
    again = read(folder, cache)
    assert len(seen) == 6 and (again.splits, again.sha256) == (first.splits, first.sha256)
    write(folder / "train" / "zumba" / "new_000003_000013.mp4", grays(3))
    assert read(folder, cache).splits["train"].strays == 1 and len(seen) == 12
    (kept,) = cache.glob("*.json")
    kept.write_text(kept.read_text()[:100])
    assert read(folder, cache).sha256 == first.sha256 and len(seen) == 18


def test_the_hash_is_of_the_clips_and_their_classes(tmp_path):
    folder = kinetics(tmp_path, CLASSES)
    before = read(folder).sha256
    (folder / "train.csv").write_text((folder / "train.csv").read_text().replace('"zumba"', "zumba"))
    assert read(folder).sha256 == before
    write(sorted((folder / "train" / "zumba").iterdir())[0], grays(14))
    assert read(folder).sha256 != before


# The embedded set


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The embedded set, some clips of each class."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(motions, "PER_CLASS", SMALL)
        folder = tmp_path_factory.mktemp("motions") / "motions"
        motions.make(folder)
    return folder


def test_motions_is_laid_out_like_kinetics_with_its_lists(small):
    found = read_index(small, 8, None)
    assert found.classes == list(render.CLASSES) and {s.coverage for s in found.splits.values()} == {100}
    assert {(clip.frames, clip.seconds) for clip in found.splits["train"].clips} == {(render.FRAMES, 1.9)}
    assert [len(found.splits[split].clips) for split in SMALL] == [16, 8]


def test_motions_made_twice_is_the_same_byte_for_byte(small, tmp_path, monkeypatch):
    monkeypatch.setattr(motions, "PER_CLASS", SMALL)
    motions.make(tmp_path / "again" / "motions")
    files = [{p.relative_to(f).as_posix(): p.read_bytes() for p in f.rglob("*.*")} for f in (small, tmp_path / "again" / "motions")]
    assert files[0] == files[1] and len(files[0]) == 24 + 3
    assert [path.name for path in (tmp_path / "again").iterdir()] == ["motions"]


def test_motions_are_the_published_pictures(small):
    assert read_manifest("motions", small)["data_sha256"] == SMALL_SHA256[encoder()]


def test_motions_has_digits_of_one_split_each_and_the_announced_size():
    drawings = list(motions._drawings())
    shown = {split: {d.name.split("-")[0] for d in drawings if d.split == split} for split in motions.PER_CLASS}
    assert not shown["train"] & shown["val"]
    assert len(drawings) == len({d.path for d in drawings}) == len({tuple(d.seed) for d in drawings}) == 1120
    dataset = read_task("kinetics").datasets["motions"]
    assert (dataset.train, dataset.classes) == (8 * motions.PER_CLASS["train"], len(render.CLASSES))


def test_nothing_is_left_of_a_making_that_failed(tmp_path, monkeypatch):
    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(motions, "PER_CLASS", {"train": 1, "val": 1})
    monkeypatch.setattr(motions, "_write_csv", full)
    with pytest.raises(OSError, match="no space left"):
        motions.make(tmp_path / "motions")
    assert not list(tmp_path.iterdir())


def test_a_damaged_copy_is_named(small, tmp_path):
    copy = tmp_path / "motions"
    for path in small.rglob("*.*"):
        (copy / path.relative_to(small)).parent.mkdir(parents=True, exist_ok=True)
        (copy / path.relative_to(small)).write_bytes(path.read_bytes())
    again = f"delete {copy}", "`snakemake all`"
    victim = sorted((copy / "train" / "zoom").iterdir())[0]
    damaged(victim)
    with mistake(victim, "damaged", "SHA-256", "manifest.json", *again):
        motions.make(copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["files"][victim.relative_to(copy).as_posix()] = hashlib.sha256(victim.read_bytes()).hexdigest()
    (copy / "manifest.json").write_text(json.dumps(manifest))
    stray = write(copy / "val" / "zoom" / "mine.mp4", grays(3))
    with mistake(stray, "not belong to 'motions'", "manifest.json", *again):
        verify("motions", copy)
    stray.unlink()
    (copy / "manifest.json").write_text("[]")
    with mistake(copy / "manifest.json", "no manifest of 'motions'", *again):
        verify("motions", copy)


MOVES = {"left": (0, -1), "right": (0, 1), "up": (1, -1), "down": (1, 1)}


@pytest.mark.parametrize("motion", render.CLASSES)
def test_paths_are_what_their_class_says(motion):
    for seed in range(30):
        path = render._path(motion, np.random.default_rng(seed)).astype(float)
        moved, unit = path[-1] - path[0], render.UNIT
        drift = render.DRIFT * unit
        if motion in MOVES:
            axis, sign = MOVES[motion]
            assert sign * moved[axis] >= 13 * unit and (np.diff(path[:, axis]) * sign > -1).all() and abs(moved[1 - axis]) <= drift
        elif motion == "bounce":
            swing = max(np.diff(path[:, axis]).clip(0).sum() + 2 * drift for axis in (0, 1))
            steps = max((np.diff(path[:, axis]) for axis in (0, 1)), key=lambda d: np.abs(d).sum())
            assert swing > 5 * unit and (steps > 0).any() and (steps < 0).any()
        else:
            assert np.abs(moved[:2]).max() <= drift
        turned, grown = abs(moved[3]), path[:, 2].max() / path[:, 2].min()
        assert (turned >= 60) == (motion == "rotate") and (grown > 1.4) == (motion == "zoom")
        assert (path[:, :2] > 0).all() and (path[:, :2] < (render.WIDTH * unit, render.HEIGHT * unit)).all()
