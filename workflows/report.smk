# Figures, MLflow and the page to read.
from normbench.reporting.page.packed import VEGA_LITE


rule figures:
    input:
        line.path("runs.parquet"),
        line.path("claims.csv"),
        line.path("prediction.csv"),
    output:
        touch(line.path("figures.done")),
    priority: 1
    shell:
        PYTHON + " normbench.reporting.figures --root {line.folders.root}"


rule mlflow:
    input:
        line.path("runs.parquet"),
    output:
        line.path("mlflow.done"),
    shell:
        PYTHON + " normbench.execution.mlflow_import --root {line.folders.root} --tracking-uri {line.tracking_uri} --done {output}"


# Of no run: it is put together when a core has nothing else to do.
rule plotting_library:
    output:
        str(line.folders.build / "page" / f"vega-lite-{VEGA_LITE}.txt"),
    shell:
        PYTHON + " normbench.reporting.page.packed --output {output}"


rule report:
    input:
        line.path("claims.csv"),
        line.path("tables.done"),
        line.path("figures.done"),
        line.path("prediction.csv"),
        [folder / "claims.csv" for folder in other_tiers(line.folders.root)],
        library=rules.plotting_library.output[0],
    output:
        line.path("report.html"),
    shell:
        PYTHON + " normbench.reporting.report --root {line.folders.root} --output {output} --library {input.library}"
