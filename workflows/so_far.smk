# `snakemake so_far` makes everything out of the arms that are complete, into build/<tier>/so_far/, also beside a running `snakemake all`.
import json


rule so_far:
    params:
        config=json.dumps(config),
    shell:
        PYTHON + " normbench.reporting.so_far --config={params.config:q}"
