"""What --config says: every key once, empty, of a wrong type, and as it was typed."""

import datetime
from pathlib import Path

import pytest
from facts import mistake
from snakemake.cli import parse_config

from normbench.planning.pipeline import open_pipeline
from normbench.planning.settings import CONFIG, FOLDERS, SEPARATORS, read_settings

EMPTY = [None, "", " ", ",", []]


def typed(*words: str) -> dict[str, str]:
    """What becomes of words behind --config, as the Snakefile takes them."""
    return read_settings(parse_config(words), words)


@pytest.mark.parametrize("value", EMPTY, ids=repr)
@pytest.mark.parametrize("key", CONFIG)
def test_an_empty_value_is_never_the_default(key, value, tmp_path):
    """As of a shell's variable that is not set: `methods=$METHOD` must not start a whole tier."""
    with mistake(f"--config {key}", "list" if value == [] and key not in SEPARATORS else "empty"):
        open_pipeline({"tier": "tiny", "build": str(tmp_path), key: value})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("key", CONFIG)
def test_nothing_behind_the_equal_sign_is_empty(key):
    with mistake(f"--config {key}", "empty", f"leave {key}= out"):
        typed(f"{key}=")


@pytest.mark.parametrize("value", [{"a": "b"}, [["a"]], datetime.date(2024, 1, 1), True, b"bytes"], ids=repr)
@pytest.mark.parametrize("key", CONFIG)
def test_a_value_of_a_wrong_type_is_named(key, value):
    with mistake(f"--config {key}", repr(value), type(value).__name__):
        read_settings({key: value})


@pytest.mark.parametrize("key", [key for key in CONFIG if key != "budget_gpu_hours"])
def test_a_number_out_of_a_file_is_asked_to_be_quoted(key):
    """010 has become 8 there, and nothing says so."""
    with mistake(f"--config {key}", 8, "quotes"):
        read_settings({key: 8})


@pytest.mark.parametrize(
    "text", ["010", "1e3", "2024-01-01", "~x", "a: b", "yes", "True", "null", "a #b", "[a]", "k=v", "$HOME", "Bob's", '12"', "%20"]
)
@pytest.mark.parametrize("key", FOLDERS)
def test_a_folder_is_called_what_was_typed(key, text):
    assert typed(f"{key}={text}") == {key: text}


@pytest.mark.parametrize("key", FOLDERS)
def test_a_leading_dash_is_no_option(key, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert typed(f"{key}=-x") == {key: f"{tmp_path}/-x"}


def test_quotes_around_all_of_a_value_are_taken_off_as_snakemake_does():
    assert typed("build='a b'", 'data="c"') == {"build": "a b", "data": "c"}


def test_a_home_is_meant_by_a_tilde(monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    assert typed("data=~/datasets") == {"data": "/home/someone/datasets"}


def test_folders_of_plug_ins_are_found_from_anywhere(monkeypatch, tmp_path):
    """A home that nobody has is a name like any other."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/someone")
    assert typed("methods_path=~/a, b:~nobody-here") == {"methods_path": f"/home/someone/a:{tmp_path}/b:{tmp_path}/~nobody-here"}


def test_several_names_may_be_typed_in_three_ways():
    for words in (["papers=skipinit,rescalenet"], ["papers=skipinit rescalenet"], ["papers=[skipinit, rescalenet]"]):
        assert typed(*words)["papers"].replace(",", " ").split() == ["skipinit", "rescalenet"]
    assert read_settings({"methods_path": ["/a", Path("/b c")]}) == {"methods_path": "/a:/b c"}


@pytest.mark.parametrize("character", "{}")
def test_braces_are_wildcards_of_snakemakes(character):
    with mistake("--config build", character, "wildcard"):
        typed(f"build=a{character}b")
    assert typed(f"data=a{character}b")


def test_a_question_mark_would_cut_the_address_of_mlflows_store():
    with mistake("--config build", "a?b", "MLflow"):
        typed("build=a?b")


def test_braces_in_a_folder_of_papers_are_said_too(tmp_path, monkeypatch):
    """That of a clone or of a plug-in: rules take its files as inputs."""
    monkeypatch.setenv("NORMBENCH_PAPERS_PATH", "")
    folder = tmp_path / "a{b}"
    folder.mkdir()
    with mistake("papers", folder, "{", "wildcard", "move"):
        open_pipeline({"tier": "tiny", "build": str(tmp_path / "build"), "papers_path": str(folder)})


def test_a_line_break_is_refused_in_one_line():
    with mistake("--config data", r"a\nb"):
        read_settings({"data": "a\nb"})


def test_what_was_checked_may_be_checked_again(tmp_path):
    """The plan's report gets what the Snakefile has checked."""
    once = typed("papers=[skipinit]", "build=010", "budget_gpu_hours=1e1", "methods_path=/a,/b")
    assert read_settings(once) == once


def test_numbers_may_be_numbers():
    assert read_settings({"budget_gpu_hours": 1.5}) == {"budget_gpu_hours": "1.5"}


def test_an_unknown_key_names_the_nearest():
    with mistake("--config", "paprs", "papers"):
        typed("paprs=skipinit")
