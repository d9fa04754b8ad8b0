"""Is everything in results/ what its runs give?  python -m normbench.dataset.check_results --results results

Recomputes verdicts, tables and the prediction from each tier's published parquet files, and looks at every file's hash, at
the runs, curves and probes, and at the descriptions. Prints a sentence for each thing that is wrong; exit code 1 if any is.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from normbench.config.code_hash import changed_files, code_of_run, files_of_run
from normbench.core.errors import InputError
from normbench.core.logs import without_debug_lines
from normbench.core.schema import ROOT
from normbench.dataset import checksums, datapackage, run_faults
from normbench.dataset.citation import read_citation
from normbench.dataset.publish import is_beside, texts
from normbench.dataset.recomputed import differences
from normbench.dataset.tiers import published_tiers
from normbench.dataset.version import read_version


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--citation", type=Path, default=ROOT / "CITATION.cff")
    args = parser.parse_args()
    without_debug_lines()
    found = list(problems(args.results, args.citation))
    for sentence in found:
        print(f"error: {sentence}", file=sys.stderr)
    for note in [] if found else notes(args.results):
        print(note)
    return int(bool(found))


def problems(results: Path, citation: Path) -> Iterator[str]:
    """Everything that is wrong with the dataset."""
    tiers, left_out = published_tiers(results)
    yield from left_out
    if not tiers and not left_out:
        yield f"{results}: no tier is published there; `snakemake publish` does"
    for tier in tiers:
        yield from checksums.problems(tier.root)
        wrong = run_faults.problems(tier.root)
        yield from wrong
        yield from differences(tier.root) if not unreadable(tier.root) else ()
    try:
        yield from misdescribed(results, citation)
    except (InputError, OSError, KeyError) as error:
        yield str(error)


def unreadable(root: Path) -> bool:
    """Whether what is recomputed from is not all there; that is said already."""
    return not all((root / name).is_file() for name in ("plan.json", "runs.parquet", "curves.parquet", "probes.parquet"))


def misdescribed(results: Path, citation: Path) -> Iterator[str]:
    """The card, the descriptors and CITATION.cff must speak of what is there."""
    tiers, _ = published_tiers(results)
    version = read_version(results)
    if version is None:
        yield f"{results / 'datapackage.json'}: is missing; `snakemake publish` writes it"
        return
    if is_beside(citation, results) and (cited := read_citation(citation).version) != version["version"]:
        yield f"{citation}: the dataset's version is {cited}, and {results / 'datapackage.json'} has {version['version']}"
    for name, text in (texts(tiers, citation, version) if tiers else {}).items():
        path = results / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            yield f"{path}: is not what describes the tiers that are there; `snakemake publish` writes it anew"
    yield from datapackage.faults(results / "datapackage.json")


def notes(results: Path) -> Iterator[str]:
    """What is there, and which code has changed since: new runs of it would be others."""
    for tier in published_tiers(results)[0]:
        yield f"{tier.root}: {len(tier.runs):,} runs; verdicts, tables, hashes and descriptions are what they give"
        pairs = tier.runs.select("task", "method").unique().sort("task", "method").rows()
        if changed := changes(tier.plan.code, pairs):
            yield f"{tier.root}: note: made by other code than is here now: {', '.join(changed)}"


def changes(made: dict[str, Any], pairs: list[tuple[str, str]]) -> list[str]:
    """What differs from the code that a plan names, for these pairs of task and method: files, or whose code where it names no files."""
    tasks, methods, noted = (made.get(part, {}) for part in ("tasks", "methods", "files"))
    now = {pair: code_of_run(*pair) for pair in pairs}
    other = {f"tasks/{task}" for (task, _), code in now.items() if tasks.get(task) != code["task"]}
    other |= {f"methods/{method}.py" for (_, method), code in now.items() if methods.get(method) != code["method"]}
    files = {file: sha for pair in pairs for file, sha in files_of_run(*pair).items()}
    named = [file for file in changed_files(noted, files) if file in files] if noted and other else []
    return named or sorted(other)


if __name__ == "__main__":
    sys.exit(main())
