"""Marks of what the line made: true as long as every file is as it was, whatever happened to it otherwise."""

import json
from pathlib import Path

import pytest

from normbench.planning.marks import mark_of, write_mark


@pytest.fixture
def first(tmp_path) -> Path:
    """The mark of a step that made two files, in a folder where another step made one."""
    for name in ("tables/a.csv", "tables/b.csv", "claims.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    write_mark(tmp_path / "made" / "tables.json", tmp_path, [tmp_path / "tables" / name for name in ("b.csv", "a.csv")])
    write_mark(tmp_path / "made" / "table.json", tmp_path, [tmp_path / "claims.csv"])
    return tmp_path / "made" / "tables.json"


def test_a_true_mark_is_asked_for_and_nothing_is_altered(first, tmp_path):
    assert mark_of(first, tmp_path) == (first, [])


def test_a_step_that_was_never_done_has_no_mark_and_nothing_is_altered(tmp_path):
    assert mark_of(tmp_path / "made" / "figures.json", tmp_path) == (tmp_path / "made" / "figures.json", [])


@pytest.mark.parametrize(
    "harm",
    [
        lambda path: path.write_text(path.read_text() + " "),
        lambda path: path.write_text(path.read_text()[:-1]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_text(path.read_text()[::-1]),
        Path.unlink,
    ],
    ids=["edited", "cut", "empty", "of the same size", "removed"],
)
def test_a_file_that_is_not_as_it_was_made_is_named_and_another_mark_asked_for(harm, first, tmp_path):
    harm(tmp_path / "tables" / "b.csv")
    before = sorted(tmp_path.rglob("*"))
    mark, altered = mark_of(first, tmp_path)
    assert altered == ["tables/b.csv"] and mark.parent == first.parent and not mark.exists()
    assert sorted(tmp_path.rglob("*")) == before, "looking changes nothing"


def test_made_again_the_new_mark_is_the_only_one_and_other_steps_keep_theirs(first, tmp_path):
    (tmp_path / "tables" / "b.csv").write_text("edited")
    mark, _ = mark_of(first, tmp_path)
    write_mark(mark, tmp_path, (tmp_path / "tables").glob("*"), plan="p")
    assert mark_of(first, tmp_path) == (mark, [])
    assert sorted(path.name for path in first.parent.iterdir()) == ["table.json", mark.name]
    assert json.loads(mark.read_text())["plan"] == "p"
    (tmp_path / "tables" / "a.csv").unlink()
    again, altered = mark_of(first, tmp_path)
    assert altered == ["tables/a.csv"] and not again.exists()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"files": []}'])
def test_a_mark_that_cannot_be_read_is_altered_itself(text, first, tmp_path):
    first.write_text(text)
    mark, altered = mark_of(first, tmp_path)
    assert altered == ["made/tables.json"] and not mark.exists()


def test_without_a_mark_nothing_is_said(tmp_path):
    write_mark(None, tmp_path, [tmp_path / "no such file"])
    assert not list(tmp_path.iterdir())
