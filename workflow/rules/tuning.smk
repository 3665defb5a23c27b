"""Choosing settings of methods on combinations held out for that alone."""


rule compute_tuning_metrics:
    input:
        train=f"<results>/folds/{TUNING}/data/train.h5ad",
        test=f"<results>/folds/{TUNING}/data/test.h5ad",
        test_perturbations=f"<results>/folds/{TUNING}/data/test_perturbations.txt",
        test_differential_expression=f"<results>/folds/{TUNING}/data/test_differential_expression.tsv",
        predictions=lambda wildcards: [prediction_of(TUNING, **wildcards)],
    output:
        metrics_tables=[f"<results>/folds/{TUNING}/{{method}}/{{variant}}/metrics.tsv"],
    log:
        f"<logs>/folds/{TUNING}/{{method}}/{{variant}}/compute_metrics.log",
    benchmark:
        f"<benchmarks>/folds/{TUNING}/{{method}}/{{variant}}/compute_metrics.tsv"
    priority: BEFORE_FITS
    conda:
        "../../envs/core.yaml"
    params:
        **metrics_params(),
        methods=lambda wildcards: [str(Fit(wildcards.method, Variant.parse(wildcards.variant)))],
        values=lambda wildcards: [values_of(wildcards.method)],
    script:
        "../scripts/benchmark/compute_metrics.py"


rule choose_settings:
    input:
        metrics_tables=grid_metrics,
    output:
        ranking="<results>/tuning/{method}.tsv",
        winner="<results>/tuning/{method}.json",
    log:
        "<logs>/tuning/choose_settings_{method}.log",
    priority: BEFORE_FITS
    localrule: True
    conda:
        "../../envs/core.yaml"
    params:
        points=lambda wildcards: PLAN.grid(PLAN.methods[wildcards.method]),
        values=grid_settings,
        metric=CFG.tuning.metric,
        method="{method}",
        source=source("tuning/choose_settings"),
    script:
        "../scripts/tuning/choose_settings.py"


rule write_tuned_settings:
    input:
        winner="<results>/tuning/{method}.json",
    output:
        settings=f"<results>/settings/{{method}}/{TUNED}/{{program}}.json",
    log:
        f"<logs>/settings/{{method}}/{TUNED}/{{program}}.log",
    wildcard_constraints:
        program="[a-z_]+",
    priority: BEFORE_FITS
    localrule: True
    conda:
        "../../envs/screen.yaml"
    params:
        sections=lambda wildcards: PLAN.methods[wildcards.method]
        .program(wildcards.program)
        .settings,
        source=source("tuning/write_tuned_settings"),
    script:
        "../scripts/tuning/write_tuned_settings.py"


rule collect_winners:
    input:
        rankings=expand("<results>/tuning/{method}.tsv", method=PLAN.tuned),
    output:
        winners="<results>/tuning/winners.tsv",
    log:
        "<logs>/tuning/collect_winners.log",
    localrule: True
    conda:
        "../../envs/core.yaml"
    params:
        source=source("tuning/collect_winners"),
    script:
        "../scripts/tuning/collect_winners.py"
