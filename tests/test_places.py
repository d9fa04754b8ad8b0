"""Folders of every name, and places where nothing can be written: what can work works, otherwise one sentence says what to set."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from copies import copy_repository
from facts import mistake, names

from normbench.core.schema import ROOT
from normbench.execution import prepare
from normbench.execution.data_folder import without_colon
from normbench.planning.lock import hold
from normbench.planning.places import check_places

SMALL = ("tier=tiny", "papers=norm_matters", "tasks=wmt,propagation", "methods=layer_norm")
ODD = """a b/ü:c$d#f=g'h"i%20"""
# A user who may write nothing but what belongs to him: as root, without root's right to write everywhere.
PLAIN = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.getuid() == 0 else []


def snakemake(words: list[str], cwd: Path = ROOT, before: list[str] | None = None, **environment: str) -> subprocess.CompletedProcess:
    command = [*(before or []), sys.executable, "-m", "snakemake", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, errors="replace")


def one_line(text: str, fact: str) -> str:
    """The line that holds the fact."""
    return next(line for line in text.splitlines() if fact in line)


@pytest.fixture
def closed(tmp_path):
    """A folder that cannot be written."""
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o555)
    return folder


@pytest.mark.slow
def test_a_line_ends_whatever_its_folders_are_called(tmp_path):
    """In the locale C, with the clone, the build and the data in folders whose names hold what shells, YAML and addresses care about."""
    clone = copy_repository(tmp_path / ODD / "clone")
    shutil.copytree(ROOT / "profiles", clone / "profiles")
    words = ["all", "--cores", "1", "--config", *SMALL, f"build=-{ODD}", f"data={tmp_path / ODD}/{{data}}"]
    environment = {name: value for name, value in os.environ.items() if name not in ("LANG", "PYTHONUTF8", "LC_CTYPE")}
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", *words],
        cwd=clone,
        env={**environment, "LC_ALL": "C", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    root = clone / f"-{ODD}" / "tiny"
    assert (root / "report.html").is_file() and (root.parent / "mlflow.db").is_file()
    assert (tmp_path / ODD / "{data}" / "numbers").is_dir()
    artifacts = [path for path in (root.parent / "mlartifacts").rglob("record.json")]
    assert len(artifacts) == len(list(root.glob("records/*.json"))) > 0


@pytest.mark.slow
def test_a_read_only_clone_runs_in_another_folder_and_says_so(tmp_path, closed):
    clone = copy_repository(tmp_path / "clone")
    shutil.copytree(ROOT / "profiles", clone / "profiles")
    for folder, _, _ in os.walk(clone):
        os.chmod(folder, 0o555)
    cache = {"HOME": str(closed), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    words = ["--cores", "1", "--config", "tier=tiny", "papers=norm_matters", "tasks=propagation", "methods=batch_norm"]
    refused = snakemake(["all", *words], clone, PLAIN, **cache)
    assert refused.returncode == 1 and "Traceback" not in refused.stderr
    names(one_line(refused.stderr, "--directory"), clone, "cannot be written", "--directory")
    done = snakemake(["runs", "--directory", str(tmp_path / "mine"), *words], clone, PLAIN, **cache)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "mine" / "build" / "tiny" / "runs.parquet").is_file()
    for folder, _, _ in os.walk(clone):
        os.chmod(folder, 0o755)


@pytest.mark.slow
def test_a_build_that_cannot_be_written_is_said_before_anything_runs(closed):
    words = ["runs", "--cores", "1", "--config", "tier=tiny", "papers=norm_matters", "tasks=propagation", f"build={closed}/build"]
    done = snakemake(words, before=PLAIN)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    names(one_line(done.stderr, "cannot be written"), closed / "build" / "tiny", "--config build=")


def test_every_value_in_a_rules_command_is_quoted():
    """But names of ours, and words that are several on purpose."""
    plain = {"wildcards.job", "wildcards.dataset", "pipeline.id", "threads", "params.launcher", "params.share"}
    for file in (ROOT / "workflows").glob("*.smk"):
        lines = [line for line in file.read_text(encoding="utf-8").splitlines() if re.search(r"PYTHON \+|MALLOC \+|tee", line)]
        found = [value for line in lines for value in re.findall(r"\{([^{}]+)\}", line)]
        assert {value for value in found if not value.endswith(":q")} <= plain, file
        assert not re.findall(r"--\w[\w-]* \{(?!wildcards|pipeline\.id|params\.methods)", "".join(lines)), (
            f"{file}: a dash would be an option"
        )


def test_a_build_below_a_file_is_no_place(tmp_path):
    (tmp_path / "file").write_text("")
    with mistake(tmp_path / "file", "cannot be written", "--config build="):
        hold(tmp_path / "file" / "tiny")


def test_no_place_for_temporary_files_is_said(tmp_path, monkeypatch):
    check_places(tmp_path)

    def none():
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    with mistake("TMPDIR", "set"):
        check_places(tmp_path)


def test_a_folder_of_data_that_cannot_be_written_is_said(tmp_path, monkeypatch, capsys):
    def make(dataset, data):
        raise PermissionError(13, "Permission denied", str(data / dataset))

    monkeypatch.setattr(prepare, "load_preparer", lambda task: make)
    monkeypatch.setattr(sys, "argv", ["", "--data", str(tmp_path), "--dataset", "digits", "--ready", str(tmp_path / "ready.json")])
    assert prepare.main() == 1 and not (tmp_path / "ready.json").exists()
    names(capsys.readouterr().err, tmp_path, "digits", "--config data=")


def test_libraries_see_data_without_colons(tmp_path):
    (tmp_path / "a:b").mkdir()
    with without_colon(tmp_path / "a:b") as folder:
        assert ":" not in str(folder) and folder.samefile(tmp_path / "a:b")
    assert not folder.exists() and (tmp_path / "a:b").is_dir()
    with without_colon(tmp_path) as folder:
        assert folder == tmp_path
