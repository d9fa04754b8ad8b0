# Verdicts and tables: from the collected runs.


rule claims:
    input:
        pipeline.path("runs.parquet"),
        pipeline.files(),
    output:
        pipeline.path("claims.csv"),
    priority: 2  # figures and the page wait for it, and nothing for MLflow
    shell:
        PYTHON + " normbench.analysis.ledger --root={pipeline.folders.root:q}"


rule tables:
    input:
        pipeline.path("runs.parquet"),
        pipeline.path("claims.csv"),
        pipeline.files(),
    output:
        touch(pipeline.path("tables.done")),
    priority: 2
    shell:
        PYTHON + " normbench.reporting.tables --root={pipeline.folders.root:q}"
