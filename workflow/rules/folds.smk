"""Splits, and per fold the genes and the training and held-out cells."""


rule make_folds:
    input:
        conditions="<results>/screen/conditions.tsv",
    output:
        folds="<results>/folds/folds.tsv",
    log:
        "<logs>/make_folds.log",
    conda:
        "../../envs/core.yaml"
    params:
        **settings("folds", leave_out=("count",)),
        n_folds=CFG.folds.count,
        seed=seed("folds"),
        source=source("folds/make_folds"),
    script:
        "../scripts/folds/make_folds.py"


rule select_genes:
    input:
        screen="<results>/screen/filtered.h5ad",
        folds=table_of_folds,
    output:
        genes="<results>/folds/{fold}/genes.tsv",
        markers="<results>/folds/{fold}/markers.tsv",
        train="<results>/folds/{fold}/train.h5ad",
        test="<results>/folds/{fold}/test.h5ad",
        test_perturbations="<results>/folds/{fold}/test_perturbations.txt",
    log:
        "<logs>/{fold}/select_genes.log",
    benchmark:
        "<benchmarks>/{fold}/select_genes.tsv"
    wildcard_constraints:
        fold=f"[0-9]+|tuning|{ALL}",
    conda:
        "../../envs/screen.yaml"
    params:
        fold="{fold}",
        n_genes=CFG.genes.count,
        markers_per_perturbation=CFG.genes.markers_per_perturbation,
        source=source("folds/select_genes"),
    script:
        "../scripts/folds/select_genes.py"
