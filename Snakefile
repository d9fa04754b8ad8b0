# NormBench: from papers and methods to verdicts.   snakemake all [--config tier=laptop papers=skipinit methods=my_norm]
import sys

sys.path.insert(0, workflow.basedir)
from snakemake.exceptions import WorkflowError

from normbench.core.errors import InputError
from normbench.execution.golden_files import golden_datasets
from normbench.execution.progress import start_display
from normbench.planning.lock import hold
from normbench.planning.pipeline import open_pipeline, other_tiers, prepare
from normbench.reporting.summary import summary

# --cores without an executor of a cluster's: the jobs run here, side by side. Inside a cluster's job this file is read again, which says nothing.
held = workflow.resource_settings
HERE = held.cores if held.nodes is None and workflow.is_main_process else None

# Reading this file changes no file: a dry run, `snakemake plan` or a second `snakemake all` leave a running build alone.
try:
    pipeline = open_pipeline(config, main=workflow.is_main_process, processes=HERE)
except InputError as error:
    raise WorkflowError(str(error))

# What only looks at papers, methods, records or results, and makes nothing of a build.
LOOKS = {"plan", "pack", "predict", "check_results", "compare", "check_contribution", "golden", "write_golden"}


def asked() -> set[str]:
    """The targets on the command line; known once this file has been read."""
    return set(workflow.dag_settings.targets)



include: "workflows/data.smk"
include: "workflows/runs.smk"
include: "workflows/tables.smk"
include: "workflows/predict.smk"
include: "workflows/report.smk"
include: "workflows/publish.smk"
include: "workflows/pack.smk"


# Only training is worth a place in a cluster's queue.
localrules: data, check, runs, claims, tables, prediction, figures, mlflow, plotting_library, report, plan, pack, taken_up, predict, publish, check_results, compare, check_contribution, golden, write_golden, all


rule all:
    default_target: True
    input:
        pipeline.unfinished(),
        pipeline.path("claims.csv"),
        pipeline.path("tables.done"),
        pipeline.path("figures.done"),
        pipeline.tracked(),
        pipeline.path("report.html"),
        pipeline.collected(),


# Before the first job, and for one command at a time.
onstart:
    if workflow.is_main_process and not (asked() and asked() <= LOOKS):
        from normbench.dataset.take_up import take_up

        try:
            hold(pipeline.folders.root)
            take_up(pipeline)
        except InputError as error:
            raise WorkflowError(str(error))
        prepare(pipeline)
        start_display(pipeline)


onsuccess:
    if (not asked() or "all" in asked()) and (pipeline.folders.root / "claims.csv").is_file():
        print(summary(pipeline.folders.root))


onerror:
    # What only looks has said what is wrong; there is nothing to go on from.
    if not asked() & LOOKS:
        print("normbench: something failed, see above; what is done is kept, and the same command goes on from there", file=sys.stderr)
