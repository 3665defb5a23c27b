"""Figures and tables of the report."""

# Methods whose predicted cells are shown gene by gene.
SHOWN = PLAN.shown if IN_BENCHMARK else []

# Methods on the page of all held-out perturbations: the two that the run compares by name.
PAGED = list(dict.fromkeys([PLAN.versus, *SHOWN, REFERENCE])) if IN_BENCHMARK else []

# What these need to reproduce a perturbation that the first fold trains on.
FITTED = files_to_reproduce(PAGED, FOLDS[0]) if IN_BENCHMARK else []

# Fits of LCD that are checked against their training cells.
LCD_FITS = [
    (fold, str(fit.variant))
    for fold in (FOLDS if IN_BENCHMARK else [])
    for fit in PLAN.benchmark
    if fit.method == LCD
] + [
    (ALL, str(variants[0]))
    for variants in (
        EFFECT_VARIANTS if IN_EFFECTS else [],
        PREDICT_VARIANTS if IN_PREDICTIONS else [],
    )
    if variants
]
LCD_FITS = list(dict.fromkeys(LCD_FITS))
NAMES_OF_LCD_FITS = names_of_fits(LCD_FITS)

# Fits of LCD whose training is drawn: all of this run that predictions or effects are read from.
TRAINED_FITS = list(
    dict.fromkeys(
        LCD_FITS
        + [(fold, str(variant)) for fold, variant in EFFECT_FITS if IN_EFFECTS]
        + [(ALL, str(variant)) for variant in PREDICT_VARIANTS if IN_PREDICTIONS]
    )
)


rule draw_metrics:
    input:
        metrics="<results>/benchmark/metrics.tsv",
        win_rates="<results>/benchmark/win_rates.tsv",
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
            labels={"result": VERSUS, "type": "figure"},
        ),
        means=report(
            "<results>/figures/means.svg",
            caption="../report/means.rst",
            category="Benchmark",
            labels={"result": "Mean expression", "type": "figure"},
        ),
    log:
        "<logs>/draw_metrics.log",
    benchmark:
        "<benchmarks>/draw_metrics.tsv"
    conda:
        "../../envs/figures.yaml"
    params:
        looks=LOOKS,
        reference=REFERENCE,
        top_genes=CFG.evaluation.top_genes,
        source=source("benchmark/draw_metrics"),
    script:
        "../scripts/benchmark/draw_metrics.py"


rule draw_expression:
    input:
        metrics="<results>/benchmark/metrics.tsv",
        train=expand("<results>/folds/{fold}/data/train.h5ad", fold=FOLDS),
        test=expand("<results>/folds/{fold}/data/test.h5ad", fold=FOLDS),
        differential_expression=expand(
            "<results>/folds/{fold}/data/test_differential_expression.tsv", fold=FOLDS
        ),
        predictions=[prediction_of(fold, *Fit.parse(name)) for fold in FOLDS for name in SHOWN],
    output:
        expression=report(
            "<results>/figures/expression.svg",
            caption="../report/expression.rst",
            category="Benchmark",
            labels={"result": "One perturbation, gene by gene", "type": "figure"},
        ),
    log:
        "<logs>/draw_expression.log",
    benchmark:
        "<benchmarks>/draw_expression.tsv"
    conda:
        "../../envs/figures.yaml"
    params:
        folds=FOLDS,
        shown_methods=SHOWN,
        looks=LOOKS,
        reference=REFERENCE,
        top_genes=CFG.evaluation.top_genes,
        source=source("benchmark/draw_expression"),
    script:
        "../scripts/benchmark/draw_expression.py"


rule write_held_out_html:
    input:
        metrics="<results>/benchmark/metrics.tsv",
        targets="<results>/screen/targets.tsv",
        train=expand("<results>/folds/{fold}/data/train.h5ad", fold=FOLDS),
        test=expand("<results>/folds/{fold}/data/test.h5ad", fold=FOLDS),
        differential_expression=expand(
            "<results>/folds/{fold}/data/test_differential_expression.tsv", fold=FOLDS
        ),
        predictions=[prediction_of(fold, *Fit.parse(name)) for fold in FOLDS for name in PAGED],
    output:
        held_out_page=report(
            "<results>/benchmark/held_out.html",
            caption="../report/held_out.rst",
            category="Benchmark",
            labels={"result": "Any held-out perturbation, by choice", "type": "table"},
        ),
    log:
        "<logs>/write_held_out_html.log",
    benchmark:
        "<benchmarks>/write_held_out_html.tsv"
    conda:
        "../../envs/figures.yaml"
    params:
        folds=FOLDS,
        shown_methods=PAGED,
        values=[given_values(name) for name in PAGED],
        looks=LOOKS,
        reference=REFERENCE,
        alpha=CFG.effects.de_alpha,
        source=source("benchmark/write_held_out_html"),
    script:
        "../scripts/benchmark/write_held_out_html.py"


