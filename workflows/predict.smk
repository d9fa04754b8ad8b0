# `snakemake predict --config methods=my_norm` prints what untrained networks say of a method; `all` checks how right that is.


rule predict:
    params:
        methods=config.get("methods", ""),
    shell:
        PYTHON + " normbench.diagnostics.predict --task propagation --methods {params.methods:q}"


rule prediction:
    input:
        pipeline.made("runs"),
        pipeline.path("runs.parquet"),
    output:
        pipeline.made("prediction"),
        pipeline.path("prediction.csv"),
    priority: 2
    shell:
        PYTHON + " normbench.analysis.prediction --root={pipeline.folders.root:q} --output={output[1]:q} --done={output[0]:q}"
