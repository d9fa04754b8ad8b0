"""A tier's results, as they are published:  python -m normbench.dataset.publish --root build/laptop --results results

Puts results/<tier>/ together from build/<tier>/, the whole folder at once, so that a reader never sees half of two versions, and
describes all tiers that lie in results/: README.md, datapackage.json, croissant.json, and the dataset's version in CITATION.cff.
"""

import argparse
import datetime
import json
import shutil
import sys
import tempfile
from pathlib import Path

import polars as pl

from normbench.config.papers import TIERS
from normbench.core.command import command
from normbench.core.errors import InputError
from normbench.core.files import write_if_changed
from normbench.core.schema import ROOT
from normbench.dataset import croissant, datapackage
from normbench.dataset.card import SAYS, card
from normbench.dataset.checksums import write_sums
from normbench.dataset.citation import read_citation, write_version
from normbench.dataset.derived import make
from normbench.dataset.merging import merged
from normbench.dataset.run_faults import problems
from normbench.dataset.tiers import Published, published_tiers
from normbench.dataset.version import FIRST, Part, bumped, change, read_version
from normbench.execution.columns import Described
from normbench.execution.tables import PARQUET, read_table, write_table
from normbench.planning.plan import Plan

BEFORE = "before"  # what was published, while what is new takes its place
COPIED = ("claims.csv", "prediction.csv", "tables", "figures")


@command
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--citation", type=Path, default=ROOT / "CITATION.cff")
    args = parser.parse_args()
    try:
        for line in publish(args.root, args.results, args.citation):
            print(line)
    except PermissionError as error:
        raise InputError(f"{error.filename}: cannot be written; name another folder with --config results=FOLDER") from error


def publish(root: Path, results: Path, citation: Path) -> list[str]:
    """Put the tier at `root` into results/<tier>, and describe what lies in results. Returns what there is to say of it.

    All is made and checked in a folder beside; what was published before stays as it is where anything goes wrong.
    """
    results.mkdir(parents=True, exist_ok=True)
    target = results / root.name
    put_back(target)
    with tempfile.TemporaryDirectory(dir=results, prefix=f".{root.name}.") as folder:
        view = Path(folder)
        fresh = view / root.name
        for tier in (name for name in TIERS if name != root.name and (results / name).is_dir()):
            (view / tier).symlink_to((results / tier).resolve())
        put_together(root, target, fresh)
        if found := problems(fresh):
            raise InputError(f"{root}: is not published: {found[0]}" + (f" (and {len(found) - 1} more)" if len(found) > 1 else ""))
        changed = change(target, fresh)
        version, says = next_version(view, results, citation, changed)
        written, left_out = described(view, citation, version)
        if changed:
            fresh.chmod(0o755)
            try:
                if target.exists():
                    target.rename(view / BEFORE)
                fresh.rename(target)
            finally:
                put_back(target)
        for name, text in written.items():
            write_if_changed(results / name, text)
        if is_beside(citation, results):
            write_version(citation, version["version"])
    megabytes = sum(path.stat().st_size for path in target.rglob("*") if path.is_file()) / 1e6
    return [f"published: {target} ({megabytes:.1f} MB)", *says, *left_out]


def put_back(target: Path) -> None:
    """What was published, where a publication ended between moving it away and putting the new one in its place."""
    for before in target.parent.glob(f".{target.name}.*/{BEFORE}"):
        if not target.exists():
            before.rename(target)


def is_beside(citation: Path, results: Path) -> bool:
    """Whether CITATION.cff is about this folder of results; one that is published elsewhere leaves it alone."""
    return citation.resolve().parent == results.resolve().parent


def put_together(root: Path, before: Path, fresh: Path) -> None:
    """The tier's folder as it will be published. before: what is published of it now; equal runs keep its times."""
    Plan.read(root).write(fresh)
    tables = merged(root, before)
    for file in PARQUET:
        _write(tables[file.name], before, fresh, file)
    # The figures of samples are drawn out of pictures, which are too large to publish.
    pictures = fresh / "pictures"
    if (root / "pictures").is_dir():
        pictures.symlink_to((root / "pictures").resolve())
    if tables["runs"].equals(read_table(root, PARQUET[0])):
        for name in COPIED:
            copy = shutil.copytree if (root / name).is_dir() else shutil.copyfile
            copy(root / name, fresh / name)
    else:
        make(fresh, "claims", "tables", "prediction", "figures")
    make(fresh, "report")  # of what is published, and of nothing that stays behind
    pictures.unlink(missing_ok=True)
    write_sums(fresh)


def _write(frame: pl.DataFrame, before: Path, fresh: Path, file: Described) -> None:
    """An equal table keeps its file, whatever library wrote it."""
    try:
        same = read_table(before, file).equals(frame)
    except InputError:
        same = False
    if same:
        shutil.copyfile(before / file.path, fresh / file.path)
    else:
        write_table(frame, fresh, file)


def next_version(view: Path, results: Path, citation: Path, changed: tuple[Part, str] | None) -> tuple[dict[str, str], list[str]]:
    """The version that the dataset will have, and why where it is another than it was."""
    was = read_version(results)
    if was is None:
        return {"version": FIRST, "created": _today()}, []
    if changed is None:
        same = texts(published_tiers(view)[0], citation, was)
        if all((results / name).is_file() and (results / name).read_text(encoding="utf-8") == text for name, text in same.items()):
            return was, []
    part, why = changed or ("patch", "the descriptions changed")
    version = {"version": bumped(was["version"], part), "created": _today()}
    return version, [f"version {was['version']} -> {version['version']}: {why}"]


def described(view: Path, citation: Path, version: dict[str, str]) -> tuple[dict[str, str], list[str]]:
    """The descriptions of what lies in `view`, checked there with the formats' own libraries; and which tiers they leave out."""
    tiers, left_out = published_tiers(view)
    written = texts(tiers, citation, version)
    for name, text in written.items():
        write_if_changed(view / name, text)
    datapackage.check(view / "datapackage.json")
    croissant.check(view / "croissant.json")
    return written, [sentence.replace(f"{view}/", f"{view.parent}/") for sentence in left_out]


def texts(tiers: list[Published], citation: Path, version: dict[str, str]) -> dict[str, str]:
    """The files that describe the whole dataset, by name."""
    cited = read_citation(citation)
    return {
        "README.md": card(tiers, cited, version),
        "datapackage.json": _json(datapackage.datapackage(tiers, cited, version, SAYS)),
        "croissant.json": _json(croissant.croissant(tiers, cited, version, SAYS)),
    }


def _json(content: dict) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _today() -> str:
    return datetime.date.today().isoformat()


if __name__ == "__main__":
    sys.exit(main())
