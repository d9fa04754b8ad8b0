# Figures, MLflow and the page to read.
from normbench.reporting.page.packed import VEGA_LITE


rule figures:
    input:
        pipeline.made("claims"),
        pipeline.made("prediction"),
        pipeline.path("runs.parquet"),
        pipeline.path("claims.csv"),
        pipeline.path("prediction.csv"),
    output:
        pipeline.made("figures"),
    priority: 1
    shell:
        PYTHON + " normbench.reporting.figures --root={pipeline.folders.root:q} --done={output:q}"


rule mlflow:
    input:
        pipeline.made("runs"),
        pipeline.path("runs.parquet"),
    output:
        pipeline.tracked(),
    shell:
        PYTHON + " normbench.execution.mlflow_import --root={pipeline.folders.root:q} --tracking-uri={pipeline.tracking_uri:q} --done={output:q}"


# Of no run: it is put together when a core has nothing else to do.
rule plotting_library:
    output:
        str(pipeline.folders.build / "page" / f"vega-lite-{VEGA_LITE}.txt"),
    shell:
        PYTHON + " normbench.reporting.page.packed --output={output:q}"


rule report:
    input:
        [pipeline.made(step) for step in STEPS if step != "report"],
        pipeline.path("claims.csv"),
        pipeline.path("prediction.csv"),
        [folder / "claims.csv" for folder in other_tiers(pipeline.folders.root)],
        library=rules.plotting_library.output[0],
    output:
        pipeline.made("report"),
        pipeline.path("report.html"),
    shell:
        PYTHON + " normbench.reporting.report --root={pipeline.folders.root:q} --output={output[1]:q} --done={output[0]:q} --library={input.library:q}"
