"""What the jobs of a run need, beside what the cluster has."""


rule check_cluster:
    log:
        "<logs>/check_cluster.log",
    localrule: True
    conda:
        "../../envs/screen.yaml"
    params:
        needs=needs_of_rules,
        source=source("cluster/check_cluster"),
    script:
        "../scripts/cluster/check_cluster.py"
