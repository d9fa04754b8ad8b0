"""Method files, read without running them: what planning needs to know, and what is wrong with them.

Every mistake is one InputError that names the file, the key, what stands there and what would do.
"""

import ast
import difflib
import hashlib
import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from normbench.config.search_paths import find, folders
from normbench.core.errors import InputError, unknown
from normbench.core.schema import ROOT, shown

METHODS = ROOT / "methods"

# hook -> the names of its arguments. `reference` takes the site's tensors after these.
HOOKS: dict[str, tuple[str, ...]] = {
    "norm": ("site", "p"),
    "join": ("site", "p"),
    "weight": ("site", "p", "layer"),
    "bias": ("site", "p"),
    "activation": ("site", "p", "act"),
    "initialize": ("model", "sites", "p"),
    "calibrate": ("model", "sites", "p", "batches"),
    "groups": ("model", "sites", "p"),
    "clip": ("model", "sites", "p"),
    "refuse": ("site", "p"),
    "reference": ("site", "p", "state"),
}
STANDING = ("norm", "join", "weight", "bias", "activation")
# constant -> what it is mistaken for. VARIANTS is optional: more Params that the conformance kit tries
SPELLINGS = {"CITE": ("CITE", "CITATION"), "VARIANTS": ("VARIANTS",)}
DECORATOR = "@dataclass(frozen=True, kw_only=True)"


@dataclass(frozen=True)
class MethodFile:
    """What can be known of a method without importing it."""

    name: str
    path: Path
    cite: str
    title: str  # the first line of the docstring
    hooks: tuple[str, ...]
    params: dict[str, Any]  # field -> default
    sha256: str


def method_names(folder: Path | None = None) -> list[str]:
    """The names of all methods: the files of `folder`, or else of all folders that methods are looked for in."""
    return sorted({f.stem for place in _places(folder) for f in place.glob("*.py") if not f.stem.startswith("_")})


def method_path(name: str, folder: Path | None = None) -> Path:
    """<folder>/<name>.py. InputError where no folder has it, or several have."""
    places = _places(folder)
    return find("method", name, [place / f"{name}.py" for place in places], places, lambda: method_names(folder))


def _places(folder: Path | None) -> tuple[Path, ...]:
    return folders("methods") if folder is None else (folder,)


def read_method(name: str, folder: Path | None = None) -> MethodFile:
    """Read a method's file without running it; folder: the only one to look in. Raises InputError with one sentence."""
    path = method_path(name, folder)
    place, tree = shown(path), parsed(path)
    docstring = ast.get_docstring(tree)
    if not docstring:
        raise InputError(f"{place}: needs a docstring with the equation, the shapes and the source")
    cite, params, hooks = _read_cite(tree, place), _read_params(tree, place), tuple(_read_hooks(tree, place))
    if not set(hooks) & {*STANDING, "initialize", "clip"}:
        found = ", ".join(hooks) or "none"
        raise InputError(f"{place}: has no hook that changes a model (found: {found}); one of {', '.join(STANDING)} is needed")
    if "reference" not in hooks:
        raise InputError(f"{place}: needs reference(site, p, state, ...), the equation written slowly (found: {', '.join(hooks)})")
    _check_imports(tree, place)
    return MethodFile(name, path, cite, docstring.splitlines()[0], hooks, params, hashlib.sha256(path.read_bytes()).hexdigest())


def check_params(file: MethodFile, values: dict[str, Any], place: str) -> dict[str, Any]:
    """`values` completed with the defaults; raises InputError where a key does not exist."""
    for key in values:
        if key not in file.params:
            raise unknown(f"{place}: params of {file.name}", "parameter", key, file.params)
    return {**file.params, **values}


def parsed(path: Path) -> ast.Module:
    """The syntax of a Python file. InputError with the line where it is none."""
    place = shown(path)
    try:
        return ast.parse(path.read_bytes())
    except SyntaxError as error:
        raise InputError(f"{place}: line {error.lineno} is no Python: {error.msg}") from error
    except ValueError as error:  # a null byte
        raise InputError(f"{place}: is no Python: {error}") from error
    except OSError as error:
        raise InputError(f"{place}: cannot be read: {error.strerror}") from error


