"""Causal effects among the genes of a screen: CLIPR, modules, gene sets, validation."""

EFFECTS = "<results>/effects"
LCD = "lcd"  # the method whose drift is linearised
EFFECT_VARIANTS = PLAN.seeds_of_effects()
EFFECT_FITS = [(ALL, variant) for variant in EFFECT_VARIANTS] + [
    (fold, EFFECT_VARIANTS[0]) for fold in CAUSE_FOLDS
]
EFFECT_FITS_BY_NAME = {
    "fold": [fold for fold, _ in EFFECT_FITS],
    "variant": [str(variant) for _, variant in EFFECT_FITS],
}
FIT_EFFECTS = f"<results>/folds/{{fold}}/{LCD}/{{variant}}/effects"
SEED_EFFECTS = expand(f"{FIT_EFFECTS}/effects.h5ad", fold=ALL, variant=map(str, EFFECT_VARIANTS))


rule estimate_effects:
    input:
        train="<results>/folds/{fold}/data/train.h5ad",
        prior=lambda wildcards: output_of(LCD, "fit_prior", "prior", **wildcards),
        model=lambda wildcards: output_of(LCD, "fit_drift", "model", **wildcards),
    output:
        effects=f"{FIT_EFFECTS}/effects.h5ad",
        responses=f"{FIT_EFFECTS}/responses.h5ad",
        table=f"{FIT_EFFECTS}/responses.tsv",
    log:
        f"<logs>/folds/{{fold}}/{LCD}/{{variant}}/estimate_effects.log",
    benchmark:
        f"<benchmarks>/folds/{{fold}}/{LCD}/{{variant}}/estimate_effects.tsv"
    priority: BEFORE_FITS
    conda:
        "../../envs/core.yaml"
    threads: CFG.threads.fit
    params:
        clipr=settings("clipr"),
        estimator=CFG.effects.estimator,
        changes=CFG.effects.changes,
        samples=CFG.effects.samples,
        draws=CFG.effects.draws,
        seed=seed("direct_effects"),
        device=CFG.device,
        threads=CFG.threads.fit,
        source=source("effects/estimate_effects"),
    script:
        "../scripts/effects/estimate_effects.py"


rule combine_effects:
    input:
        fits=SEED_EFFECTS,
    output:
        ensemble=f"{EFFECTS}/ensemble.h5ad",
    log:
        "<logs>/effects/combine_effects.log",
    priority: BEFORE_FITS
    conda:
        "../../envs/core.yaml"
    params:
        source=source("effects/combine_effects"),
    script:
        "../scripts/effects/combine_effects.py"


rule find_modules:
    input:
        effects=f"{EFFECTS}/ensemble.h5ad",
        seed_effects=SEED_EFFECTS,
    output:
        tree=f"{EFFECTS}/tree.tsv",
        order=f"{EFFECTS}/order.tsv",
        membership=f"{EFFECTS}/modules.tsv",
        numbers=f"{EFFECTS}/module_numbers.tsv",
    log:
        "<logs>/effects/find_modules.log",
    benchmark:
        "<benchmarks>/effects/find_modules.tsv"
    conda:
        "../../envs/core.yaml"
    params:
        **settings("modules"),
        source=source("effects/find_modules"),
    script:
        "../scripts/effects/find_modules.py"


rule download_gene_sets:
    output:
        gene_sets="downloads/msigdb/{version}/{category}.gmt",
    log:
        "<logs>/download_gene_sets/{version}_{category}.log",
    wildcard_constraints:
        version="[^/]+",
        category="[^/]+",
    localrule: True  # nodes of a cluster often have no internet
    conda:
        "../../envs/analysis.yaml"
    params:
        category="{category}",
        version="{version}",
    script:
        "../scripts/effects/download_gene_sets.py"


if HAS_TERMS:

    rule check_gene_sets:
        input:
            genes=f"<results>/folds/{ALL}/data/genes.tsv",
            gene_sets=GENE_SETS,
        output:
            table=f"{EFFECTS}/gene_sets.tsv",
        log:
            "<logs>/effects/check_gene_sets.log",
        priority: TELLS_EARLY  # before the fits, so that what cannot be used is told first
        localrule: True
        conda:
            "../../envs/analysis.yaml"
        params:
            source=source("effects/check_gene_sets"),
        script:
            "../scripts/effects/check_gene_sets.py"

    rule enrich_modules:
        input:
            membership=f"{EFFECTS}/modules.tsv",
            gene_sets=GENE_SETS,
        output:
            table=f"{EFFECTS}/enrichment.tsv",
            top_table=f"{EFFECTS}/top_terms.tsv",
        log:
            "<logs>/effects/enrich_modules.log",
        benchmark:
            "<benchmarks>/effects/enrich_modules.tsv"
        conda:
            "../../envs/analysis.yaml"
        params:
            alpha=CFG.enrichment.alpha,
            top=CFG.enrichment.top_terms,
            source=source("effects/enrich_modules"),
        script:
            "../scripts/effects/enrich_modules.py"


