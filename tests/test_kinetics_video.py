"""Video files: what is decoded is what a full decode gives, and what a broken or an odd file comes to. Every file here is a real one."""

import av
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from videos import damaged, grays, numbers, turned, write

from tasks.kinetics import video
from tasks.kinetics.index import Clip
from tasks.kinetics.recipe import Recipe
from tasks.kinetics.sampling import evaluation_views, training_views
from tasks.kinetics.video import Unreadable, read_frames, read_header

FIELDS = {"steps": 1, "batch_size": 1, "lr": 0.1, "frames": 4, "stride": 2, "rate": 10, "short_side": [24, 24], "crop": 16}
EVALUATED = {"test_short_side": 24, "test_crop": 16, "test_clips": 2, "test_crops": 3}


def recipe(**fields) -> Recipe:
    return Recipe(**{**FIELDS, **EVALUATED, **fields})


def clip(seconds: float) -> Clip:
    return Clip("clip.mp4", 0, 0, seconds, 0)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """24 frames at 10 a second, a keyframe every 8."""
    return write(tmp_path_factory.mktemp("plain") / "plain.mp4", grays(24))


def every_frame(path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


# Frames


@settings(max_examples=40)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=8))
def test_the_frame_at_a_time_is_the_one_of_a_full_decode(plain, wanted):
    wanted = sorted(wanted)
    found = read_frames(plain, [i / 10 + 0.04 for i in wanted])
    assert numbers(found) == [min(i, 23) for i in wanted]  # behind the end, the last
    assert np.abs(found.astype(int) - every_frame(plain)[[min(i, 23) for i in wanted]]).max() <= 2


def test_only_what_leads_to_the_wanted_frames_is_decoded(plain, monkeypatch):
    decoded = []
    frames = video._from
    monkeypatch.setattr(video, "_from", lambda *args: ((decoded.append(at), (at, frame))[1] for at, frame in frames(*args)))
    assert numbers(read_frames(plain, [1.8, 2.0])) == [18, 20]
    assert decoded == pytest.approx([1.6, 1.7, 1.8, 1.9, 2.0, 2.1])  # from the keyframe to the one behind


def test_a_header_tells_frames_and_when_the_last_is_shown(plain):
    header = read_header(plain)
    assert (header.frames, header.size) == (24, plain.stat().st_size) and header.seconds == pytest.approx(2.3)


def test_frames_are_scaled_to_the_short_side(tmp_path):
    wide = write(tmp_path / "wide.mp4", grays(3, 24, 48))
    assert read_frames(wide, [0], 12).shape == (1, 12, 24, 3)
    assert numbers(read_frames(wide, [0.1], 36)) == [1] and read_frames(wide, [0], 36).shape == (1, 36, 72, 3)


@pytest.mark.parametrize("rate", [8, 10])
def test_a_written_clip_comes_out_alike_byte_for_byte(tmp_path, rate):
    for name in "ab":
        video.write_video(tmp_path / f"{name}.mp4", grays(6), rate)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    assert numbers(read_frames(tmp_path / "a.mp4", [i / rate for i in range(6)])) == list(range(6))
    assert read_header(tmp_path / "a.mp4").seconds == pytest.approx(5 / rate)


# Files that are broken or odd


def test_an_mp4_cut_short_is_unreadable_by_its_header(tmp_path):
    behind = write(tmp_path / "behind.mp4", grays(12))
    before = write(tmp_path / "before.mp4", grays(12), front=True)
    behind.write_bytes(behind.read_bytes()[: behind.read_bytes().index(b"moov") - 100])
    before.write_bytes(before.read_bytes()[:-200])
    with pytest.raises(Unreadable, match="cannot be decoded"):
        read_header(behind)  # its index went with the end
    with pytest.raises(Unreadable, match="is cut short: 200 bytes are missing at its end"):
        read_header(before)


@pytest.mark.parametrize("content", [b"", b"no video at all\n" * 40])
def test_what_is_no_video_is_unreadable(tmp_path, content):
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    for read in (read_header, lambda p: read_frames(p, [0])):
        with pytest.raises(Unreadable, match="cannot be decoded"):
            read(path)


def test_frames_overwritten_behind_a_whole_index_are_found_when_they_are_read(tmp_path):
    path = damaged(write(tmp_path / "clip.mp4", grays(12)))
    assert read_header(path).frames == 12
    with pytest.raises(Unreadable):
        read_frames(path, [0.2])


def test_a_clip_shorter_than_the_window_is_seen_from_its_start_and_its_last_frame_stands(tmp_path):
    path = write(tmp_path / "short.mp4", grays(5))
    seconds = read_header(path).seconds
    for views in (training_views(recipe(), 0)(0, 0, clip(seconds)), evaluation_views(recipe())(0, 0, clip(seconds))):
        assert all(numbers(read_frames(path, view.times)) == [0, 2, 4, 4] for view in views)


