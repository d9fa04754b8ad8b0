# `snakemake plan` prints what would run; `snakemake publish` puts a tier's results into results/<tier>/, and what follows looks at results.
import json

RESULTS = config.get("results", "results")


rule plan:
    params:
        config=json.dumps(config),
    shell:
        PYTHON + " normbench.planning.plan_report --config={params.config:q}"


rule publish:
    input:
        pipeline.unfinished(),
        pipeline.made("runs"),
        [pipeline.made(step) for step in STEPS],
    params:
        results=RESULTS,
    shell:
        PYTHON + " normbench.dataset.publish --root={pipeline.folders.root:q} --results={params.results:q}"


rule check_results:
    params:
        results=RESULTS,
    shell:
        PYTHON + " normbench.dataset.check_results --results={params.results:q}"


# snakemake compare --config old=results/laptop new=build/laptop
rule compare:
    params:
        old=config.get("old", f"results/{pipeline.folders.tier}"),
        new=config.get("new", pipeline.folders.root),
    shell:
        PYTHON + " normbench.dataset.compare --old={params.old:q} --new={params.new:q}"


# snakemake check_contribution --config folder=path/to/laptop (or a pack of records)
rule check_contribution:
    params:
        folder=config.get("folder", ""),
        results=RESULTS,
    shell:
        PYTHON + " normbench.dataset.check_contribution --folder={params.folder:q} --results={params.results:q}"


# The golden runs: does this machine, with these versions, compute what ours did?
rule golden:
    input:
        [str(pipeline.folders.ready(dataset, pipeline.data)) for dataset in golden_datasets()],
    shell:
        PYTHON + " normbench.execution.golden --data={pipeline.data:q}"


rule write_golden:
    input:
        [str(pipeline.folders.ready(dataset, pipeline.data)) for dataset in golden_datasets()],
    shell:
        PYTHON + " normbench.execution.golden --data={pipeline.data:q} --write"
