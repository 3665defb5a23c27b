"""Predictions against held-out cells: metrics per fold, tables and figures over all folds."""


rule test_differential_expression:
    input:
        train="<results>/folds/{fold}/train.h5ad",
        test="<results>/folds/{fold}/test.h5ad",
    output:
        table="<results>/folds/{fold}/test_de.tsv",
    log:
        "<logs>/{fold}/test_differential_expression.log",
    conda:
        "../../envs/analysis.yaml"
    params:
        source=source("benchmark/test_differential_expression"),
    script:
        "../scripts/benchmark/test_differential_expression.py"


rule compute_metrics:
    input:
        train="<results>/folds/{fold}/train.h5ad",
        test="<results>/folds/{fold}/test.h5ad",
        prediction="<results>/folds/{fold}/predictions/{method}.h5ad",
        differential_expression="<results>/folds/{fold}/test_de.tsv",
    output:
        metrics_table="<results>/folds/{fold}/metrics/{method}.tsv",
    log:
        "<logs>/{fold}/compute_metrics_{method}.log",
    benchmark:
        "<benchmarks>/{fold}/compute_metrics_{method}.tsv"
    conda:
        "../../envs/core.yaml"
    params:
        **settings("evaluation", leave_out=("check_cells",)),
        method="{method}",
        fold="{fold}",
        seed=lambda wildcards: derive_seed(CFG.seed, CFG.run, wildcards.fold, "metrics"),
        threads=1,
        source=source("benchmark/compute_metrics"),
    script:
        "../scripts/benchmark/compute_metrics.py"


rule aggregate_metrics:
    input:
        tables=expand("<results>/folds/{fold}/metrics/{method}.tsv", fold=FOLDS, method=METHODS),
    output:
        metrics="<results>/benchmark/metrics.tsv",
        summary="<results>/benchmark/summary.tsv",
        win_rates="<results>/benchmark/win_rates.tsv",
    log:
        "<logs>/aggregate_metrics.log",
    localrule: True
    conda:
        "../../envs/core.yaml"
    params:
        source=source("benchmark/aggregate_metrics"),
    script:
        "../scripts/benchmark/aggregate_metrics.py"
