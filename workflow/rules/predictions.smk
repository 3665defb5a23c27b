"""Combinations that nobody measured, predicted by models of all conditions."""

PREDICTIONS = "<results>/predictions"
PREDICTED = CFG.predictions
PREDICT_VARIANTS = PLAN.seeds_of_predictions()
PARTS = [str(number + 1) for number in range(PREDICTED.parts)]
REFERENCE_PART = "references"  # the control and the singles
PART_FILES = f"{PREDICTIONS}/parts/{{variant}}/{{part}}"


rule list_combinations:
    input:
        train=f"<results>/folds/{ALL}/data/train.h5ad",
        combinations_file=PREDICTED.file or [],
        signature=PREDICTED.wanted_signature or [],
    output:
        combinations=f"{PREDICTIONS}/combinations.tsv",
        genes=f"{PREDICTIONS}/genes.tsv",
    log:
        "<logs>/predictions/list_combinations.log",
    priority: TELLS_EARLY  # before the fits, so that what cannot be predicted is told first
    conda:
        "../../envs/core.yaml"
    params:
        named=PREDICTED.combinations,
        cells_of=PREDICTED.cells_of,
        targets=PREDICTED.targets,
        up_to=PREDICTED.up_to,
        all_pairs=PREDICTED.all_pairs,
        max_combinations=PREDICTED.max_combinations,
        parts=PREDICTED.parts,
        wanted_condition=PREDICTED.wanted_condition,
        interaction_genes=PREDICTED.interaction_genes,
        min_count=CFG.interactions.min_count,
        scale=CFG.interactions.scale,
        where=place_of_predictions,
        source=source("predictions/list_combinations"),
    script:
        "../scripts/predictions/list_combinations.py"


rule predict_combinations:
    input:
        combinations=f"{PREDICTIONS}/combinations.tsv",
        model=lambda wildcards: output_of(LCD, "fit_drift", "model", ALL, wildcards.variant),
    output:
        profiles=f"{PART_FILES}.h5ad",
    log:
        "<logs>/predictions/{variant}/{part}/predict_combinations.log",
    benchmark:
        "<benchmarks>/predictions/{variant}/{part}/predict_combinations.tsv"
    wildcard_constraints:
        part=f"{REFERENCE_PART}|[0-9]+",
    conda:
        "../../envs/core.yaml"
    threads: CFG.threads.fit
    params:
        part="{part}",
        n_states=PREDICTED.states,
        sampler=PREDICTED.sampler,
        seed=derive_seed(CFG.seed, run=CFG.run, purpose="predictions"),  # shared by all parts
        device=CFG.device,
        threads=CFG.threads.fit,
        source=source("predictions/predict_combinations"),
    script:
        "../scripts/predictions/predict_combinations.py"


rule measure_predictions:
    input:
        profiles=f"{PART_FILES}.h5ad",
        references=f"{PREDICTIONS}/parts/{{variant}}/{REFERENCE_PART}.h5ad",
        genes=f"{PREDICTIONS}/genes.tsv",
    output:
        measures=f"{PART_FILES}.tsv",
    log:
        "<logs>/predictions/{variant}/{part}/measure_predictions.log",
    benchmark:
        "<benchmarks>/predictions/{variant}/{part}/measure_predictions.tsv"
    wildcard_constraints:
        part="[0-9]+",
    conda:
        "../../envs/core.yaml"
    params:
        threads=1,
        source=source("predictions/measure_predictions"),
    script:
        "../scripts/predictions/measure_predictions.py"


