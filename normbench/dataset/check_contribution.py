"""May these runs stand beside ours?  python -m normbench.dataset.check_contribution --folder contributed/laptop --results results

For a pull request that brings somebody's runs: the file that `snakemake pack` writes, or a folder named like a tier with runs.parquet
and curves.parquet, and probes.parquet where there are any, as `snakemake all` leaves them in build/<tier>/. They must be of this
repository's arms, methods, data and versions, with every seed of an arm; and no curve may be that of another seed, here or in what is
published.
"""

import argparse
import sys
from importlib.metadata import version
from pathlib import Path

import polars as pl

from normbench.config.method_files import method_names, read_method
from normbench.config.papers import TIERS
from normbench.core.errors import InputError, unknown
from normbench.dataset.packed_records import members, packed_record
from normbench.dataset.run_faults import seed_problems, seeds_of, spec_problems
from normbench.dataset.sentences import short, some
from normbench.dataset.value_faults import copies, table_problems
from normbench.execution.code_version import COMMIT
from normbench.execution.collect import curve_rows, probe_rows, run_rows
from normbench.execution.columns import CURVES, PROBES, RUNS
from normbench.execution.tables import PARQUET, empty_table, read_table, read_tables, table_of
from normbench.planning.make import make_plan
from normbench.planning.record_pack import opened, read_pack

UNCLEAN = "the code that made it is in no commit; commit it and run again"
Tables = dict[str, pl.DataFrame]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--results", type=Path, required=True)
    args = parser.parse_args()
    try:
        tier, tables = brought(args.folder)
        found = problems(args.folder, args.results, tier, tables)
    except InputError as error:
        tables, found = {}, [str(error)]
    for sentence in found:
        print(f"error: {sentence}", file=sys.stderr)
    if not found:
        runs = tables["runs"].unique("run")
        print(f"{args.folder}: {len(runs)} runs of {runs['arm'].n_unique()} arms, complete, of this version, and nobody's copies")
    return int(bool(found))


def brought(place: Path) -> tuple[str, Tables]:
    """(tier, tables) of a pack of records, or of a folder that is named like its tier."""
    if place.is_file():
        return packed_tables(place)
    if not place.is_dir():
        raise InputError(
            f"--config folder={place}: there is no such folder or file; give what `snakemake pack` wrote, or the folder that holds "
            "runs.parquet, named like its tier"
        )
    if place.name not in TIERS:
        raise unknown(f"--config folder={place}", "tier", place.name, TIERS)
    tables = {file.name: read_table(place, file) for file in PARQUET if file is not PROBES or (place / file.path).exists()}
    return place.name, {PROBES.name: empty_table(PROBES), **tables}


def packed_tables(place: Path) -> tuple[str, Tables]:
    """What collecting makes of the records of a pack."""
    pack = read_pack(place)
    if pack.manifest.tier not in TIERS:
        raise unknown(f"{place}: tier", "tier", pack.manifest.tier, TIERS)
    plan, rows = make_plan(pack.manifest.tier), {file.name: [] for file in PARQUET}
    with opened(place) as archive:
        for kind, arm, seed, data in members(pack, archive):
            if kind == "records":
                record = packed_record(pack, arm, seed, data)
                rows[RUNS.name] += run_rows(record, plan)
                rows[CURVES.name] += curve_rows(record)
                rows[PROBES.name] += probe_rows(record)
    return pack.manifest.tier, {file.name: table_of(rows[file.name], file) for file in PARQUET}


def problems(folder: Path, results: Path, tier: str, tables: Tables) -> list[str]:
    """All that keeps the runs of a tier, brought in `folder`, from standing beside those in `results`."""
    plan, runs, published = make_plan(tier), tables["runs"], published_tables(results / tier)
    return [
        *table_problems(folder, tables),
        *spec_problems(folder, runs, plan, f"this repository's {tier} tier"),
        *seed_problems(folder, runs, seeds_of(plan)),
        *_hashes(folder, runs, published),
        *_curves(folder, tables, published),
    ]


def published_tables(root: Path) -> Tables:
    """What is published of the tier; empty tables where nothing is that can be read."""
    try:
        return read_tables(root)
    except InputError:
        return {file.name: empty_table(file) for file in PARQUET}


def _hashes(folder: Path, runs: pl.DataFrame, published: Tables) -> list[str]:
    """Methods, data and versions are those that are here."""
    place, each, theirs = folder / RUNS.path, runs.unique("run", keep="first", maintain_order=True), published["runs"]
    found = []
    for (method,), part in each.group_by("method", maintain_order=True):
        here = read_method(method).sha256 if method in method_names() else "no such file"
        found += some(
            part.filter(pl.col("method_sha256") != here),
            lambda r, here=here: (
                f"{place}: {r['run']}: methods/{r['method']}.py was {short(r['method_sha256'])} there, and is {short(here)} here"
            ),
        )
    data = theirs.select("task", "dataset", pl.col("data_sha256").alias("here")).unique(["task", "dataset"])
    other = each.join(data, on=["task", "dataset"]).filter(pl.col("data_sha256") != pl.col("here"))
    found += some(
        other,
        lambda r: f"{place}: {r['run']}: the data {r['dataset']} were {short(r['data_sha256'])} there, and are {short(r['here'])} here",
    )
    torch = (theirs["torch"].first() if len(theirs) else version("torch")).split("+")[0]
    other = each.filter(pl.col("torch").str.split("+").list.first() != torch)
    found += some(other, lambda r: f"{place}: {r['run']}: was made by torch {r['torch']}, and runs here are by {torch}")
    unclean = each.filter(~pl.col("git_commit").fill_null("").str.contains(COMMIT))
    found += some(unclean, lambda r: f"{place}: {r['run']}: its commit is {r['git_commit'] or 'not recorded'}: {UNCLEAN}")
    return found


def _curves(folder: Path, tables: Tables, published: Tables) -> list[str]:
    """Every training shows its loss, and none is one that stands somewhere already."""
    runs, curves = tables["runs"], tables["curves"]
    trained = runs.filter((pl.col("metric") == "train_loss") & (pl.col("status") == "finished"))
    silent = trained.join(curves.filter(pl.col("metric") == "train_loss"), on="run", how="anti")
    found = some(silent, lambda r: f"{folder / CURVES.path}: {r['run']}: was trained, and shows no train_loss")
    known = runs.select("run").unique().join(published["runs"].select("run").unique(), on="run").sort("run")
    found += some(known, lambda r: f"{folder / RUNS.path}: {r['run']}: is published already; a contribution adds runs")
    mine = runs.select("run", "arm").unique()
    others = published["runs"].select("run", "arm").unique().join(mine, on="arm", how="semi").join(mine, on="run", how="anti")
    theirs = published["curves"].join(others, on="run", how="semi")
    both = copies(folder / CURVES.path, pl.concat([curves, theirs]), pl.concat([mine, others]))
    return found + [sentence for sentence in both if sentence not in copies(folder / CURVES.path, curves, mine)]


if __name__ == "__main__":
    sys.exit(main())
