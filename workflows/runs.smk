# Runs: every arm is built once to find mistakes, then jobs train what is not done yet.
from normbench.planning.cluster import launcher

# glibc would hand every large tensor's memory back to the system and ask for it again at the next operation: 4% of a deep network's time.
MALLOC = "MALLOC_MMAP_THRESHOLD_=1073741824 MALLOC_TRIM_THRESHOLD_=1073741824 MALLOC_TOP_PAD_=67108864"


rule check:
    input:
        line.path("plan.json"),
    output:
        line.path("checked.json"),
    priority: 1_000_000  # all trainings wait for it
    shell:
        PYTHON + " normbench.planning.check --root {line.folders.root} --output {output}"


def waits_for(wildcards):
    """Arms that use the weight norms of others come after the jobs that train those."""
    arms = line.jobs.get(wildcards.job, [])
    sources = {line.plan.arms[arm].source for arm in arms} - {None}
    return sources and [line.path("jobs", f"{job}.done") for job, others in line.jobs.items() if sources & set(others) and job != wildcards.job]


def datasets_of(wildcards):
    """None inside a cluster's job, where other jobs may be left than when it was sent: they were ready before it was."""
    return sorted({str(line.folders.ready(line.plan.arms[arm].dataset)) for arm in line.jobs.get(wildcards.job, [])})


rule train:
    input:
        line.path("jobs", "{job}.json"),
        waits_for,
        checked=line.path("checked.json"),
        data=datasets_of,
    output:
        line.path("jobs", "{job}.done"),
    log:
        line.path("logs", "{job}.log"),
    threads: 1
    # Long jobs first, so that the last ones are short and all cores finish together.
    priority: lambda wildcards: line.priority(wildcards.job)
    resources:
        gpu=lambda wildcards: line.allocation(wildcards.job).gpus,
        nodes=lambda wildcards: line.allocation(wildcards.job).nodes,
        cpus_per_gpu=lambda wildcards: line.allocation(wildcards.job).cpus,
        mem_mb=lambda wildcards: line.allocation(wildcards.job).mem_mb,
        runtime=lambda wildcards, attempt: line.allocation(wildcards.job).runtime(attempt),
    params:
        launcher=lambda wildcards: launcher(line.allocation(wildcards.job)),
        share="--share" if HERE else "",
    shell:
        # A scheduler's signal is for the training; what it says last still has to be written.
        MALLOC + " OMP_NUM_THREADS={threads} {params.launcher} normbench.execution.job --root {line.folders.root} --data {line.data} --job {wildcards.job} {params.share} 2>&1"
        " | (trap '' TERM USR1; exec tee {log})"


rule runs:
    input:
        line.path("plan.json"),
        [line.path("jobs", f"{job}.done") for job in line.jobs],
    output:
        line.path("runs.parquet"),
        line.path("curves.parquet"),
        line.path("probes.parquet"),
        line.path("speed.csv"),
    shell:
        PYTHON + " normbench.execution.collect --root {line.folders.root}"
