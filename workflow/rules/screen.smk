"""From a screen, simulated, given or downloaded, to a checked and filtered one."""


rule simulate_screen:
    output:
        screen="<results>/simulation/screen.h5ad",
        effects="<results>/simulation/effects.tsv",
        indirect="<results>/simulation/indirect.tsv",
        perturbed="<results>/simulation/targets.tsv",
        modules="<results>/simulation/modules.gmt",
        pathways="<results>/simulation/pathways.gmt",
    log:
        "<logs>/simulate_screen.log",
    benchmark:
        "<benchmarks>/simulate_screen.tsv"
    priority: BEFORE_FITS
    conda:
        "../../envs/core.yaml"
    params:
        **settings("simulation"),
        seed=seed("simulation"),
        source=source("screen/simulate_screen"),
    script:
        "../scripts/screen/simulate_screen.py"


rule download_screen:
    output:
        screen="downloads/{name}.h5ad",
    log:
        "<logs>/download_screen/{name}.log",
    localrule: True  # nodes of a cluster often have no internet
    conda:
        "../../envs/core.yaml"
    params:
        url=CFG.screen.url,
        size=CFG.screen.size,
        md5=CFG.screen.md5,
        sha256=CFG.screen.sha256,
    script:
        "../scripts/screen/download_screen.py"


rule import_screen:
    input:
        raw=raw_screen,
        cells_table=CFG.screen.cells_table or [],
        target_genes=CFG.screen.target_genes or [],
    output:
        screen="<results>/screen/imported.h5ad",
    log:
        "<logs>/import_screen.log",
    benchmark:
        "<benchmarks>/import_screen.tsv"
    priority: BEFORE_FITS
    conda:
        "../../envs/screen.yaml"
    params:
        **settings("screen", leave_out=(*WHERE_THE_SCREEN_IS, "cells_table", "target_genes")),
        source=source("screen/import_screen"),
    script:
        "../scripts/screen/import_screen.py"


rule filter_screen:
    input:
        screen="<results>/screen/imported.h5ad",
    output:
        filtered="<results>/screen/filtered.h5ad",
        table="<results>/screen/quality_control.tsv",
        conditions="<results>/screen/conditions.tsv",
        removed_genes="<results>/screen/removed_genes.tsv",
    log:
        "<logs>/filter_screen.log",
    benchmark:
        "<benchmarks>/filter_screen.tsv"
    priority: BEFORE_FITS
    conda:
        "../../envs/core.yaml"
    params:
        **settings("quality_control"),
        source=source("screen/filter_screen"),
    script:
        "../scripts/screen/filter_screen.py"


rule differential_expression:
    input:
        screen="<results>/screen/filtered.h5ad",
    output:
        tests="<results>/screen/differential_expression.h5ad",
    log:
        "<logs>/differential_expression.log",
    benchmark:
        "<benchmarks>/differential_expression.tsv"
    priority: BEFORE_FITS
    conda:
        "../../envs/analysis.yaml"
    threads: CFG.threads.fit
    params:
        n_threads=CFG.threads.fit,
        source=source("screen/differential_expression"),
    script:
        "../scripts/screen/differential_expression.py"


rule summarise_perturbations:
    input:
        tests="<results>/screen/differential_expression.h5ad",
        removed_genes="<results>/screen/removed_genes.tsv",
    output:
        perturbations="<results>/screen/perturbations.tsv",
        targets="<results>/screen/targets.tsv",
    log:
        "<logs>/summarise_perturbations.log",
    benchmark:
        "<benchmarks>/summarise_perturbations.tsv"
    conda:
        "../../envs/analysis.yaml"
    params:
        alpha=CFG.effects.de_alpha,
        source=source("screen/summarise_perturbations"),
    script:
        "../scripts/screen/summarise_perturbations.py"


rule draw_differential_expression:
    input:
        perturbations="<results>/screen/perturbations.tsv",
        targets="<results>/screen/targets.tsv",
    output:
        figure=report(
            "<results>/figures/differential_expression.svg",
            caption="../report/differential_expression.rst",
            category="Screen",
            labels={"result": "Differential expression", "type": "figure"},
        ),
    log:
        "<logs>/draw_differential_expression.log",
    benchmark:
        "<benchmarks>/draw_differential_expression.tsv"
    conda:
        "../../envs/figures.yaml"
    params:
        alpha=CFG.effects.de_alpha,
        source=source("screen/draw_differential_expression"),
    script:
        "../scripts/screen/draw_differential_expression.py"


rule write_differential_expression_html:
    input:
        perturbations="<results>/screen/perturbations.tsv",
        targets="<results>/screen/targets.tsv",
    output:
        tables_page=report(
            "<results>/screen/differential_expression.html",
            caption="../report/differential_expression_tables.rst",
            category="Screen",
            labels={"result": "Differential expression", "type": "table"},
        ),
    log:
        "<logs>/write_differential_expression_html.log",
    localrule: True
    conda:
        "../../envs/figures.yaml"
    params:
        alpha=CFG.effects.de_alpha,
        source=source("screen/write_differential_expression_html"),
    script:
        "../scripts/screen/write_differential_expression_html.py"


rule write_perturbation_html:  # on request
    input:
        tests="<results>/screen/differential_expression.h5ad",
        targets="<results>/screen/targets.tsv",
    output:
        tables_page="<results>/screen/perturbations/{perturbation}.html",
    log:
        "<logs>/perturbations/{perturbation}.log",
    wildcard_constraints:
        perturbation="[^./][^/]*",  # as pipeline.file_names writes names
    localrule: True
    conda:
        "../../envs/analysis.yaml"
    params:
        perturbation="{perturbation}",
        alpha=CFG.effects.de_alpha,
        source=source("screen/write_perturbation_html"),
    script:
        "../scripts/screen/write_perturbation_html.py"
