"""Predictions against held-out cells: metrics per fold, tables over all folds."""


rule compute_metrics:
    input:
        train="<results>/folds/{fold}/data/train.h5ad",
        test="<results>/folds/{fold}/data/test.h5ad",
        test_perturbations="<results>/folds/{fold}/data/test_perturbations.txt",
        test_differential_expression="<results>/folds/{fold}/data/test_differential_expression.tsv",
        prediction=lambda wildcards: prediction_of(**wildcards),
    output:
        metrics_table="<results>/folds/{fold}/{method}/{variant}/metrics.tsv",
    log:
        "<logs>/folds/{fold}/{method}/{variant}/compute_metrics.log",
    benchmark:
        "<benchmarks>/folds/{fold}/{method}/{variant}/compute_metrics.tsv"
    conda:
        "../../envs/core.yaml"
    params:
        metrics=CFG.evaluation.metrics,
        top_genes=CFG.evaluation.top_genes,
        components=CFG.evaluation.components,
        cells=CFG.evaluation.cells,
        splits=CFG.evaluation.splits,
        max_cells=CFG.evaluation.max_cells,
        values=lambda wildcards: getattr(PLAN.own_prediction(wildcards.method), "values", None),
        method=lambda wildcards: str(Fit(wildcards.method, Variant.parse(wildcards.variant))),
        fold="{fold}",
        # the same for all methods, which are then compared with the same cells
        seed=lambda wildcards: derive_seed(
            CFG.seed, run=CFG.run, fold=wildcards.fold, purpose="metrics"
        ),
        threads=1,
        source=source("benchmark/compute_metrics"),
    script:
        "../scripts/benchmark/compute_metrics.py"


rule aggregate_metrics:
    input:
        tables=[metrics_of(fold, fit) for fold in FOLDS for fit in PLAN.benchmark],
    output:
        metrics="<results>/benchmark/metrics.tsv",
        summary="<results>/benchmark/summary.tsv",
        win_rates="<results>/benchmark/win_rates.tsv",
        calibration="<results>/benchmark/calibration.tsv",
    log:
        "<logs>/aggregate_metrics.log",
    localrule: True
    conda:
        "../../envs/core.yaml"
    params:
        folds=FOLDS,
        reference=PLAN.reference if "benchmark" in CFG.analyses else None,
        duplicates=PLAN.named("interpolated_duplicate", "ceiling"),
        negatives=PLAN.named("perturbed_mean", "control"),
        bootstrap=CFG.evaluation.bootstrap,
        seed=derive_seed(CFG.seed, run=CFG.run, purpose="bootstrap"),
        source=source("benchmark/aggregate_metrics"),
    script:
        "../scripts/benchmark/aggregate_metrics.py"