rule export_effects:
    input:
        effects=f"{EFFECTS}/ensemble.h5ad",
        membership=f"{EFFECTS}/modules.tsv",
    output:
        annotated=f"{EFFECTS}/effects.h5ad",
        edges=f"{EFFECTS}/edges.tsv",
        untestable_edges=f"{EFFECTS}/untestable_edges.tsv",
        graphml=f"{EFFECTS}/network.graphml",
    log:
        "<logs>/effects/export_effects.log",
    conda:
        "../../envs/analysis.yaml"
    params:
        k=CFG.effects.edges,
        source=source("effects/export_effects"),
    script:
        "../scripts/effects/export_effects.py"


rule choose_held_out_causes:
    input:
        effects=f"{EFFECTS}/ensemble.h5ad",
    output:
        causes=f"{EFFECTS}/held_out/causes.tsv",
    log:
        "<logs>/effects/choose_held_out_causes.log",
    priority: BEFORE_FITS
    conda:
        "../../envs/core.yaml"
    params:
        k=CFG.effects.edges,
        folds=CAUSE_FOLDS,
        seed=seed("held_out_causes"),
        source=source("effects/choose_held_out_causes"),
    script:
        "../scripts/effects/choose_held_out_causes.py"


rule hold_out_causes:
    input:
        train=f"<results>/folds/{ALL}/data/train.h5ad",
        causes=f"{EFFECTS}/held_out/causes.tsv",
    output:
        held_out_train="<results>/folds/{fold}/data/train.h5ad",
        held_out="<results>/folds/{fold}/data/test_perturbations.txt",
    log:
        "<logs>/folds/{fold}/hold_out_causes.log",
    wildcard_constraints:
        fold="|".join(CAUSE_FOLDS) or "(?!)",
    priority: BEFORE_FITS
    conda:
        "../../envs/core.yaml"
    params:
        fold="{fold}",
        source=source("effects/hold_out_causes"),
    script:
        "../scripts/effects/hold_out_causes.py"


rule assemble_held_out_effects:
    input:
        causes=f"{EFFECTS}/held_out/causes.tsv",
        fits=expand(
            f"{FIT_EFFECTS}/effects.h5ad", fold=CAUSE_FOLDS, variant=str(EFFECT_VARIANTS[0])
        ),
    output:
        effects=f"{EFFECTS}/held_out/effects.h5ad",
    log:
        "<logs>/effects/assemble_held_out_effects.log",
    conda:
        "../../envs/core.yaml"
    params:
        folds=CAUSE_FOLDS,
        source=source("effects/assemble_held_out_effects"),
    script:
        "../scripts/effects/assemble_held_out_effects.py"


VALIDATION = dict(
    fractions=CFG.effects.top_fractions,
    alpha=CFG.effects.de_alpha,
    n_resamples=CFG.effects.resamples,
    n_listed=max(1000, CFG.effects.edges),  # edges in the table
    leave_out_failed=CFG.effects.leave_out_failed,
    seed=seed("validation"),
    source=source("effects/validate_edges"),
)


rule validate_edges:
    input:
        effects=f"{EFFECTS}/ensemble.h5ad",
        differential_expression=f"<results>/folds/{ALL}/data/differential_expression.tsv",
        targets="<results>/screen/targets.tsv",
    output:
        edges=f"{EFFECTS}/validated_edges.tsv",
        validation=f"{EFFECTS}/validation.tsv",
    log:
        "<logs>/effects/validate_edges.log",
    conda:
        "../../envs/core.yaml"
    params:
        **VALIDATION,
    script:
        "../scripts/effects/validate_edges.py"


use rule validate_edges as validate_held_out_edges with:
    input:
        effects=f"{EFFECTS}/held_out/effects.h5ad",
        differential_expression=f"<results>/folds/{ALL}/data/differential_expression.tsv",
        targets="<results>/screen/targets.tsv",
    output:
        edges=f"{EFFECTS}/held_out/validated_edges.tsv",
        validation=f"{EFFECTS}/held_out/validation.tsv",
    log:
        "<logs>/effects/validate_held_out_edges.log",


rule score_recovery:
    input:
        effects=f"{EFFECTS}/ensemble.h5ad",
        seed_effects=SEED_EFFECTS,
        true_effects="<results>/simulation/effects.tsv",
        true_modules="<results>/simulation/modules.gmt",
        membership=f"{EFFECTS}/modules.tsv",
        differential_expression=f"<results>/folds/{ALL}/data/differential_expression.tsv",
        train=f"<results>/folds/{ALL}/data/train.h5ad",
    output:
        recovery=f"{EFFECTS}/recovery.tsv",
        curve=f"{EFFECTS}/recovery_curve.tsv",
    log:
        "<logs>/effects/score_recovery.log",
    conda:
        "../../envs/core.yaml"
    params:
        top=[10, 20, 50, 100],  # strongest effects of the metrics at k
        min_size=CFG.modules.min_size,
        distance=CFG.modules.distance,
        threads=1,
        source=source("effects/score_recovery"),
    script:
        "../scripts/effects/score_recovery.py"
