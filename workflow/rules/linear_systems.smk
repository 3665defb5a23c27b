"""Linear systems with known causal effects: a drift fitted to each, its effects, their scores."""

LINEAR = CFG.linear_systems
LINEAR_FOLDER = "<results>/linear_systems/{structure}_d{genes}_p{percent}_s{system}"
LINEAR_LOGS = "linear_systems/{structure}_d{genes}_p{percent}_s{system}"
LINEAR_GRID = dict(
    structure=LINEAR.structures,
    genes=LINEAR.genes,
    percent=LINEAR.perturbed_percent,
    system=range(1, LINEAR.systems + 1),
)

# The heat maps show the first system of each structure: of middle size, most perturbed.
LINEAR_SHOWN = {
    "structure": sorted(LINEAR.structures, reverse=True),
    "genes": LINEAR.genes[len(LINEAR.genes) // 2],
    "percent": LINEAR.perturbed_percent[-1],
    "system": 1,
}


wildcard_constraints:
    structure="|".join(LINEAR.structures),
    genes="[0-9]+",
    percent="[0-9]+",
    system="[0-9]+",


rule make_linear_system:
    output:
        system=f"{LINEAR_FOLDER}/system.safetensors",
    log:
        f"<logs>/{LINEAR_LOGS}/make_linear_system.log",
    priority: LINEAR_FITS
    conda:
        "../../envs/core.yaml"
    params:
        structure="{structure}",
        genes=lambda wildcards: int(wildcards.genes),
        percent=lambda wildcards: int(wildcards.percent),
        number=lambda wildcards: int(wildcards.system),
        links_per_gene=LINEAR.links_per_gene,
        strength=LINEAR.strength,
        flip_probability=LINEAR.flip_probability,
        sigma=LINEAR.sigma,
        samples_per_condition=LINEAR.samples_per_condition,
        seed=linear_seed("linear_system"),
        sample_seed=linear_seed("linear_samples"),
        threads=1,
        source=source("linear_systems/make_linear_system"),
    script:
        "../scripts/linear_systems/make_linear_system.py"


rule fit_linear_drift:
    input:
        system=f"{LINEAR_FOLDER}/system.safetensors",
    output:
        model=f"{LINEAR_FOLDER}/model.safetensors",
        training_log=f"{LINEAR_FOLDER}/log.tsv",
    log:
        f"<logs>/{LINEAR_LOGS}/fit_linear_drift.log",
    benchmark:
        f"<benchmarks>/{LINEAR_LOGS}/fit_linear_drift.tsv"
    priority: LINEAR_FITS
    conda:
        "../../envs/core.yaml"
    threads: CFG.threads.fit
    params:
        settings=linear_training,
        scaling=CFG.linear_drift.scaling,
        seed=seed("linear_drift"),
        device=CFG.device,
        threads=CFG.threads.fit,
        checkpoint=checkpoint,
        checkpoint_interval=checkpoint_interval,
        code=source("linear_systems/fit_linear_drift"),
        source=source("linear_systems/fit_linear_drift"),
    script:
        "../scripts/linear_systems/fit_linear_drift.py"


rule score_linear_system:
    input:
        system=f"{LINEAR_FOLDER}/system.safetensors",
        model=f"{LINEAR_FOLDER}/model.safetensors",
    output:
        scores=f"{LINEAR_FOLDER}/scores.tsv",
        responses=f"{LINEAR_FOLDER}/responses.tsv",
        effects=f"{LINEAR_FOLDER}/effects.safetensors",
    log:
        f"<logs>/{LINEAR_LOGS}/score_linear_system.log",
    benchmark:
        f"<benchmarks>/{LINEAR_LOGS}/score_linear_system.tsv"
    priority: LINEAR_FITS
    conda:
        "../../envs/core.yaml"
    threads: CFG.threads.fit
    params:
        clipr=settings("clipr"),
        threshold=LINEAR.threshold,
        top_effects_per_gene=LINEAR.top_effects_per_gene,
        device=CFG.device,
        threads=CFG.threads.fit,
        source=source("linear_systems/score_linear_system"),
    script:
        "../scripts/linear_systems/score_linear_system.py"


rule aggregate_linear_systems:
    input:
        score_tables=expand(f"{LINEAR_FOLDER}/scores.tsv", **LINEAR_GRID),
        response_tables=expand(f"{LINEAR_FOLDER}/responses.tsv", **LINEAR_GRID),
        training_logs=expand(f"{LINEAR_FOLDER}/log.tsv", **LINEAR_GRID),
        effects=expand(f"{LINEAR_FOLDER}/effects.safetensors", **LINEAR_GRID),
    output:
        scores="<results>/linear_systems/scores.tsv",
        summary="<results>/linear_systems/summary.tsv",
        systems="<results>/linear_systems/systems.tsv",
    log:
        "<logs>/aggregate_linear_systems.log",
    localrule: True
    conda:
        "../../envs/core.yaml"
    params:
        source=source("linear_systems/aggregate_linear_systems"),
    script:
        "../scripts/linear_systems/aggregate_linear_systems.py"


rule draw_linear_scores:
    input:
        scores="<results>/linear_systems/scores.tsv",
        summary="<results>/linear_systems/summary.tsv",
    output:
        auroc=report(
            "<results>/figures/linear_auroc.svg",
            caption="../report/linear_auroc.rst",
            category="Linear systems",
            labels={"result": "Causal effects found, all pairs of genes", "type": "figure"},
        ),
        top_effects=report(
            "<results>/figures/linear_top_effects.svg",
            caption="../report/linear_top_effects.rst",
            category="Linear systems",
            labels={"result": "The strongest effects", "type": "figure"},
        ),
    log:
        "<logs>/draw_linear_scores.log",
    benchmark:
        "<benchmarks>/draw_linear_scores.tsv"
    conda:
        "../../envs/figures.yaml"
    params:
        threshold=LINEAR.threshold,
        source=source("linear_systems/draw_linear_scores"),
    script:
        "../scripts/linear_systems/draw_linear_scores.py"


rule draw_linear_maps:
    input:
        systems=expand(f"{LINEAR_FOLDER}/system.safetensors", **LINEAR_SHOWN),
        effects=expand(f"{LINEAR_FOLDER}/effects.safetensors", **LINEAR_SHOWN),
    output:
        effect_maps=report(
            "<results>/figures/linear_effects.svg",
            caption="../report/linear_effects.rst",
            category="Linear systems",
            labels={"result": "Effects of one system", "type": "figure"},
        ),
        shift_maps=report(
            "<results>/figures/linear_shifts.svg",
            caption="../report/linear_shifts.rst",
            category="Linear systems",
            labels={"result": "Perturbations of one system", "type": "figure"},
        ),
    log:
        "<logs>/draw_linear_maps.log",
    benchmark:
        "<benchmarks>/draw_linear_maps.tsv"
    conda:
        "../../envs/figures.yaml"
    params:
        threshold=LINEAR.threshold,
        source=source("linear_systems/draw_linear_maps"),
    script:
        "../scripts/linear_systems/draw_linear_maps.py"


rule write_linear_html:
    input:
        summary="<results>/linear_systems/summary.tsv",
    output:
        summary_page=report(
            "<results>/linear_systems/summary.html",
            caption="../report/linear_summary.rst",
            category="Linear systems",
            labels={"result": "Summary per estimator", "type": "table"},
        ),
    log:
        "<logs>/write_linear_html.log",
    localrule: True
    conda:
        "../../envs/core.yaml"
    params:
        source=source("linear_systems/write_linear_html"),
    script:
        "../scripts/linear_systems/write_linear_html.py"
