"""The hash of the code that a run executes: of its task and of its method, with all of ours that they import. Torch-free.

A file's hash is that of what it computes (syntax.py), in which every import of our code stands as the imported file's own
hash: wherever the import stands, and recursively. So a file may be moved or renamed, and whoever imports another one of the
same name has another hash. Ours are the packages normbench and tasks, that of the file itself, and files beside it; imports
of anything else are text. What is imported by a computed name is not seen: tests/test_architecture.py says who may.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

from normbench.config.method_files import method_path
from normbench.config.spec import ArmSpec
from normbench.config.syntax import Imported, Piece, pieces
from normbench.config.tasks import methods_of, task_folder
from normbench.core.errors import InputError
from normbench.core.schema import PACKAGE, ROOT

OURS = {"normbench": (PACKAGE.parent,), "tasks": (ROOT,)}  # a top package -> the folders that it may lie in
INIT = "__init__.py"


def code_of_arm(spec: ArmSpec) -> dict[str, str]:
    """The hashes of all code that the runs of an arm depend on: the task's, and its methods'."""
    return code_of_run(spec.task, *methods_of(spec))


def code_of_run(task: str, method: str, *others: str) -> dict[str, str]:
    """{"task": ..., "method": ...}: the hashes of all code that a run depends on. others: methods that it loads beside its own.

    Raises InputError, one sentence, where a file of it is missing or is no Python.
    """
    return {"task": _code_of(*_of_task(task)), "method": _code_of(*map(_of_method, dict.fromkeys((method, *others))))}


def files_of_run(task: str, method: str) -> dict[str, str]:
    """file -> hash of what stands in it alone: all files of ours that a run executes. They tell which one changed; code_of_run decides."""
    return files_of_task(task) | files_of(_of_method(method))


@cache
def files_of_task(task: str) -> dict[str, str]:
    """The same without the method's."""
    return files_of(*_of_task(task))


