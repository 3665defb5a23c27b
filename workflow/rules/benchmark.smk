"""Predictions that take no time, metrics per fold, tables over all folds."""

if QUICK_FITS:

    rule predict_quickly:
        input:
            files=files_of_quick_methods,
        output:
            predictions=[
                f"<results>/folds/{{fold}}/{fit.method}/{fit.variant}/prediction.h5ad"
                for fit in QUICK_FITS
            ],
        log:
            "<logs>/folds/{fold}/predict_quickly.log",
        benchmark:
            "<benchmarks>/folds/{fold}/predict_quickly.tsv"
        wildcard_constraints:
            fold="|".join(FOLDS),
        conda:
            "../../envs/core.yaml"
        params:
            programs=quick_programs,
            code=codes_of(fit.method for fit in QUICK_FITS),
            source=source("benchmark/predict_quickly"),
        script:
            "../scripts/benchmark/predict_quickly.py"


rule compute_metrics:
    input:
        train="<results>/folds/{fold}/data/train.h5ad",
        test="<results>/folds/{fold}/data/test.h5ad",
        test_perturbations="<results>/folds/{fold}/data/test_perturbations.txt",
        test_differential_expression="<results>/folds/{fold}/data/test_differential_expression.tsv",
        predictions=lambda wildcards: [
            prediction_of(wildcards.fold, *fit) for fit in PLAN.benchmark
        ],
    output:
        metrics_tables=[metrics_of("{fold}", fit) for fit in PLAN.benchmark],
    log:
        "<logs>/folds/{fold}/compute_metrics.log",
    benchmark:
        "<benchmarks>/folds/{fold}/compute_metrics.tsv"
    wildcard_constraints:
        fold="|".join(FOLDS),
    conda:
        "../../envs/core.yaml"
    params:
        **metrics_params(),
        methods=[str(fit) for fit in PLAN.benchmark],
        values=[values_of(fit.method) for fit in PLAN.benchmark],
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
        no_methods=PLAN.references,
        duplicates=PLAN.named("interpolated_duplicate", "ceiling"),
        negatives=PLAN.named("perturbed_mean", "control"),
        bootstrap=CFG.evaluation.bootstrap,
        seed=derive_seed(CFG.seed, run=CFG.run, purpose="bootstrap"),
        source=source("benchmark/aggregate_metrics"),
    script:
        "../scripts/benchmark/aggregate_metrics.py"
