# Datasets: the embedded ones are made, the user's are checked, before anything trains.
import shlex

PYTHON = shlex.quote(sys.executable).replace("{", "{{").replace("}", "}}") + " -m"


rule data:
    output:
        str(pipeline.folders.build / "ready" / "{place}" / "{dataset}.json"),
    priority: 1_000_000
    shell:
        PYTHON + " normbench.execution.prepare --data={pipeline.data:q} --dataset {wildcards.dataset} --ready={output:q}"
