"""Methods of users outside the repository: found, hashed and planned as ours are; what is broken costs itself only."""

import json
import os
import subprocess
import sys

import pytest
from outside import METHOD, write_method

from normbench.config import search_paths
from normbench.config.code_hash import code_of_run
from normbench.config.method_files import METHODS, method_names, read_method
from normbench.core.errors import InputError
from normbench.core.schema import ROOT
from normbench.hooks.methods import load_method
from normbench.planning.make import Selection, make_plan
from normbench.planning.pipeline import open_pipeline

ONE_PAPER = ("norm_matters",)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of methods that this process looks in."""
    monkeypatch.setenv("NORMBENCH_METHODS_PATH", str(tmp_path))
    return tmp_path


def sentence(call, *args) -> str:
    with pytest.raises(InputError) as caught:
        call(*args)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_method_outside_is_read_loaded_and_planned_as_ours(folder):
    path = write_method(folder, "halved")
    assert "halved" in method_names() and read_method("halved").path == path
    assert load_method("halved").params().factor == 0.5
    plan = make_plan("tiny", Selection(papers=ONE_PAPER, methods=("halved",)))
    assert plan.selected and {plan.arms[arm].method for arm in plan.selected} == {"halved"}


def test_a_method_has_one_hash_wherever_its_file_lies(folder):
    write_method(folder, "norm_like_ours", (METHODS / "layer_norm.py").read_text(encoding="utf-8"))
    assert code_of_run("imagenet", "norm_like_ours") == code_of_run("imagenet", "layer_norm")
    assert read_method("norm_like_ours").sha256 == read_method("layer_norm").sha256


def test_several_folders_and_ours_among_them(tmp_path, monkeypatch):
    write_method(tmp_path / "my a", "in_a")
    write_method(tmp_path / "b", "in_b")
    monkeypatch.setenv("NORMBENCH_METHODS_PATH", f"{tmp_path / 'my a'}:{tmp_path / 'b'},{METHODS}")
    assert {"in_a", "in_b"} < set(method_names()) and len(search_paths.folders("methods")) == 3
    assert read_method("group_norm").path == METHODS / "group_norm.py"


def test_a_name_that_exists_already_names_both_files(folder):
    path = write_method(folder, "batch_norm")
    says = sentence(make_plan, "tiny", Selection(papers=ONE_PAPER))
    assert str(path) in says and "methods/batch_norm.py" in says and "rename" in says


BROKEN = {
    "no Python": (METHOD.replace("def norm(site, p):", "def norm(site, p)"), "line 24"),
    "no hook": (METHOD.replace("def norm(", "def _norm("), "has no hook"),
    "a package that is not here": (METHOD.replace("from torch import nn", "import no_such_package.part"), "no_such_package"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_method_costs_itself_only(what, folder, capsys):
    text, says = BROKEN[what]
    path = write_method(folder, "broken", text)
    write_method(folder, "sound")
    assert make_plan("tiny", Selection(papers=ONE_PAPER)).guests == ["sound"]
    (warning,) = capsys.readouterr().err.splitlines()
    assert warning.startswith(f"warning: {path}: ") and says in warning
    asked = sentence(make_plan, "tiny", Selection(papers=ONE_PAPER, methods=("broken",)))
    assert asked.startswith(f"{path}: ") and says in asked


def test_an_import_inside_a_hook_is_its_own_matter(folder):
    write_method(folder, "late", METHOD.replace("def norm(site, p):\n", "def norm(site, p):\n    import no_such_package\n"))
    assert read_method("late").hooks == ("norm", "reference")


@pytest.mark.parametrize("kind", search_paths.KINDS)
def test_a_folder_that_is_missing_is_named_with_its_key_before_anything_is_written(kind, tmp_path, monkeypatch):
    monkeypatch.setenv(search_paths.VARIABLES[kind], "")
    (tmp_path / "file").touch()
    for wrong, why in ((tmp_path / "gone", "does not exist"), (tmp_path / "file", "is not a folder")):
        says = sentence(open_pipeline, {f"{kind}_path": str(wrong), "build": str(tmp_path / "build")})
        assert f"{kind}_path" in says and str(wrong) in says and why in says
    assert not (tmp_path / "build").exists()


def test_what_the_config_names_reaches_other_processes(tmp_path, monkeypatch):
    monkeypatch.setenv("NORMBENCH_METHODS_PATH", "")
    write_method(tmp_path / "norms", "halved")
    monkeypatch.chdir(tmp_path)
    search_paths.use_config({"methods_path": "norms"})
    code = "from normbench import load_method; print(load_method('halved').path)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], cwd="/", env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == str(tmp_path / "norms" / "halved.py"), done.stderr
    search_paths.use_config({})
    assert "halved" in method_names()


def install(site, entry: str, name: str = "their_norms") -> None:
    """What an installed package leaves in site-packages: its entry points, and a package that must not be imported to be found."""
    write_method(site / "their_norms" / "methods", "theirs")
    (site / "their_norms" / "__init__.py").write_text("raise RuntimeError('was imported')\n", encoding="utf-8")
    info = site / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[normbench.methods]\nall = {entry}\n", encoding="utf-8")


@pytest.mark.parametrize("entry", ["their_norms.methods", "their_norms.methods.theirs"])
def test_an_installed_package_brings_methods(entry, tmp_path):
    install(tmp_path, entry)
    done = planned(tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["theirs", str(tmp_path / "their_norms" / "methods" / "theirs.py")]


def test_an_entry_point_of_what_is_not_installed_costs_itself_only(tmp_path):
    install(tmp_path, "gone.methods")
    done = planned(tmp_path)
    assert done.returncode == 0 and json.loads(done.stdout) == [], done.stderr
    (warning,) = done.stderr.splitlines()
    assert warning.startswith("warning: ") and "gone.methods" in warning


def planned(site) -> subprocess.CompletedProcess:
    """The guests of a plan and their files, in a process that has what is installed in `site`."""
    code = """import json
from normbench.config.method_files import read_method
from normbench.planning.make import make_plan, Selection
guests = make_plan("tiny", Selection(papers=("norm_matters",))).guests
print(json.dumps([word for name in guests for word in (name, str(read_method(name).path))]))"""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{site}", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run([sys.executable, "-c", code], cwd=site, env=environment, capture_output=True, text=True)
