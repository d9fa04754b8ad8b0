"""The boundaries between the parts, each rule also tried on a file that breaks it."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from normbench.config.tasks import task_names
from normbench.core.schema import ROOT
from normbench.hooks.methods import method_names

FRAMEWORKS = {"detectron2", "fairseq", "mmdet", "torchvision", "timm"}
# Each package may import those above it, and nothing below. docs/architecture.md says what each is for.
LAYERS = (
    "core",
    "claims",
    "config",
    "hooks",
    "models",
    "training",
    "diagnostics",
    "conformance",
    "planning",
    "execution",
    "analysis",
    "reporting",
    "dataset",
)
FACE = ("sites.py",)  # what users import by a short name
# Whole packages that are read without torch; of others, single modules.
TORCH_FREE = ["core", "claims", "config", "planning", "analysis", "reporting", "dataset"]
TORCH_FREE_MODULES = ["hooks.methods", "hooks.sites", "sites"]
TORCH_FREE_MODULES += [
    f"execution.{m}" for m in ("collect", "columns", "golden_files", "index", "manifest", "prepare", "progress", "records", "unfinished")
]
TORCH_FREE_MODULES += [f"execution.{m}" for m in ("mlflow_run", "mlflow_store", "mlflow_views", "mlflow_watch", "tables", "throughput")]


def imports(path: Path) -> set[str]:
    """All modules that a file imports, wherever in it, with what is taken from them."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def heads(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)}


def words(path: Path) -> set[str]:
    """The names and texts of a file's code, docstrings left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {
        id(n.body[0].value)
        for n in ast.walk(tree)
        if isinstance(getattr(n, "body", None), list) and n.body and isinstance(n.body[0], ast.Expr)
    }
    texts = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str) and id(n) not in docstrings}
    return texts | {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)} | imports(path)


def no_import_goes_up(root: Path) -> list[str]:
    """A module of a package imports that package and those above it in LAYERS alone; every module lies in one of them."""
    bad = []
    for file in sorted((root / "normbench").rglob("*.py")):
        room = file.relative_to(root / "normbench").parts[0]
        if room in ("__init__.py", *FACE):
            continue
        if room not in LAYERS:
            bad.append(f"{file}: lies in no package of the house")
            continue
        allowed = {f"normbench.{name}" for name in LAYERS[: LAYERS.index(room) + 1]}
        ours = {".".join(name.split(".")[:2]) for name in imports(file) if name.startswith("normbench.")}
        bad += [f"{file}: imports {name}" for name in sorted(ours - allowed - {"normbench.load_method"})]
    return bad


def library_imports_no_task(root: Path) -> list[str]:
    return [str(f) for f in sorted((root / "normbench").rglob("*.py")) if {"tasks", "methods", *FRAMEWORKS} & heads(f)]


# Words that mean something else too: nothing, an expense, a stem, a curve.
OTHERWISE = {"none", "cost", "imagenet", "weight_norm"}


def library_names_no_task_and_no_method(root: Path) -> list[str]:
    names = (set(method_names()) | set(task_names())) - OTHERWISE
    return [f"{f}: {w}" for f in sorted((root / "normbench").rglob("*.py")) for w in sorted(words(f) & names)]


def nobody_asks_for_a_methods_name(root: Path) -> list[str]:
    """method.name is for messages: no decision compares it."""
    bad = []
    for file in (f for part in ("normbench", "tasks") for f in sorted((root / part).rglob("*.py"))):
        for node in (n for n in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(n, ast.Compare)):
            if any(re.search(r"\bmethod\.name\b", ast.unparse(side)) for side in (node.left, *node.comparators)):
                bad.append(f"{file}: {ast.unparse(node)}")
    return bad


def methods_import_no_method_and_no_task(root: Path) -> list[str]:
    forbidden = {"methods", "tasks", *method_names(), *FRAMEWORKS}
    bad = []
    for file in sorted((root / "methods").glob("*.py")):
        found = imports(file)
        if forbidden & heads(file) or any(
            m.startswith(("normbench.models", "normbench.hooks.methods", "normbench.load_method")) for m in found
        ):
            bad.append(str(file))
    return bad


def only_tracking_knows_mlflow(root: Path) -> list[str]:
    files = [f for part in ("normbench", "methods", "tasks") for f in sorted((root / part).rglob("*.py"))]
    return [str(f) for f in files if not f.name.startswith("mlflow_") and "mlflow" in heads(f)]


def no_pickle_eval_or_unsafe_yaml(root: Path) -> list[str]:
    bad = []
    for file in (f for part in ("normbench", "methods", "tasks") for f in sorted((root / part).rglob("*.py"))):
        text = file.read_text(encoding="utf-8")
        calls = {n.func.id for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
        loads = [line for line in text.splitlines() if re.search(r"torch\.load\(|np\.load\(|numpy\.load\(", line)]
        guarded = all("weights_only=True" in line or "allow_pickle=False" in line for line in loads)
        if {"pickle", "marshal", "shelve", "dill", "joblib"} & heads(file) or {"eval", "exec"} & calls or not guarded:
            bad.append(str(file))
        if re.search(r"yaml\.(unsafe_load|full_load|Loader|FullLoader|UnsafeLoader)\b", text):
            bad.append(str(file))
    return bad


# They load methods and tasks by name, whose code is hashed beside theirs.
LOADERS = ("normbench/hooks/methods.py", "normbench/config/tasks.py")


def nothing_is_imported_by_a_computed_name(root: Path) -> list[str]:
    """A run's code hash follows import statements; what hides from it would change a run unseen."""
    hidden = {"import_module", "__import__", "spec_from_file_location", "exec_module", "run_path", "run_module"}
    bad = []
    for file in (f for part in ("normbench", "tasks", "methods") for f in sorted((root / part).rglob("*.py"))):
        nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
        names = {n.id for n in nodes if isinstance(n, ast.Name)} | {n.attr for n in nodes if isinstance(n, ast.Attribute)}
        if hidden & names and file.relative_to(root).as_posix() not in LOADERS:
            bad.append(str(file))
    return bad


