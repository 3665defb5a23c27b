"""Figures and tables of the causal effects for the report."""

HELD_OUT_VALIDATION = branch(CAUSE_FOLDS, then=f"{EFFECTS}/held_out/validation.tsv")
TOP_TERMS = branch(HAS_TERMS, then=f"{EFFECTS}/top_terms.tsv")


rule draw_effect_maps:
    input:
        effects=f"{EFFECTS}/effects.h5ad",
        order=f"{EFFECTS}/order.tsv",
        differential_expression=f"<results>/folds/{ALL}/data/differential_expression.tsv",
    output:
        figure=report(
            "<results>/figures/effects_maps.svg",
            caption="../report/effects_maps.rst",
            category="Causal effects",
            labels={"result": "Effects, responses and differential expression", "type": "figure"},
        ),
    log:
        "<logs>/effects/draw_effect_maps.log",
    benchmark:
        "<benchmarks>/effects/draw_effect_maps.tsv"
    conda:
        "../../envs/figures.yaml"
    params:
        source=source("effects/draw_effect_maps"),
    script:
        "../scripts/effects/draw_effect_maps.py"


if HAS_MODULES:

    rule draw_module_numbers:
        input:
            numbers=f"{EFFECTS}/module_numbers.tsv",
        output:
            figure=report(
                "<results>/figures/effects_module_numbers.svg",
                caption="../report/effects_module_numbers.rst",
                category="Causal effects",
                labels={"result": "Number of modules", "type": "figure"},
            ),
        log:
            "<logs>/effects/draw_module_numbers.log",
        conda:
            "../../envs/figures.yaml"
        params:
            cut=CFG.modules.cut,
            min_size=CFG.modules.min_size,
            source=source("effects/draw_module_numbers"),
        script:
            "../scripts/effects/draw_module_numbers.py"


if HAS_TERMS:

    rule draw_enrichment:
        input:
            order=f"{EFFECTS}/order.tsv",
            top_terms=f"{EFFECTS}/top_terms.tsv",
            enrichment=f"{EFFECTS}/enrichment.tsv",
        output:
            figure=report(
                "<results>/figures/effects_enrichment.svg",
                caption="../report/effects_enrichment.rst",
                category="Causal effects",
                labels={"result": "Gene sets of the modules", "type": "figure"},
            ),
        log:
            "<logs>/effects/draw_enrichment.log",
        benchmark:
            "<benchmarks>/effects/draw_enrichment.tsv"
        conda:
            "../../envs/figures.yaml"
        params:
            alpha=CFG.enrichment.alpha,
            source=source("effects/draw_enrichment"),
        script:
            "../scripts/effects/draw_enrichment.py"


rule draw_network:
    input:
        effects=f"{EFFECTS}/effects.h5ad",
        order=f"{EFFECTS}/order.tsv",
        validated_edges=f"{EFFECTS}/validated_edges.tsv",
        edges=f"{EFFECTS}/edges.tsv",
    output:
        figure=report(
            "<results>/figures/effects_network.svg",
            caption="../report/effects_network.rst",
            category="Causal effects",
            labels={"result": "The strongest effects", "type": "figure"},
        ),
    log:
        "<logs>/effects/draw_network.log",
    benchmark:
        "<benchmarks>/effects/draw_network.tsv"
    conda:
        "../../envs/figures.yaml"
    params:
        alpha=CFG.effects.de_alpha,
        n_edges=CFG.effects.edges,
        source=source("effects/draw_network"),
    script:
        "../scripts/effects/draw_network.py"


rule draw_validation:
    input:
        validation=f"{EFFECTS}/validation.tsv",
        held_out_validation=HELD_OUT_VALIDATION,
    output:
        figure=report(
            "<results>/figures/effects_validation.svg",
            caption="../report/effects_validation.rst",
            category="Causal effects",
            labels={"result": "Validation by differential expression", "type": "figure"},
        ),
    log:
        "<logs>/effects/draw_validation.log",
    benchmark:
        "<benchmarks>/effects/draw_validation.tsv"
    conda:
        "../../envs/figures.yaml"
    params:
        alpha=CFG.effects.de_alpha,
        source=source("effects/draw_validation"),
    script:
        "../scripts/effects/draw_validation.py"


rule draw_recovery:
    input:
        recovery=f"{EFFECTS}/recovery.tsv",
        curve=f"{EFFECTS}/recovery_curve.tsv",
    output:
        figure=report(
            "<results>/figures/effects_recovery.svg",
            caption="../report/effects_recovery.rst",
            category="Causal effects",
            labels={"result": "Recovery of the true graph", "type": "figure"},
        ),
    log:
        "<logs>/effects/draw_recovery.log",
    benchmark:
        "<benchmarks>/effects/draw_recovery.tsv"
    conda:
        "../../envs/figures.yaml"
    params:
        source=source("effects/draw_recovery"),
    script:
        "../scripts/effects/draw_recovery.py"


rule write_effects_html:
    input:
        edges=f"{EFFECTS}/edges.tsv",
        untestable_edges=f"{EFFECTS}/untestable_edges.tsv",
        validated_edges=f"{EFFECTS}/validated_edges.tsv",
        validation=f"{EFFECTS}/validation.tsv",
        held_out_validation=HELD_OUT_VALIDATION,
        top_terms=TOP_TERMS,
        recovery=branch(CFG.screen.kind == "simulated", then=f"{EFFECTS}/recovery.tsv"),
    output:
        tables_page=report(
            "<results>/effects/tables.html",
            caption="../report/effects_tables.rst",
            category="Causal effects",
            labels={"result": "Tables", "type": "table"},
        ),
    log:
        "<logs>/effects/write_effects_html.log",
    localrule: True
    conda:
        "../../envs/core.yaml"
    params:
        source=source("effects/write_effects_html"),
    script:
        "../scripts/effects/write_effects_html.py"