def test_of_a_variable_rate_the_frame_that_is_shown_counts(tmp_path):
    pts = [0, 10, 20, 60, 70, 110]  # hundredths of a second
    path = write(tmp_path / "variable.mp4", grays(6), pts=pts)
    assert numbers(read_frames(path, [0, 0.15, 0.2, 0.59, 0.6, 0.9, 1.1, 2])) == [0, 1, 2, 2, 3, 4, 5, 5]
    assert read_header(path).frames == 6


def test_frames_that_lie_on_their_side_are_turned(tmp_path):
    frames = grays(3, 24, 48).copy()
    frames[:, :8, :8] = 250  # a mark at the top left
    path = write(tmp_path / "turned.mp4", frames)
    assert read_frames(path, [0]).shape == (1, 24, 48, 3)
    found = read_frames(turned(path), [0, 0.1], 24)
    assert found.shape == (2, 48, 24, 3)
    assert found[:, 2:6, -6:-2].min() > 230 and found[:, :8, :8].max() < 100  # now at the top right
    assert read_frames(path, [0], 12).shape == (1, 24, 12, 3)


def test_an_odd_size(tmp_path):
    path = write(tmp_path / "odd.mp4", grays(8, 37, 51), codec="mpeg4")
    found = read_frames(path, [0, 0.4])
    assert found.shape == (2, 37, 51, 3) and numbers(found) == [0, 4]
    assert read_frames(path, [0], 20).shape == (1, 20, 28, 3)


# What a network sees of them


@settings(max_examples=30)
@given(seed=st.integers(0, 9), epoch=st.integers(0, 50), index=st.integers(0, 500), seconds=st.floats(0, 12))
def test_training_draws_stay_within_the_clip_and_hang_on_seed_epoch_and_index_alone(seed, epoch, index, seconds):
    made = recipe(short_side=[24, 32], augment="flip")
    (view,), (again,) = (training_views(made, seed)(epoch, index, clip(seconds)) for _ in range(2))
    assert (view.short_side, view.down, view.across, view.flip) == (again.short_side, again.down, again.across, again.flip)
    assert np.array_equal(view.times, again.times) and np.allclose(np.diff(view.times), 0.2)
    assert view.times[0] >= 0 and (view.times[-1] <= seconds + 1e-9 or view.times[0] == 0)
    assert 24 <= view.short_side <= 32


def test_training_draws_every_time_size_place_and_half_the_flips():
    made = recipe(short_side=[24, 26], augment="flip")
    views = [training_views(made, 0)(0, index, clip(2.6))[0] for index in range(600)]
    starts = np.array([view.times[0] for view in views])
    assert np.allclose(np.histogram(starts, 4, (0, 2.0))[0] / 600, 0.25, atol=0.05)
    assert np.allclose(np.bincount([view.short_side - 24 for view in views]) / 600, 1 / 3, atol=0.06)
    assert abs(np.mean([view.flip for view in views]) - 0.5) < 0.06
    assert not any(training_views(recipe(), 0)(0, index, clip(2.6))[0].flip for index in range(20))


def test_a_crop_is_cut_where_it_was_drawn_and_mirrored():
    frames = np.arange(2 * 6 * 9 * 3, dtype=np.uint8).reshape(2, 6, 9, 3)
    view = evaluation_views(recipe(short_side=[6, 6], crop=4, test_short_side=6, test_crop=4))(0, 0, clip(1))[0]
    cut = view.cut(frames)  # the first of three along the longer side
    assert torch.equal(cut, torch.from_numpy(frames[:, 1:5, 0:4].transpose(3, 0, 1, 2).copy()))
    tall = view.cut(np.ascontiguousarray(frames.transpose(0, 2, 1, 3)))
    assert torch.equal(tall, torch.from_numpy(frames.transpose(0, 2, 1, 3)[:, 0:4, 1:5].transpose(3, 0, 1, 2).copy()))
    (drawn,) = training_views(recipe(crop=4, short_side=[6, 6], augment="flip"), 2)(0, 0, clip(1))
    top, left = round(drawn.down * 2), round(drawn.across * 5)
    expected = frames[:, top : top + 4, left : left + 4]
    assert np.array_equal(drawn.cut(frames).numpy().transpose(1, 2, 3, 0), expected[:, :, ::-1] if drawn.flip else expected)


def test_evaluation_looks_at_equally_spaced_clips_and_three_places_of_each():
    views = evaluation_views(recipe(test_clips=3))(0, 0, clip(2.6))
    assert [round(view.times[0], 6) for view in views] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert [view.along for view in views] == [0, 0.5, 1] * 3
    (middle,) = evaluation_views(recipe(test_clips=1, test_crops=1))(0, 0, clip(2.6))
    assert middle.times[0] == pytest.approx(1) and middle.along == 0.5
