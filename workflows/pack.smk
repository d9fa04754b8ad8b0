# `snakemake pack` puts a build's finished records into one file; `snakemake all --config pack=<file>` takes such files up elsewhere.


# Reads a build, also one that another command holds, and is no output of it.
rule pack:
    params:
        config=json.dumps(config),
    shell:
        PYTHON + " normbench.dataset.pack --config={params.config:q}"


# The records are written before the first job; this says so to what is made of records.
rule taken_up:
    output:
        touch(pipeline.path("taken_up", "{runs}.done")),
    priority: 1_000_000
