"""The wheel: what `pip install .` brings works outside the repository, the suite's methods, tasks and papers with it."""

import os
import shutil
import subprocess
import sys
import zipfile

import pytest

from normbench.core.schema import ROOT

pytestmark = pytest.mark.slow

SOURCES = ("normbench", "methods", "tasks", "papers", "workflows", "Snakefile", "pyproject.toml", "setup.py", "MANIFEST.in", "README.md")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The content of the wheel; built from a copy, for setuptools leaves a build/ behind and reads what an older one has left."""
    place = tmp_path_factory.mktemp("wheel")
    (place / "source").mkdir()
    for part in SOURCES:
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, place / "source" / part)
    command = [sys.executable, "-m", "pip", "wheel", ".", "--no-deps", "--no-build-isolation", "--quiet", "-w", str(place)]
    done = subprocess.run(command, cwd=place / "source", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = place.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(place / "site")
    shutil.rmtree(place / "source")
    return place / "site"


def outside(installed, code: str) -> list[str]:
    """What `code` prints, in an empty folder."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"}
    empty = installed.parent / "empty"
    empty.mkdir(exist_ok=True)
    done = subprocess.run([sys.executable, "-c", code], cwd=empty, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_method_is_loaded(installed):
    code = "from normbench import load_method; m = load_method('group_norm'); print(m.path, m.file, m.params().num_groups)"
    path, file, groups = outside(installed, code)
    assert path == str(installed / "normbench" / "suite" / "methods" / "group_norm.py")
    assert file == "methods/group_norm.py" and int(groups) > 0


def test_a_tier_is_planned_and_an_adapter_loaded(installed):
    code = """from normbench.planning.make import make_plan
from normbench.config.tasks import load_adapter
print(len(make_plan("tiny").arms), load_adapter("imagenet").__file__)"""
    arms, file = outside(installed, code)
    assert int(arms) > 100 and file == str(installed / "normbench" / "suite" / "tasks" / "imagenet" / "adapter.py")


def test_nothing_but_the_library_lies_at_the_top(installed):
    found = {path.name for path in installed.iterdir() if not path.name.endswith(".dist-info")}
    assert found == {"normbench"}
