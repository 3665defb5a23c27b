"""How long a run will take, before it starts: `snakemake --cores 2 estimate_time`."""


rule estimate_time:
    log:
        "<logs>/estimate_time.log",
    localrule: True
    conda:
        "../../envs/screen.yaml"
    params:
        configuration=CONFIGURATION,
        configfiles=[str(path) for path in workflow.configfiles],
        given=list(workflow.config_settings.config_args),
        cores=lambda wildcards: workflow.cores,
        interpreter=OWN_INTERPRETER,
        source=source("estimate/estimate_time"),
    script:
        "../scripts/estimate/estimate_time.py"
