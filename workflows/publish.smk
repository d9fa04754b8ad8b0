# `snakemake plan` prints what would run; `snakemake publish` puts a tier's results into results/<tier>/, and what follows looks at results.
RESULTS = config.get("results", "results")


rule plan:
    shell:
        PYTHON + " normbench.planning.plan_report --root {line.folders.root}"


rule publish:
    input:
        line.path("claims.csv"),
        line.path("tables.done"),
        line.path("figures.done"),
        line.path("report.html"),
        line.path("prediction.csv"),
    params:
        results=RESULTS,
    shell:
        PYTHON + " normbench.dataset.publish --root {line.folders.root} --results {params.results:q}"


rule check_results:
    params:
        results=RESULTS,
    shell:
        PYTHON + " normbench.dataset.check_results --results {params.results:q}"


# snakemake compare --config old=results/laptop new=build/laptop
rule compare:
    params:
        old=config.get("old", f"results/{line.folders.tier}"),
        new=config.get("new", line.folders.root),
    shell:
        PYTHON + " normbench.dataset.compare --old {params.old:q} --new {params.new:q}"


# snakemake check_contribution --config folder=path/to/laptop
rule check_contribution:
    params:
        folder=config.get("folder", ""),
        results=RESULTS,
    shell:
        PYTHON + " normbench.dataset.check_contribution --folder {params.folder:q} --results {params.results:q}"


# The golden runs: does this machine, with these versions, compute what ours did?
rule golden:
    input:
        [str(line.folders.ready(dataset)) for dataset in golden_datasets()],
    shell:
        PYTHON + " normbench.execution.golden --data {line.data}"


rule write_golden:
    input:
        [str(line.folders.ready(dataset)) for dataset in golden_datasets()],
    shell:
        PYTHON + " normbench.execution.golden --data {line.data} --write"