def what_forks_draw_asks_nothing_of_polars(root: Path) -> list[str]:
    """Figures are drawn in forks, in which the threads of polars are gone: whatever asks them there waits forever."""
    return [str(f) for f in sorted((root / "normbench" / "reporting" / "plots").rglob("*.py")) if "polars" in heads(f)]


# rule: (the file that a violation is planted in, what is planted)
RULES = {
    no_import_goes_up: ("normbench/training/loop.py", "def f():\n    from normbench.planning import plan\n"),
    library_imports_no_task: ("normbench/training/loop.py", "def f():\n    from tasks.imagenet import data\n"),
    library_names_no_task_and_no_method: ("normbench/training/loop.py", 'SLOW = ("group_norm",)\n'),
    nobody_asks_for_a_methods_name: ("normbench/training/loop.py", 'SLOW = model.method.name == "weight_norm"\n'),
    methods_import_no_method_and_no_task: ("methods/layer_norm.py", "from normbench import load_method\n"),
    nothing_is_imported_by_a_computed_name: (
        "tasks/coco/adapter.py",
        'import importlib\nENGINE = importlib.import_module(f"tasks.coco.{NAME}_engine")\n',
    ),
    only_tracking_knows_mlflow: ("normbench/training/loop.py", "import mlflow\n"),
    what_forks_draw_asks_nothing_of_polars: ("normbench/reporting/plots/lines.py", "import polars as pl\n"),
    no_pickle_eval_or_unsafe_yaml: ("normbench/training/checkpoint.py", "state = torch.load(path)\n"),
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_rule_holds(rule):
    assert rule(ROOT) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_rule_catches_what_breaks_it(rule, tmp_path):
    where, planted = RULES[rule]
    path = tmp_path / where
    path.parent.mkdir(parents=True)
    path.write_text((ROOT / where).read_text(encoding="utf-8") + planted, encoding="utf-8")
    assert rule(tmp_path) and all(str(path) in found for found in rule(tmp_path))


def loaded_by(modules: tuple[str, ...], extra: str = "") -> set[str]:
    code = f"import sys, {', '.join(modules)}\n{extra}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in done.stdout.split()}


def snakefile_imports() -> tuple[str, ...]:
    """What parsing the Snakefile and its rules imports of ours."""
    text = "".join(f.read_text(encoding="utf-8") for f in [ROOT / "Snakefile", *sorted((ROOT / "workflows").glob("*.smk"))])
    return tuple(sorted(set(re.findall(r"^(?:from|import) (normbench[\w.]*)", text, re.MULTILINE))))


def torch_free() -> list[str]:
    names = [f"normbench.{name}" for name in TORCH_FREE_MODULES]
    for room in TORCH_FREE:
        files = sorted((ROOT / "normbench" / room).rglob("*.py"))
        names += [".".join(f.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for f in files]
    return names


def test_planning_loads_no_torch():
    assert {"normbench.planning.pipeline", "normbench.core.errors"} <= set(snakefile_imports())
    loaded = loaded_by(
        ("normbench", *snakefile_imports(), *torch_free()),
        "from normbench.planning.make import make_plan; make_plan('tiny')",
    )
    assert "normbench" in loaded and not loaded & {"torch", "torchvision", "mlflow"}


def test_a_module_that_loads_torch_is_seen():
    assert "torch" in loaded_by(("normbench.training.checkpoint",))
