"""The hashes of the tasks' and methods' code, in a copy of the repository in which single files are changed."""

import re
from pathlib import Path

import pytest
from copies import copy_repository, printed

from normbench.config.code_hash import changed_files, code_of_run, files_of_run
from normbench.config.tasks import absence, task_names
from normbench.core.schema import ROOT

pytestmark = pytest.mark.slow

TASKS = set(task_names())
HASHES = """import json
from normbench.config.code_hash import code_of_run
from normbench.config.tasks import task_names
print(json.dumps({task: code_of_run(task, "skipinit") for task in task_names()}))"""


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Path:
    return copy_repository(tmp_path_factory.mktemp("code") / "copy")


@pytest.fixture(scope="module")
def before(repository) -> dict:
    return printed(HASHES, repository)


def changed(repository: Path, before: dict, texts: dict[str, str | None]) -> set[str]:
    """The tasks whose hash is another one with these files in place (None: without); "method" where the method's is."""
    kept = {name: (repository / name).read_text() if (repository / name).is_file() else None for name in texts}
    try:
        _put(repository, texts)
        now = printed(HASHES, repository)
    finally:
        _put(repository, kept)
    method = {"method"} if any(before[task]["method"] != now[task]["method"] for task in before) else set()
    return method | {task for task in before if before[task]["task"] != now[task]["task"]}


def _put(repository: Path, texts: dict[str, str | None]) -> None:
    for name, text in texts.items():
        (repository / name).unlink(missing_ok=True)
        if text is not None:
            (repository / name).write_text(text)


def edited(repository: Path, name: str) -> dict[str, str]:
    return {name: f"{(repository / name).read_text()}\nMORE = 1\n"}


@pytest.mark.parametrize(
    "file, tasks",
    [
        ("tasks/imagenet/data.py", {"imagenet", "propagation", "coco"}),
        ("tasks/imagenet/prepare.py", {"imagenet"}),
        ("tasks/images/batches.py", {"imagenet", "propagation", "coco", "kinetics"}),
        ("normbench/diagnostics/jacobian.py", {"propagation"}),
        ("normbench/diagnostics/propagation.py", {"propagation", "imagenet", "kinetics"}),
        ("normbench/models/resnet.py", TASKS - {"wmt"}),
        ("normbench/training/window.py", TASKS),
        ("normbench/hooks/methods.py", TASKS | {"method"}),
        ("tasks/coco/torchvision_engine.py", {"coco"}),
        ("tasks/coco/detectron2_engine.py", {"coco"}),
        ("tasks/coco/detectron2_parts.py", {"coco"}),
        ("tasks/wmt/normbench_fairseq/words.py", {"wmt"}),
        ("methods/skipinit.py", {"method"}),
        ("methods/group_norm.py", set()),
    ],
)
def test_an_edit_changes_the_tasks_that_run_the_file(repository, before, file, tasks):
    assert changed(repository, before, edited(repository, file)) == tasks


def test_the_method_that_an_arm_is_timed_beside_is_of_its_code(repository):
    arm = 'ArmSpec("cost", "noise", {"family": "resnet"}, "group_norm", {}, {})'
    code = f"""
import json
from normbench.config.code_hash import code_of_arm
from normbench.config.spec import ArmSpec
print(json.dumps(code_of_arm({arm})))"""
    before, file = printed(code, repository), repository / "methods" / "batch_norm.py"
    kept = file.read_text()
    file.write_text(kept.replace("momentum", "inertia"))
    after = printed(code, repository)
    file.write_text(kept)
    assert before["task"] == after["task"] and before["method"] != after["method"]


def test_an_edit_of_what_plans_collects_or_shows_changes_nothing(repository, before):
    files = [file for room in ("claims", "planning", "analysis", "reporting", "dataset", "conformance") for file in room_files(room)]
    files += [f"normbench/execution/{name}.py" for name in ("collect", "golden", "job", "progress", "records", "mlflow_import")]
    files += [f"normbench/config/{name}.py" for name in ("code_hash", "syntax", "papers", "tiers", "tasks", "cost_model")]
    files += [path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "tasks").glob("*/work.py"))]
    assert len(files) > 60
    assert changed(repository, before, {k: v for file in files for k, v in edited(repository, file).items()}) == set()


