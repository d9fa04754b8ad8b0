# NormBench: from papers and methods to verdicts.   snakemake all [--config tier=laptop papers=skipinit methods=my_norm]
import json
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, workflow.basedir)
# Of rules' commands too, wherever they are called in (--directory); a colon would separate folders there.
if ":" not in workflow.basedir:
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [workflow.basedir, os.environ.get("PYTHONPATH")]))
from snakemake.exceptions import WorkflowError

from normbench.core.errors import InputError
from normbench.execution.golden_files import golden_datasets
from normbench.execution.interruption import listen, told_to_stop
from normbench.execution.mlflow_watch import start_watcher
from normbench.execution.progress import start_display
from normbench.planning.lock import hold, release
from normbench.planning.pipeline import STEPS, open_pipeline, other_tiers, prepare
from normbench.planning.places import check_places
from normbench.planning.settings import read_settings
from normbench.reporting.summary import summary

# --cores without an executor of a cluster's: the jobs run here, side by side. Inside a cluster's job this file is read again, which says nothing.
held = workflow.resource_settings
HERE = held.cores if held.nodes is None and workflow.is_main_process else None

# Reading this file changes no file: a dry run, `snakemake plan` or a second `snakemake all` leave a running build alone.
try:
    check_places(Path.cwd())
    config.update(read_settings(config, workflow.config_settings.config_args))
    pipeline = open_pipeline(config, main=workflow.is_main_process, processes=HERE)
except InputError as error:
    raise WorkflowError(str(error))

# What only looks at papers, methods, records, results or a build, and changes nothing of one.
LOOKS = {"plan", "pack", "so_far", "predict", "check_results", "compare", "check_contribution", "golden", "write_golden"}


def asked() -> set[str]:
    """The targets on the command line; known once this file has been read."""
    return set(workflow.dag_settings.targets)



include: "workflows/data.smk"
include: "workflows/runs.smk"
include: "workflows/tables.smk"
include: "workflows/predict.smk"
include: "workflows/report.smk"
include: "workflows/publish.smk"
include: "workflows/so_far.smk"
include: "workflows/pack.smk"


# Only training is worth a place in a cluster's queue.
localrules: data, check, runs, claims, tables, prediction, figures, mlflow, plotting_library, report, plan, predict, publish, check_results, compare, check_contribution, golden, write_golden, pack, taken_up, so_far, all


rule all:
    default_target: True
    input:
        pipeline.unfinished(),
        [pipeline.made(step) for step in STEPS],
        [pipeline.path(name) for name in ("claims.csv", "prediction.csv", "report.html")],
        pipeline.made("runs"),
        pipeline.tracked(),


# Before the first job, and for one command at a time.
onstart:
    if workflow.is_main_process and not (asked() and asked() <= LOOKS):
        from normbench.dataset.take_up import take_up

        try:
            hold(pipeline.folders.root)
            take_up(pipeline)
        except InputError as error:
            raise WorkflowError(str(error))
        for name in pipeline.altered():
            print(f"{pipeline.folders.root / name}: is not as it was made (edited, cut or removed); it is made again", file=sys.stderr)
        prepare(pipeline)
        listen()
        start_display(pipeline)
        start_watcher(pipeline, HERE)


onsuccess:
    release()
    if (not asked() or "all" in asked()) and (pipeline.folders.root / "claims.csv").is_file():
        print(summary(pipeline.folders.root))


onerror:
    # What only looks has said what is wrong. Otherwise verdicts and page are made of what there is, unless this was told to stop.
    if not asked() & LOOKS:
        what = "told to stop" if told_to_stop() else "something failed, see above"
        print(f"normbench: {what}; what is done is kept, and the same command goes on from there", file=sys.stderr)
        if (not asked() or "all" in asked()) and not told_to_stop():
            subprocess.run([sys.executable, "-m", "normbench.reporting.so_far", f"--config={json.dumps(config)}", "--ended"])
    release()
