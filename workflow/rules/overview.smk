"""What a run was asked, what came out, what to doubt: the front page of the report."""

SEED_RESPONSES = expand(
    f"<results>/folds/{ALL}/{LCD}/{{variant}}/effects/responses.tsv",
    variant=map(str, EFFECT_VARIANTS),
)


rule summarise_run:
    input:
        quality_control=branch(HAS_SCREEN, then="<results>/screen/quality_control.tsv"),
        conditions=branch(HAS_SCREEN, then="<results>/screen/conditions.tsv"),
        perturbations=branch(HAS_SCREEN, then="<results>/screen/perturbations.tsv"),
        targets=branch(HAS_SCREEN, then="<results>/screen/targets.tsv"),
        fits=branch(LCD_FITS, then="<results>/fits/conditions.tsv"),
        summary=branch(IN_BENCHMARK, then="<results>/benchmark/summary.tsv"),
        win_rates=branch(IN_BENCHMARK, then="<results>/benchmark/win_rates.tsv"),
        calibration=branch(IN_BENCHMARK, then="<results>/benchmark/calibration.tsv"),
        by_type=branch(HAS_INTERACTIONS, then="<results>/interactions/by_type.tsv"),
        edges=branch(IN_EFFECTS, then=f"{EFFECTS}/edges.tsv"),
        validated_edges=branch(IN_EFFECTS, then=f"{EFFECTS}/validated_edges.tsv"),
        validation=branch(IN_EFFECTS, then=f"{EFFECTS}/validation.tsv"),
        held_out_validation=branch(IN_EFFECTS, then=HELD_OUT_VALIDATION),
        responses=branch(IN_EFFECTS, then=SEED_RESPONSES),
        module_numbers=branch(IN_EFFECTS and HAS_MODULES, then=f"{EFFECTS}/module_numbers.tsv"),
        membership=branch(IN_EFFECTS and HAS_MODULES, then=f"{EFFECTS}/modules.tsv"),
        top_terms=branch(IN_EFFECTS, then=TOP_TERMS),
        recovery=branch(
            IN_EFFECTS and CFG.screen.kind == "simulated", then=f"{EFFECTS}/recovery.tsv"
        ),
        linear_summary=branch(
            "linear_systems" in CFG.analyses, then="<results>/linear_systems/summary.tsv"
        ),
        systems=branch(
            "linear_systems" in CFG.analyses, then="<results>/linear_systems/systems.tsv"
        ),
    output:
        overview="<results>/overview/overview.tsv",
    log:
        "<logs>/summarise_run.log",
    localrule: True
    conda:
        "../../envs/figures.yaml"
    params:
        asked=lambda wildcards: asked_of_run(),  # braces of paths are no wildcards
        looks=LOOKS,
        reference=REFERENCE,
        versus=VERSUS_BY_TYPE,
        alpha=CFG.effects.de_alpha,
        source=source("overview/summarise_run"),
    script:
        "../scripts/overview/summarise_run.py"


rule write_overview:
    input:
        overview="<results>/overview/overview.tsv",
        conditions=branch(HAS_SCREEN, then="<results>/screen/conditions.tsv"),
        quality_control=branch(HAS_SCREEN, then="<results>/screen/quality_control.tsv"),
    output:
        overview_page=report(
            "<results>/overview/overview.html",
            caption="../report/overview.rst",
            category="Overview",
            labels={"result": "This run", "type": "table"},
        ),
        front_page="<results>/overview/front_page.html",
    log:
        "<logs>/write_overview.log",
    localrule: True
    conda:
        "../../envs/figures.yaml"
    params:
        run=CFG.run,
        benchmarks=f"logs/{CFG.run}/benchmarks",
        settings=lambda wildcards: settings_as_given(),
        seed=CFG.seed,
        sections=sections_of_report(),
        source=source("overview/write_overview"),
    script:
        "../scripts/overview/write_overview.py"
