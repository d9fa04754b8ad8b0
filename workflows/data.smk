# Datasets: the embedded ones are made, the user's are checked, before anything trains.
PYTHON = f"{sys.executable} -m"


rule data:
    output:
        str(line.folders.ready("{dataset}")),
    priority: 1_000_000
    shell:
        PYTHON + " normbench.execution.prepare --data {line.data} --dataset {wildcards.dataset} --ready {output}"