def room_files(room: str) -> list[str]:
    return [path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "normbench" / room).rglob("*.py"))]


@pytest.mark.parametrize(
    "old, new",
    [
        ("normbench.training.precision", "normbench.core.arithmetic"),
        ("normbench.hooks.residual", "normbench.training.residual"),
        ("tasks.images.batches", "tasks.kinetics.orders"),
    ],
)
def test_a_file_may_move_with_its_imports_rewritten(repository, before, old, new):
    texts: dict[str, str | None] = {}
    package, _, name = old.rpartition(".")
    other_package, _, other_name = new.rpartition(".")
    for path in sorted(p for part in ("normbench", "tasks", "methods") for p in (repository / part).rglob("*.py")):
        text = path.read_text()
        moved = text.replace(f"from {old} import", f"from {new} import")
        moved = re.sub(rf"from {package} import {name}\b(?! as)", f"from {other_package} import {other_name} as {name}", moved)
        if moved != text:
            texts[path.relative_to(repository).as_posix()] = moved
    source, target = (f"{module.replace('.', '/')}.py" for module in (old, new))
    texts |= {target: texts.get(source) or (repository / source).read_text(), source: None}
    assert len(texts) > 2
    assert changed(repository, before, texts) == set()


def test_a_swapped_import_is_other_code(repository, before):
    text = (repository / "tasks/propagation/adapter.py").read_text()
    both, apart = "from tasks.propagation import data, exact", "from tasks.imagenet import data\nfrom tasks.propagation import exact"
    swapped = text.replace(both, apart)
    assert swapped != text
    assert changed(repository, before, {"tasks/propagation/adapter.py": swapped}) == {"propagation"}


def test_words_change_nothing_and_numbers_do(repository, before):
    name = "normbench/diagnostics/jacobian.py"
    text = (repository / name).read_text()
    assert changed(repository, before, {name: f'"""Other words."""\n\n# and a comment\n{text.partition(chr(10))[2]}'}) == set()
    error, words = "normbench/models/__init__.py", "the argument 'depth' is missing"
    said = (repository / error).read_text()
    assert words in said
    assert changed(repository, before, {error: said.replace(words, "needs a depth")}) == set()
    name = "tasks/propagation/recipe.py"
    recipe = (repository / name).read_text()
    assert "LARGE = 1024" in recipe
    assert changed(repository, before, {name: recipe.replace("LARGE = 1024", "LARGE = 1025")}) == {"propagation"}


LOADED = """import json, sys
from pathlib import Path
from normbench.hooks.methods import load_method
import tasks.{task}.adapter
load_method("skipinit")
root = str(Path.cwd()) + "/"
files = {{m.__file__ for m in list(sys.modules.values()) if str(getattr(m, "__file__", None) or "").startswith(root)}}
print(json.dumps(sorted(f.removeprefix(root) for f in files)))"""


@pytest.mark.parametrize("task", sorted(TASKS))
def test_all_that_a_tasks_adapter_imports_is_in_its_code(task):
    if absence(task):
        pytest.skip(absence(task))
    loaded = {file for file in printed(LOADED.format(task=task)) if file.split("/")[0] in ("normbench", "tasks", "methods")}
    computing = {file for file in loaded if not _only_words(ROOT / file)}
    assert f"tasks/{task}/adapter.py" in computing and "methods/skipinit.py" in computing and len(computing) > 20
    assert computing - set(files_of_run(task, "skipinit")) == set()


def _only_words(file: Path) -> bool:
    return not re.sub(r'^""".*?"""', "", file.read_text(), flags=re.DOTALL).strip()


def test_files_name_what_changed():
    files = files_of_run("propagation", "skipinit")
    assert {"tasks/images/batches.py", "normbench/diagnostics/jacobian.py", "methods/skipinit.py"} <= set(files)
    assert changed_files(files, {**files, "tasks/images/batches.py": "other"}) == ["tasks/images/batches.py"]
    assert set(code_of_run("propagation", "skipinit")) == {"task", "method"}