rule write_one_perturbation_html:  # on request
    input:
        folds_table="<results>/folds/folds.tsv",
        metrics="<results>/benchmark/metrics.tsv",
        targets="<results>/screen/targets.tsv",
        train=expand("<results>/folds/{fold}/data/train.h5ad", fold=FOLDS),
        test=expand("<results>/folds/{fold}/data/test.h5ad", fold=FOLDS),
        training_tests=expand("<results>/folds/{fold}/data/differential_expression.tsv", fold=FOLDS),
        held_out_tests=expand(
            "<results>/folds/{fold}/data/test_differential_expression.tsv", fold=FOLDS
        ),
        predictions=[prediction_of(fold, *Fit.parse(name)) for fold in FOLDS for name in PAGED],
        fitted=[path for *_, path in FITTED],
    output:
        one_page="<results>/benchmark/perturbations/{perturbation}.html",
    log:
        "<logs>/benchmark/perturbations/{perturbation}.log",
    wildcard_constraints:
        perturbation="[^./][^/]*",  # as pipeline.file_names writes names
    conda:
        "../../envs/figures.yaml"
    params:
        perturbation="{perturbation}",
        folds=FOLDS,
        shown_methods=PAGED,
        values=[given_values(name) for name in PAGED],
        fitted_as=[list(about) for *about, _ in FITTED],
        code=code_of_fitted(FITTED),
        looks=LOOKS,
        alpha=CFG.effects.de_alpha,
        n_cells=CFG.prediction.cells,
        seed=seed("one_perturbation"),
        source=source("benchmark/write_one_perturbation_html"),
    script:
        "../scripts/benchmark/write_one_perturbation_html.py"


rule draw_fit_checks:
    input:
        tables=[output_of(LCD, "check_fits", "table", *fit) for fit in LCD_FITS],
        genes=[output_of(LCD, "check_fits", "gene_table", *fit) for fit in LCD_FITS],
        states=[output_of(LCD, "check_fits", "state_table", *fit) for fit in LCD_FITS],
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
        standardised_states=report(
            "<results>/figures/standardised_states.svg",
            caption="../report/standardised_states.rst",
            category="Fits",
            labels={"result": "Standardised states", "type": "figure"},
        ),
    log:
        "<logs>/draw_fit_checks.log",
    benchmark:
        "<benchmarks>/draw_fit_checks.tsv"
    conda:
        "../../envs/figures.yaml"
    params:
        folds=NAMES_OF_LCD_FITS,
        looks=LOOKS,
        source=source("../methods/lcd/draw_fit_checks"),
    script:
        "../methods/lcd/draw_fit_checks.py"


rule summarise_fits:
    input:
        tables=[output_of(LCD, "check_fits", "table", *fit) for fit in LCD_FITS],
        screen_conditions="<results>/screen/conditions.tsv",
    output:
        conditions="<results>/fits/conditions.tsv",
        conditions_page=report(
            "<results>/fits/conditions.html",
            caption="../report/training_conditions_table.rst",
            category="Fits",
            labels={"result": "Training conditions, worst first", "type": "table"},
        ),
    log:
        "<logs>/summarise_fits.log",
    localrule: True
    conda:
        "../../envs/core.yaml"
    params:
        folds=[fold for fold, _ in LCD_FITS],
        variants=[variant for _, variant in LCD_FITS],
        source=source("../methods/lcd/summarise_fits"),
    script:
        "../methods/lcd/summarise_fits.py"


rule draw_training_curves:
    input:
        prior_logs=[output_of(LCD, "fit_prior", "training_log", *fit) for fit in TRAINED_FITS],
        drift_logs=[output_of(LCD, "fit_drift", "training_log", *fit) for fit in TRAINED_FITS],
    output:
        training_curves=report(
            "<results>/figures/training_curves.svg",
            caption="../report/training_curves.rst",
            category="Fits",
            labels={"result": "Training curves", "type": "figure"},
        ),
    log:
        "<logs>/draw_training_curves.log",
    benchmark:
        "<benchmarks>/draw_training_curves.tsv"
    conda:
        "../../envs/figures.yaml"
    params:
        folds=names_of_fits(TRAINED_FITS),
        source=source("../methods/lcd/draw_training_curves"),
    script:
        "../methods/lcd/draw_training_curves.py"


rule write_tables_html:
    input:
        summary="<results>/benchmark/summary.tsv",
        win_rates="<results>/benchmark/win_rates.tsv",
        calibration="<results>/benchmark/calibration.tsv",
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
            labels={"result": VERSUS, "type": "table"},
        ),
    log:
        "<logs>/write_tables_html.log",
    localrule: True
    conda:
        "../../envs/core.yaml"
    params:
        looks=LOOKS,
        reference=REFERENCE,
        source=source("benchmark/write_tables_html"),
    script:
        "../scripts/benchmark/write_tables_html.py"
