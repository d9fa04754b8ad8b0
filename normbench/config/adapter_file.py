"""The hooks of a task's adapter, looked for in its file before anything is imported and in the module afterwards.

normbench.execution.task_api.Adapter says what each gets and returns.
"""

import ast
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

from normbench.config.method_files import parsed
from normbench.core.errors import InputError
from normbench.core.schema import shown

# hook -> the names of its arguments; `prepare` may stand in prepare.py instead.
HOOKS: dict[str, tuple[str, ...]] = {"prepare": ("dataset", "root"), "check": ("arm",), "run": ("arm", "seed", "context")}


def check_source(folder: Path) -> None:
    """A task's adapter.py (and prepare.py) is Python and defines or imports the hooks; runs nothing. InputError with one sentence."""
    path = folder / "adapter.py"
    if not path.is_file():
        raise InputError(f"{shown(folder)}: has no adapter.py, which prepares, checks and runs the task")
    found = set(_names(parsed(path)))
    if (folder / "prepare.py").is_file():
        found |= {"prepare"} & set(_names(parsed(folder / "prepare.py")))
    for name, arguments in HOOKS.items():
        if name not in found:
            raise _missing(name, arguments, shown(path))


def hook(module: ModuleType, name: str, place: str) -> Callable:
    """module.<name>, whose arguments are those of the contract. InputError with the file `place`."""
    found, wanted = getattr(module, name, None), HOOKS[name]
    if not callable(found):
        raise _missing(name, wanted, place)
    taken = inspect.signature(found).parameters
    optional = all(p.default is not p.empty for p in list(taken.values())[len(wanted) :])
    if tuple(taken)[: len(wanted)] != wanted or not optional:
        raise InputError(f"{place}: {name} takes ({', '.join(wanted)}), got ({', '.join(taken)})")
    return found


def _missing(name: str, arguments: tuple[str, ...], place: str) -> InputError:
    return InputError(f"{place}: needs {name}({', '.join(arguments)})")


def _names(tree: ast.Module) -> Iterator[str]:
    """What a file has at its top by name: functions, imports, plain assignments."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield node.name
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