def changed_files(was: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """The files that are others now, came or went, of two results of files_of; one that only moved is none of them."""
    moved = set(was.values()) & set(now.values())
    return sorted(file for file in was.keys() | now.keys() if was.get(file) != now.get(file) and (was.get(file) or now[file]) not in moved)


@cache
def _code_of(*entries: tuple[str, Path]) -> str:
    return code_of(*entries)


def code_of(*entries: tuple[str, Path]) -> str:
    """One hash of the modules (name, file) and of all code of ours that they import; the files may lie outside the repository.

    A module tasks.cost.adapter is imported from the folder that holds tasks/; its package counts as ours.
    """
    code = _code(entries)
    files = [file for _, file in entries]
    # Packages' own code runs on the way to what lies in them. It counts once, not at each import, so that files may move.
    on_the_way = {code.hash(file) for file in code.closure(files) if file.name == INIT and code.pieces(file)}
    return _sha256("\n".join([*map(code.hash, files), "", *sorted(on_the_way)]))


def files_of(*entries: tuple[str, Path]) -> dict[str, str]:
    """file, from the folder that holds its package on -> hash of what stands in it alone; files that compute nothing are left out."""
    code = _code(entries)
    return {code.label(file): code.alone(file) for file in sorted(code.closure(file for _, file in entries)) if code.pieces(file)}


@cache
def _of_task(task: str) -> tuple[tuple[str, Path], ...]:
    """A task's adapter runs, and what prepares its data, where that is a file of its own."""
    folder = task_folder(task)
    parts = ("adapter", "prepare") if (folder / "prepare.py").is_file() else ("adapter",)
    return tuple((f"tasks.{task}.{part}", folder / f"{part}.py") for part in parts)


def _of_method(method: str) -> tuple[str, Path]:
    return f"methods.{method}", method_path(method)


def _code(entries: Iterable[tuple[str, Path]]) -> "Code":
    """What all entries of the same packages share: each file is read once in a process."""
    places = {**OURS, **{name.partition(".")[0]: () for name, _ in entries if name.partition(".")[0] not in OURS}}
    for name, file in entries:
        top, root = name.partition(".")[0], file.parents[name.count(".")]
        places[top] = tuple(dict.fromkeys((*places[top], root)))
    return _code_in(tuple(places.items()))


@cache
def _code_in(places: tuple[tuple[str, tuple[Path, ...]], ...]) -> "Code":
    return Code(dict(places))


@cache
def _pieces(file: Path) -> tuple[Piece, ...]:
    try:
        return pieces(file.read_bytes())
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{file}: cannot be read as Python: {error}") from error


class Code:
    """Files of ours and who imports whom. packages: a top package's name -> the folders that parts of it lie in."""

    def __init__(self, packages: Mapping[str, tuple[Path, ...]]):
        self.packages = packages
        self.roots = {root for roots in packages.values() for root in roots}
        self.hash = cache(self._hash)
        self.targets = cache(self._targets)
        self.reached = cache(self._reached)
        self._find = cache(self._found)

    def pieces(self, file: Path) -> tuple[Piece, ...]:
        return _pieces(file)

    def closure(self, files: Iterable[Path]) -> set[Path]:
        """The files, all that they import, and the __init__ of every package that is entered."""
        found, left = set(), list(files)
        while left:
            if (file := left.pop()) not in found:
                found.add(file)
                left += [*self.targets(file), *self._inits(file)]
        return found

    def label(self, file: Path) -> str:
        roots = [root for root in self.roots if file.is_relative_to(root)]
        return file.relative_to(max(roots, key=lambda root: len(root.parts))).as_posix() if roots else file.name

    def alone(self, file: Path) -> str:
        """What stands in the file, whatever it imports."""
        return _sha256(self._text(file, lambda _: ""))

    def _hash(self, file: Path) -> str:
        if file not in self.reached(file):
            return _sha256(self._text(file, self.hash))
        # Files that import each other count as one: each is told apart by what the others come to, until no more can be.
        circle = [other for other in self.reached(file) if file in self.reached(other)]
        known = dict.fromkeys(circle, "")
        for _ in circle:
            known = {other: _sha256(self._text(other, lambda f, known=known: known[f] if f in known else self.hash(f))) for other in circle}
        return _sha256("\n".join([known[file], *sorted(known.values())]))

    def _text(self, file: Path, hash_of: Callable[[Path], str]) -> str:
        return "".join(piece if isinstance(piece, str) else self._imports(file, piece, hash_of) for piece in self.pieces(file))

    def _imports(self, file: Path, neighbors: tuple[Imported, ...], hash_of: Callable[[Path], str]) -> str:
        ours, others = [], []
        for one in neighbors:
            targets, attribute = self._find(file, one)
            if targets:
                ours.append(f"{','.join(sorted(map(hash_of, targets)))} {attribute or ''} {one.local}")
            else:
                others.append(f"{'.' * one.level}{one.module} {one.attribute or ''} {one.local}")
        if len({one.local for one in neighbors}) == len(neighbors):  # else the last one holds
            ours.sort()
        return f"(import {';'.join([*others, *ours])})"

    def _targets(self, file: Path) -> set[Path]:
        groups = [piece for piece in self.pieces(file) if not isinstance(piece, str)]
        return {target for group in groups for one in group for target in self._find(file, one)[0]}

    def _reached(self, file: Path) -> set[Path]:
        """All that the file imports, through others too; itself only where it comes back to itself."""
        found, left = set(), list(self.targets(file))
        while left:
            if (other := left.pop()) not in found:
                found.add(other)
                left += self.targets(other)
        return found

    def _inits(self, file: Path) -> Iterator[Path]:
        for folder in file.parents:
            if folder in self.roots:
                return
            if (folder / INIT).is_file():
                yield folder / INIT

    def _found(self, file: Path, one: Imported) -> tuple[tuple[Path, ...], str | None]:
        """(the files of ours that an import names, what it takes of them): no file where it names none of ours, None for the whole."""
        return next((found for folder in self._starts(file, one) if (found := self._found_in(folder, file, one))[0]), ((), None))

    def _found_in(self, folder: Path, file: Path, one: Imported) -> tuple[tuple[Path, ...], str | None]:
        """The same, of what lies in a folder."""
        place = folder.joinpath(*one.module.split(".")) if one.module else folder
        module = _module(place)
        if one.attribute == "*" and place.is_dir():  # may name any of the package's modules
            return tuple(sorted(f for f in place.glob("*.py") if f != file)), "*"
        if one.attribute is not None and place.is_dir() and (inner := _module(place / one.attribute)):
            return (inner,), None
        return ((module,) if module else ()), one.attribute

    def _starts(self, file: Path, one: Imported) -> tuple[Path, ...]:
        """The folders that the import's first name is looked up in."""
        if one.level:
            return (file.parents[one.level - 1],)
        top = one.module.partition(".")[0]
        return self.packages.get(top) or ((file.parent,) if _module(file.parent / top) else ())


def _module(place: Path) -> Path | None:
    """The file of the module at a/b/name: a package's before another's."""
    files = (place / INIT, place.with_name(f"{place.name}.py"))
    return next((file for file in files if file.is_file()), None)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
