# Datasets: the embedded ones are made, the user's are checked, before anything trains.
PYTHON = f"{sys.executable} -m"


rule data:
    output:
        str(pipeline.folders.build / "ready" / "{place}" / "{dataset}.json"),
    priority: 1_000_000
    shell:
        PYTHON + " normbench.execution.prepare --data {pipeline.data} --dataset {wildcards.dataset} --ready {output}"
