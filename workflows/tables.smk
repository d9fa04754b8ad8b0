# Verdicts and tables: from the collected runs.
from normbench.config.papers import paper_inputs


rule claims:
    input:
        line.path("runs.parquet"),
        line.path("plan.json"),
        paper_inputs(line.plan.papers),
    output:
        line.path("claims.csv"),
    priority: 2  # figures and the page wait for it, and nothing for MLflow
    shell:
        PYTHON + " normbench.analysis.ledger --root {line.folders.root}"


rule tables:
    input:
        line.path("runs.parquet"),
        line.path("claims.csv"),
        line.path("plan.json"),
        paper_inputs(line.plan.papers),
    output:
        touch(line.path("tables.done")),
    priority: 2
    shell:
        PYTHON + " normbench.reporting.tables --root {line.folders.root}"
