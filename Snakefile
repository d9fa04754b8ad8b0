# NormBench: from papers and methods to verdicts.   snakemake all [--config tier=laptop papers=skipinit methods=my_norm]
import sys

sys.path.insert(0, workflow.basedir)
from snakemake.exceptions import WorkflowError

from normbench.core.errors import InputError
from normbench.execution.golden_files import golden_datasets
from normbench.planning.line import open_line, other_tiers
from normbench.execution.progress import start_display
from normbench.reporting.summary import summary

# --cores without an executor of a cluster's: the jobs run here, side by side. Inside a cluster's job this file is read again, which says nothing.
held = workflow.resource_settings
HERE = held.cores if held.nodes is None and workflow.is_main_process else None

try:
    line = open_line(config, main=workflow.is_main_process, processes=HERE)
except InputError as error:
    raise WorkflowError(str(error))

include: "workflows/data.smk"
include: "workflows/runs.smk"
include: "workflows/tables.smk"
include: "workflows/predict.smk"
include: "workflows/report.smk"
include: "workflows/publish.smk"


# Only training is worth a place in a cluster's queue.
localrules: data, check, runs, claims, tables, prediction, figures, mlflow, plotting_library, report, plan, predict, publish, check_results, compare, check_contribution, golden, write_golden, all


rule all:
    default_target: True
    input:
        line.path("claims.csv"),
        line.path("tables.done"),
        line.path("figures.done"),
        line.path("mlflow.done"),
        line.path("report.html"),


onstart:
    start_display(line)


onsuccess:
    asked = set(workflow.dag_settings.targets)
    if (not asked or "all" in asked) and (line.folders.root / "claims.csv").is_file():
        print(summary(line.folders.root))


onerror:
    # What only looks has said what is wrong; there is nothing to go on from.
    if not set(workflow.dag_settings.targets) & {"check_results", "compare", "check_contribution", "golden"}:
        print("normbench: something failed, see above; what is done is kept, and the same command goes on from there", file=sys.stderr)