rule summarise_predictions:
    input:
        combinations=f"{PREDICTIONS}/combinations.tsv",
        genes=f"{PREDICTIONS}/genes.tsv",
        references=expand(
            f"{PART_FILES}.h5ad", variant=map(str, PREDICT_VARIANTS), part=REFERENCE_PART
        ),
        profiles=expand(f"{PART_FILES}.h5ad", variant=map(str, PREDICT_VARIANTS), part=PARTS),
        measures=expand(f"{PART_FILES}.tsv", variant=map(str, PREDICT_VARIANTS), part=PARTS),
        annotations=CFG.interactions.annotations or [],
    output:
        predictions=f"{PREDICTIONS}/predictions.tsv",
        mean_profiles=f"{PREDICTIONS}/profiles.h5ad",
        top=f"{PREDICTIONS}/top_genes.tsv",
        candidates=f"{PREDICTIONS}/next.tsv",
        thresholds=f"{PREDICTIONS}/thresholds.tsv",
    log:
        "<logs>/predictions/summarise_predictions.log",
    benchmark:
        "<benchmarks>/predictions/summarise_predictions.tsv"
    conda:
        "../../envs/core.yaml"
    params:
        published=CFG.interactions.thresholds.model_dump(),
        n_fits=len(PREDICT_VARIANTS),
        n_states=PREDICTED.states,
        nearest_by=PREDICTED.nearest_by,
        top_genes=PREDICTED.top_genes,
        listed=PREDICTED.listed,
        source=source("predictions/summarise_predictions"),
    script:
        "../scripts/predictions/summarise_predictions.py"


rule sample_combinations:
    input:
        combinations=f"{PREDICTIONS}/combinations.tsv",
        model=lambda wildcards: output_of(LCD, "fit_drift", "model", ALL, PREDICT_VARIANTS[0]),
    output:
        cells=f"{PREDICTIONS}/cells.h5ad",
    log:
        "<logs>/predictions/sample_combinations.log",
    benchmark:
        "<benchmarks>/predictions/sample_combinations.tsv"
    conda:
        "../../envs/core.yaml"
    threads: CFG.threads.fit
    params:
        named=PREDICTED.cells_of,
        n_cells=PREDICTED.cells,
        sampler=PREDICTED.sampler,
        seed=seed("cells_of_combinations"),
        device=CFG.device,
        threads=CFG.threads.fit,
        source=source("predictions/sample_combinations"),
    script:
        "../scripts/predictions/sample_combinations.py"


rule draw_predictions:
    input:
        predictions=rules.summarise_predictions.output.predictions,
        candidates=rules.summarise_predictions.output.candidates,
        thresholds=rules.summarise_predictions.output.thresholds,
    output:
        interactions_figure=report(
            "<results>/figures/predictions_interactions.svg",
            caption="../report/predictions_interactions.rst",
            category="Predictions",
            labels={"result": "Predicted interactions of pairs", "type": "figure"},
        ),
        candidates_figure=report(
            "<results>/figures/predictions_candidates.svg",
            caption="../report/predictions_candidates.rst",
            category="Predictions",
            labels={"result": "What to measure next", "type": "figure"},
        ),
    log:
        "<logs>/predictions/draw_predictions.log",
    benchmark:
        "<benchmarks>/predictions/draw_predictions.tsv"
    conda:
        "../../envs/figures.yaml"
    params:
        nearest_by=PREDICTED.nearest_by,
        source=source("predictions/draw_predictions"),
    script:
        "../scripts/predictions/draw_predictions.py"


rule write_predictions_html:
    input:
        predictions=rules.summarise_predictions.output.predictions,
        candidates=rules.summarise_predictions.output.candidates,
        thresholds=rules.summarise_predictions.output.thresholds,
    output:
        predictions_page=report(
            f"{PREDICTIONS}/predictions.html",
            caption="../report/predictions_tables.rst",
            category="Predictions",
            labels={"result": "Combinations, one by one", "type": "table"},
        ),
    log:
        "<logs>/predictions/write_predictions_html.log",
    localrule: True
    conda:
        "../../envs/core.yaml"
    params:
        nearest_by=PREDICTED.nearest_by,
        source=source("predictions/write_predictions_html"),
    script:
        "../scripts/predictions/write_predictions_html.py"
