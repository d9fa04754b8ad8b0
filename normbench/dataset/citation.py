"""CITATION.cff: who is to be cited, and the dataset's version in it. Torch-free."""

import re
from dataclasses import dataclass
from pathlib import Path

from normbench.core.errors import InputError
from normbench.core.files import write_if_changed
from normbench.core.schema import read_yaml

# The version behind the one reference of type dataset.
_VERSION = re.compile(r"(- type: dataset\n(?:    .*\n)*?    version: )(\S+)")


@dataclass(frozen=True)
class Citation:
    """Of the dataset. authors: names as they are to be printed."""

    title: str
    authors: tuple[str, ...]
    license: str
    version: str

    def sentence(self, version: str) -> str:
        return f"{', '.join(self.authors)}: {self.title}, version {version}"

    def bibtex(self, version: str, year: str) -> str:
        authors = " and ".join(f"{{{name}}}" for name in self.authors)
        lines = ["@misc{normbench_results,", f"  title = {{{self.title}}},", f"  author = {{{authors}}},", f"  year = {{{year}}},"]
        return "\n".join([*lines, f"  note = {{version {version}}}", "}"])


def read_citation(path: Path) -> Citation:
    """The reference of type dataset in the file."""
    content = read_yaml(path)
    for reference in content.get("references", []) if isinstance(content, dict) else []:
        if reference.get("type") == "dataset":
            try:
                names = tuple(a.get("name") or f"{a['given-names']} {a['family-names']}" for a in reference["authors"])
                return Citation(reference["title"], names, reference["license"], str(reference["version"]))
            except (KeyError, TypeError, AttributeError) as error:
                raise InputError(f"{path}: references: the dataset lacks {error}; it needs title, authors, license and version") from None
    raise InputError(f"{path}: references: none is of type dataset; the published results are cited by it")


def write_version(path: Path, version: str) -> None:
    """Put the dataset's version into the file, leaving all else as it is."""
    text = path.read_text(encoding="utf-8")
    new, found = _VERSION.subn(lambda match: match[1] + version, text)
    if found != 1:
        raise InputError(f"{path}: references: the dataset has no line `    version: ...` to write {version} into")
    write_if_changed(path, new)
