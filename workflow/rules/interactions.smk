"""Genetic interactions of held-out pairs, observed and predicted."""

HAS_INTERACTIONS = IN_BENCHMARK and CFG.interactions.measure
VERSUS_BY_TYPE = PLAN.versus if IN_BENCHMARK else ""
INTERACTION_METRIC = PLAN.interaction_metric


rule measure_interactions:
    input:
        train="<results>/folds/{fold}/data/train.h5ad",
        test="<results>/folds/{fold}/data/test.h5ad",
        test_perturbations="<results>/folds/{fold}/data/test_perturbations.txt",
        predictions=lambda wildcards: [
            prediction_of(wildcards.fold, *fit) for fit in PLAN.benchmark
        ],
    output:
        interactions="<results>/folds/{fold}/interactions.tsv",
    log:
        "<logs>/folds/{fold}/measure_interactions.log",
    benchmark:
        "<benchmarks>/folds/{fold}/measure_interactions.tsv"
    conda:
        "../../envs/core.yaml"
    params:
        methods=[str(fit) for fit in PLAN.benchmark],
        values=[values_of(fit.method) for fit in PLAN.benchmark],
        fold="{fold}",
        min_count=CFG.interactions.min_count,
        scale=CFG.interactions.scale,
        source=source("benchmark/measure_interactions"),
    script:
        "../scripts/benchmark/measure_interactions.py"


rule aggregate_interactions:
    input:
        tables=expand("<results>/folds/{fold}/interactions.tsv", fold=FOLDS),
        metrics="<results>/benchmark/metrics.tsv",
        annotations=CFG.interactions.annotations or [],
    output:
        observed="<results>/interactions/observed.tsv",
        predicted="<results>/interactions/predicted.tsv",
        thresholds="<results>/interactions/thresholds.tsv",
        by_type="<results>/interactions/by_type.tsv",
        confusion="<results>/interactions/confusion.tsv",
    log:
        "<logs>/aggregate_interactions.log",
    localrule: True
    conda:
        "../../envs/core.yaml"
    params:
        published=CFG.interactions.thresholds.model_dump(),
        metric=INTERACTION_METRIC,
        reference=REFERENCE,
        versus=VERSUS_BY_TYPE,
        source=source("benchmark/aggregate_interactions"),
    script:
        "../scripts/benchmark/aggregate_interactions.py"


rule draw_interactions:
    input:
        observed=rules.aggregate_interactions.output.observed,
        predicted=rules.aggregate_interactions.output.predicted,
        thresholds=rules.aggregate_interactions.output.thresholds,
        by_type=rules.aggregate_interactions.output.by_type,
        metrics="<results>/benchmark/metrics.tsv",
    output:
        measures_figure=report(
            "<results>/figures/interactions_measures.svg",
            caption="../report/interactions_measures.rst",
            category="Interactions",
            labels={"result": "Metrics of interactions, predicted", "type": "figure"},
        ),
        types_figure=report(
            "<results>/figures/interactions_types.svg",
            caption="../report/interactions_types.rst",
            category="Interactions",
            labels={"result": "Accuracy by type of interaction", "type": "figure"},
        ),
    log:
        "<logs>/draw_interactions.log",
    benchmark:
        "<benchmarks>/draw_interactions.tsv"
    conda:
        "../../envs/figures.yaml"
    params:
        looks=LOOKS,
        reference=REFERENCE,
        versus=VERSUS_BY_TYPE,
        metric=INTERACTION_METRIC,
        source=source("benchmark/draw_interactions"),
    script:
        "../scripts/benchmark/draw_interactions.py"


rule write_interactions_html:
    input:
        observed=rules.aggregate_interactions.output.observed,
        thresholds=rules.aggregate_interactions.output.thresholds,
        by_type=rules.aggregate_interactions.output.by_type,
        confusion=rules.aggregate_interactions.output.confusion,
    output:
        interactions_page=report(
            "<results>/interactions/interactions.html",
            caption="../report/interactions_tables.rst",
            category="Interactions",
            labels={"result": "Types of interaction, pair by pair", "type": "table"},
        ),
    log:
        "<logs>/write_interactions_html.log",
    localrule: True
    conda:
        "../../envs/core.yaml"
    params:
        looks=LOOKS,
        reference=REFERENCE,
        source=source("benchmark/write_interactions_html"),
    script:
        "../scripts/benchmark/write_interactions_html.py"
