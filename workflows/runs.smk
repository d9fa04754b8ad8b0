# Runs: every arm is built once to find mistakes, then jobs train what is not done yet.
from normbench.planning.cluster import launcher

# glibc would hand every large tensor's memory back to the system and ask for it again at the next operation: 4% of a deep network's time.
MALLOC = "MALLOC_MMAP_THRESHOLD_=1073741824 MALLOC_TRIM_THRESHOLD_=1073741824 MALLOC_TOP_PAD_=67108864"


rule check:
    output:
        pipeline.path("checked", "{plan}.json"),
    params:
        methods=config.get("methods", ""),
    priority: 1_000_000  # all trainings wait for it
    shell:
        PYTHON + " normbench.planning.check --root={pipeline.folders.root:q} --output={output:q} --methods {params.methods:q}"


rule train:
    input:
        pipeline.checked(),
        lambda wildcards: pipeline.jobs_before(wildcards.job),
        lambda wildcards: pipeline.datasets_of(wildcards.job),
    output:
        pipeline.path("jobs", "{job}.done"),
    log:
        pipeline.path("logs", "{job}.log"),
    threads: 1
    # Long jobs first, so that the last ones are short and all cores finish together.
    priority: lambda wildcards: pipeline.priority(wildcards.job)
    resources:
        gpu=lambda wildcards: pipeline.allocation(wildcards.job).gpus,
        nodes=lambda wildcards: pipeline.allocation(wildcards.job).nodes,
        cpus_per_gpu=lambda wildcards: pipeline.allocation(wildcards.job).cpus,
        mem_mb=lambda wildcards: pipeline.allocation(wildcards.job).mem_mb,
        runtime=lambda wildcards, attempt: pipeline.allocation(wildcards.job).runtime(attempt),
    params:
        launcher=lambda wildcards: launcher(pipeline.allocation(wildcards.job)),
        share="--share" if HERE else "",
    shell:
        # A scheduler's signal is for the training; what it says last still has to be written.
        MALLOC + " OMP_NUM_THREADS={threads} {params.launcher} normbench.execution.job --root={pipeline.folders.root:q} --data={pipeline.data:q} --job {wildcards.job} {params.share} 2>&1"
        " | (trap '' TERM USR1; exec tee -- {log:q})"


rule runs:
    input:
        pipeline.unfinished(),
    output:
        pipeline.made("runs"),
        pipeline.path("runs.parquet"),
        pipeline.path("curves.parquet"),
        pipeline.path("probes.parquet"),
        pipeline.path("speed.csv"),
        pipeline.path("unfinished.csv"),
    shell:
        PYTHON + " normbench.execution.collect --root={pipeline.folders.root:q} --plan {pipeline.id} --done={output[0]:q}"
