"""Splits, and per fold the genes and the training and held-out cells."""


rule make_folds:
    input:
        conditions="<results>/screen/conditions.tsv",
    output:
        folds="<results>/folds/folds.tsv",
    log:
        "<logs>/make_folds.log",
    priority: BEFORE_FITS
    conda:
        "../../envs/core.yaml"
    params:
        **settings("folds", leave_out=("count",)),
        names=FOLDS,
        tuning_name=TUNING,
        fewest_cells=fewest_test_cells,
        means_of_combinations=means_of_combinations,
        seed=seed("folds"),
        source=source("folds/make_folds"),
    script:
        "../scripts/folds/make_folds.py"


rule select_genes:
    input:
        screen="<results>/screen/filtered.h5ad",
        tests="<results>/screen/differential_expression.h5ad",
        folds=table_of_folds,
    output:
        genes="<results>/folds/{fold}/data/genes.tsv",
        markers="<results>/folds/{fold}/data/markers.tsv",
        differential_expression="<results>/folds/{fold}/data/differential_expression.tsv",
        test_differential_expression="<results>/folds/{fold}/data/test_differential_expression.tsv",
        train="<results>/folds/{fold}/data/train.h5ad",
        test="<results>/folds/{fold}/data/test.h5ad",
        test_perturbations="<results>/folds/{fold}/data/test_perturbations.txt",
    log:
        "<logs>/folds/{fold}/select_genes.log",
    benchmark:
        "<benchmarks>/folds/{fold}/select_genes.tsv"
    wildcard_constraints:
        fold="|".join(SELECTED),
    priority: BEFORE_FITS
    conda:
        "../../envs/screen.yaml"
    params:
        fold="{fold}",
        n_genes=CFG.genes.count,
        markers_per_perturbation=CFG.genes.markers_per_perturbation,
        gives_effects=gives_effects,
        module_markers=module_markers,
        module_number=module_number,
        held_out_folds=held_out_folds,
        compared_genes=compared_genes,
        source=source("folds/select_genes"),
    script:
        "../scripts/folds/select_genes.py"
