# Verdicts and tables: from the collected runs.


rule claims:
    input:
        pipeline.made("runs"),
        pipeline.path("runs.parquet"),
        pipeline.files(),
    output:
        pipeline.made("claims"),
        pipeline.path("claims.csv"),
    priority: 2  # figures and the page wait for it, and nothing for MLflow
    shell:
        PYTHON + " normbench.analysis.ledger --root={pipeline.folders.root:q} --done={output[0]:q}"


rule tables:
    input:
        pipeline.made("claims"),
        pipeline.path("runs.parquet"),
        pipeline.path("claims.csv"),
        pipeline.files(),
    output:
        pipeline.made("tables"),
    priority: 2
    shell:
        PYTHON + " normbench.reporting.tables --root={pipeline.folders.root:q} --done={output[0]:q}"
