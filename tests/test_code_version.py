"""Which code made a run: the commit of its own repository, or the words that there is none."""

import re
import subprocess
from pathlib import Path

import pytest

from normbench.execution.code_version import COMMIT, code_version

WHO = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org"]


@pytest.fixture(autouse=True)
def fresh():
    code_version.cache_clear()
    yield
    code_version.cache_clear()


def git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", *WHO, *words], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def repository(tmp_path) -> Path:
    git(tmp_path, "init", "-q")
    (tmp_path / "file").write_text("one")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-q", "-m", "one")
    return tmp_path


def test_a_repository_gives_its_commit(repository):
    assert code_version(repository) == git(repository, "rev-parse", "HEAD") and re.search(COMMIT, code_version(repository))


def test_a_changed_file_adds_a_plus_and_one_that_git_does_not_know_none(repository):
    (repository / "other").write_text("")
    assert re.search(COMMIT, code_version(repository))
    (repository / "file").write_text("two")
    code_version.cache_clear()
    assert code_version(repository) == git(repository, "rev-parse", "HEAD") + "+"


def without_commit(root: Path, *facts: str) -> None:
    said = code_version(root)
    assert re.match(r"normbench \d+\.\d+\.\d+ \(", said) and not re.search(COMMIT, said) and all(fact in said for fact in facts), said


def test_a_tarball_says_its_version_and_that_there_is_no_repository(tmp_path):
    without_commit(tmp_path, "no repository")


def test_the_commit_of_a_repository_around_is_not_ours(repository):
    (repository / "vendored").mkdir()
    without_commit(repository / "vendored", "no repository of its own")


def test_a_repository_that_the_environment_names_is_not_ours(repository, tmp_path_factory, monkeypatch):
    monkeypatch.setenv("GIT_DIR", str(repository / ".git"))
    without_commit(tmp_path_factory.mktemp("tarball"), "no repository")


def test_without_git_it_says_so(repository, monkeypatch):
    monkeypatch.setenv("PATH", "")
    without_commit(repository, "git is not installed")


def test_the_commit_of_another_users_clone_is_known(repository, monkeypatch):
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # git's own tests: as if the folder were another user's
    checked = subprocess.run(["git", "rev-parse", "HEAD"], cwd=repository, capture_output=True, text=True)
    assert checked.returncode and "dubious ownership" in checked.stderr
    assert re.search(COMMIT, code_version(repository))


def test_a_repository_that_git_cannot_read_is_said(repository):
    (repository / ".git" / "HEAD").write_text("nonsense")
    without_commit(repository, "git cannot read")
