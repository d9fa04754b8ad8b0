# Figures, MLflow and the page to read.
from normbench.reporting.page.packed import VEGA_LITE


rule figures:
    input:
        pipeline.path("runs.parquet"),
        pipeline.path("claims.csv"),
        pipeline.path("prediction.csv"),
    output:
        touch(pipeline.path("figures.done")),
    priority: 1
    shell:
        PYTHON + " normbench.reporting.figures --root {pipeline.folders.root}"


rule mlflow:
    input:
        pipeline.path("runs.parquet"),
    output:
        pipeline.tracked(),
    shell:
        PYTHON + " normbench.execution.mlflow_import --root {pipeline.folders.root:q} --tracking-uri {pipeline.tracking_uri:q} --done {output:q}"


# Of no run: it is put together when a core has nothing else to do.
rule plotting_library:
    output:
        str(pipeline.folders.build / "page" / f"vega-lite-{VEGA_LITE}.txt"),
    shell:
        PYTHON + " normbench.reporting.page.packed --output {output}"


rule report:
    input:
        pipeline.path("claims.csv"),
        pipeline.path("tables.done"),
        pipeline.path("figures.done"),
        pipeline.path("prediction.csv"),
        [folder / "claims.csv" for folder in other_tiers(pipeline.folders.root)],
        library=rules.plotting_library.output[0],
    output:
        pipeline.path("report.html"),
    shell:
        PYTHON + " normbench.reporting.report --root {pipeline.folders.root} --output {output} --library {input.library}"
