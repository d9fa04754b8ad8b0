# Figures, MLflow and the page to read.


rule figures:
    input:
        line.path("runs.parquet"),
        line.path("claims.csv"),
        line.path("prediction.csv"),
    output:
        touch(line.path("figures.done")),
    shell:
        PYTHON + " normbench.figures --root {line.folders.root}"


rule mlflow:
    input:
        line.path("runs.parquet"),
    output:
        line.path("mlflow.done"),
    shell:
        PYTHON + " normbench.tracking --root {line.folders.root} --tracking-uri {line.tracking_uri} --done {output}"


rule report:
    input:
        line.path("claims.csv"),
        line.path("tables.done"),
        line.path("figures.done"),
        line.path("prediction.csv"),
        [folder / "claims.csv" for folder in other_tiers(line.folders.root)],
    output:
        line.path("report.html"),
    shell:
        PYTHON + " normbench.report --root {line.folders.root} --output {output}"