def _check_imports(tree: ast.Module, place: str) -> None:
    """Whatever the file imports at its top is installed."""
    for node in tree.body:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
        for name in names:
            if not _is_installed(name.partition(".")[0]):
                raise InputError(f"{place}: line {node.lineno} imports {name!r}, which is not installed")


@cache
def _is_installed(module: str) -> bool:
    return module in sys.stdlib_module_names or module in sys.modules or importlib.util.find_spec(module) is not None


def _assigned(tree: ast.Module) -> dict[str, ast.expr]:
    """Name -> value of the plain and annotated assignments at the top of a file."""
    found = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            found[node.target.id] = node.value
    return found


def _read_cite(tree: ast.Module, place: str) -> str:
    assigned = _assigned(tree)
    for name in assigned:
        for constant, spellings in SPELLINGS.items():
            near = difflib.get_close_matches(name.upper(), spellings, cutoff=0.75)
            if near and constant not in assigned:
                raise InputError(f"{place}: has {name!r}; did you mean {constant!r}?")
    if "CITE" not in assigned:
        raise InputError(f"{place}: needs CITE, the paper and where to find it, e.g. 'Wu and He, ECCV 2018, arXiv:1803.08494'")
    cite = _literal(assigned["CITE"], f"{place}: CITE", "text")
    if not isinstance(cite, str) or len(cite) < 8:
        raise InputError(f"{place}: CITE is {cite!r}; the paper and where to find it would do: 'Wu and He, ECCV 2018, arXiv:1803.08494'")
    return cite


def _read_hooks(tree: ast.Module, place: str) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            if node.name not in HOOKS:
                raise unknown(place, "hook", node.name, HOOKS)
            _check_arguments(node, place)
            yield node.name


def _check_arguments(node: ast.FunctionDef | ast.AsyncFunctionDef, place: str) -> None:
    args = tuple(a.arg for a in node.args.posonlyargs + node.args.args)
    expected = HOOKS[node.name]
    fits = args[: len(expected)] == expected if node.name == "reference" else args == expected and not node.args.vararg
    if not fits or node.args.kwonlyargs or node.args.kwarg:
        takes = ", ".join((*expected, "...") if node.name == "reference" else expected)
        raise InputError(f"{place}: {node.name} takes ({takes}), got ({ast.unparse(node.args)})")


def _read_params(tree: ast.Module, place: str) -> dict[str, Any]:
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    if "Params" not in classes:
        near = difflib.get_close_matches("Params", [c for c in classes if not c.startswith("_")], n=1, cutoff=0.7)
        hint = f" (found: {near[0]!r}; did you mean 'Params'?)" if near else ""
        raise InputError(f"{place}: needs a class named Params, decorated with {DECORATOR}{hint}")
    node = classes["Params"]
    if not any(_freezes(d) for d in node.decorator_list):
        got = ", ".join(f"@{ast.unparse(d)}" for d in node.decorator_list) or "nothing"
        raise InputError(f"{place}: Params must be decorated with {DECORATOR}, got {got}")
    return dict(_read_fields(node, place))


def _freezes(decorator: ast.expr) -> bool:
    """Whether a decorator is dataclass(frozen=True, kw_only=True)."""
    if not isinstance(decorator, ast.Call):
        return False
    given = {k.arg: ast.unparse(k.value) for k in decorator.keywords}
    return ast.unparse(decorator.func).endswith("dataclass") and given.get("frozen") == given.get("kw_only") == "True"


def _read_fields(node: ast.ClassDef, place: str) -> Iterator[tuple[str, Any]]:
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            where = f"{place}: Params.{item.target.id}"
            if item.value is None:
                raise InputError(f"{where} needs a default, the paper's value")
            yield item.target.id, _literal(item.value, where, "a literal")
        elif isinstance(item, ast.Assign):
            raise InputError(f"{place}: Params.{ast.unparse(item.targets[0])} needs a type, as in `eps: float = 1e-5`")


def _literal(node: ast.expr, where: str, wanted: str) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        got = ast.unparse(node)
        raise InputError(f"{where} is {got}; {wanted} would do, so that it can be read without running the file") from None
