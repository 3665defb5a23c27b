"""Evaluators made elsewhere, run on exported cells; their scores beside ours."""


rule export_cells:
    input:
        train="<results>/folds/{fold}/data/train.h5ad",
        test="<results>/folds/{fold}/data/test.h5ad",
        test_perturbations="<results>/folds/{fold}/data/test_perturbations.txt",
        prediction=lambda wildcards: prediction_of(**wildcards),
    output:
        observed_cells="<results>/external/{fold}/{method}/{variant}/observed.h5ad",
        predicted_cells="<results>/external/{fold}/{method}/{variant}/predicted.h5ad",
    log:
        "<logs>/external/{fold}/{method}/{variant}/export_cells.log",
    conda:
        "../../envs/core.yaml"
    params:
        values=lambda wildcards: values_of(wildcards.method),
        source=source("external/export_cells"),
    script:
        "../scripts/external/export_cells.py"


rule cell_eval:
    input:
        observed_cells=rules.export_cells.output.observed_cells,
        predicted_cells=rules.export_cells.output.predicted_cells,
        environment=environment_of("cell_eval"),
    output:
        scores="<results>/external/{fold}/{method}/{variant}/cell_eval.csv",
    log:
        "<logs>/external/{fold}/{method}/{variant}/cell_eval.log",
    conda:
        "../../envs/cell_eval.yaml"
    params:
        source=source("external/run_cell_eval"),
    script:
        "../scripts/external/run_cell_eval.py"


rule scperteval:
    input:
        observed_cells=rules.export_cells.output.observed_cells,
        predicted_cells=rules.export_cells.output.predicted_cells,
        environment=environment_of("scperteval"),
    output:
        scores="<results>/external/{fold}/{method}/{variant}/scperteval.csv",
    log:
        "<logs>/external/{fold}/{method}/{variant}/scperteval.log",
    conda:
        "../../envs/scperteval.yaml"
    params:
        source=source("external/run_scperteval"),
    script:
        "../scripts/external/run_scperteval.py"


rule compare_scores:
    input:
        observed_cells=external_files("observed.h5ad"),
        predicted_cells=external_files("predicted.h5ad"),
        scores=external_files("{evaluator}.csv"),
    output:
        agreement="<results>/external/agreement.tsv",
    log:
        "<logs>/external/compare_scores.log",
    conda:
        "../../envs/core.yaml"
    params:
        evaluators=[evaluator for evaluator, _, _ in EXTERNAL],
        methods=[str(fit) for _, fit, _ in EXTERNAL],
        folds=[fold for _, _, fold in EXTERNAL],
        source=source("external/compare_scores"),
    script:
        "../scripts/external/compare_scores.py"
