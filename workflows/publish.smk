# `snakemake plan` prints what would run; `snakemake publish` copies a tier's results to results/<tier>/.


rule plan:
    shell:
        PYTHON + " normbench.plan_report --root {line.folders.root}"


rule publish:
    input:
        line.path("claims.csv"),
        line.path("tables.done"),
        line.path("figures.done"),
        line.path("report.html"),
    shell:
        PYTHON + " normbench.publish --root {line.folders.root} --results results"
