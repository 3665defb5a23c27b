"""Figures and tables of the report."""

# Methods whose predicted cells are shown gene by gene.
SHOWN_METHODS = [method for method in ("salt", "lcd") if method in METHODS]


rule draw_benchmark_figures:
    input:
        metrics="<results>/benchmark/metrics.tsv",
        win_rates="<results>/benchmark/win_rates.tsv",
        train=expand("<results>/folds/{fold}/train.h5ad", fold=FOLDS),
        test=expand("<results>/folds/{fold}/test.h5ad", fold=FOLDS),
        differential_expression=expand("<results>/folds/{fold}/test_de.tsv", fold=FOLDS),
        predictions=expand(
            "<results>/folds/{fold}/predictions/{method}.h5ad",
            fold=FOLDS,
            method=SHOWN_METHODS,
        ),
    output:
        distances=report(
            "<results>/figures/distances.svg",
            caption="../report/distances.rst",
            category="Benchmark",
            labels={"result": "Distance to the observed cells", "type": "figure"},
        ),
        pairs=report(
            "<results>/figures/pairs.svg",
            caption="../report/pairs.rst",
            category="Benchmark",
            labels={"result": "LCD against every other method", "type": "figure"},
        ),
        means=report(
            "<results>/figures/means.svg",
            caption="../report/means.rst",
            category="Benchmark",
            labels={"result": "Mean expression", "type": "figure"},
        ),
        expression=report(
            "<results>/figures/expression.svg",
            caption="../report/expression.rst",
            category="Benchmark",
            labels={"result": "One perturbation, gene by gene", "type": "figure"},
        ),
    log:
        "<logs>/draw_benchmark_figures.log",
    benchmark:
        "<benchmarks>/draw_benchmark_figures.tsv"
    conda:
        "../../envs/figures.yaml"
    params:
        folds=FOLDS,
        shown_methods=SHOWN_METHODS,
        top_genes=CFG.evaluation.top_genes,
        source=source("benchmark/draw_benchmark_figures"),
    script:
        "../scripts/benchmark/draw_benchmark_figures.py"


rule draw_training_figures:
    input:
        prior_logs=expand("<results>/folds/{fold}/prior/log.tsv", fold=CHECKED),
        drift_logs=expand("<results>/folds/{fold}/model/log.tsv", fold=CHECKED),
        tables=expand("<results>/folds/{fold}/checks/training_conditions.tsv", fold=CHECKED),
        genes=expand("<results>/folds/{fold}/checks/genes.tsv", fold=CHECKED),
        states=expand("<results>/folds/{fold}/checks/states.tsv", fold=CHECKED),
    output:
        training_conditions=report(
            "<results>/figures/training_conditions.svg",
            caption="../report/training_conditions.rst",
            category="Fits",
            labels={"result": "Training conditions", "type": "figure"},
        ),
        predictive_check=report(
            "<results>/figures/predictive_check.svg",
            caption="../report/predictive_check.rst",
            category="Fits",
            labels={"result": "Priors against observed counts", "type": "figure"},
        ),
        training_curves=report(
            "<results>/figures/training_curves.svg",
            caption="../report/training_curves.rst",
            category="Fits",
            labels={"result": "Training curves", "type": "figure"},
        ),
        standardised_states=report(
            "<results>/figures/standardised_states.svg",
            caption="../report/standardised_states.rst",
            category="Fits",
            labels={"result": "Standardised states", "type": "figure"},
        ),
    log:
        "<logs>/draw_training_figures.log",
    benchmark:
        "<benchmarks>/draw_training_figures.tsv"
    conda:
        "../../envs/figures.yaml"
    params:
        folds=CHECKED,
        source=source("../methods/lcd/draw_training_figures"),
    script:
        "../methods/lcd/draw_training_figures.py"


rule write_tables_html:
    input:
        summary="<results>/benchmark/summary.tsv",
        win_rates="<results>/benchmark/win_rates.tsv",
    output:
        summary_page=report(
            "<results>/benchmark/summary.html",
            caption="../report/summary.rst",
            category="Benchmark",
            labels={"result": "Summary per method", "type": "table"},
        ),
        win_rates_page=report(
            "<results>/benchmark/win_rates.html",
            caption="../report/win_rates.rst",
            category="Benchmark",
            labels={"result": "LCD against every other method", "type": "table"},
        ),
    log:
        "<logs>/write_tables_html.log",
    localrule: True
    conda:
        "../../envs/core.yaml"
    params:
        source=source("benchmark/write_tables_html"),
    script:
        "../scripts/benchmark/write_tables_html.py"
