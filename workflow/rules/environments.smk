"""Environments of other people's tools, where Snakemake does not make them itself."""


rule make_environment:
    input:
        requirements=lambda wildcards: requirements_of(wildcards.environment),
    output:
        ready="environments/{environment}-{digest}/ready.json",
    log:
        "environments/{environment}-{digest}/make_environment.log",
    wildcard_constraints:
        environment="[a-z_]+",
        digest="[0-9a-f]+",
    localrule: True  # compute nodes often have no network
    conda:
        "../../envs/screen.yaml"
    params:
        python=INTERPRETER,
        known_to_work=lambda wildcards: python_of(wildcards.environment),
    script:
        "../scripts/environments/make_environment.py"
