"""Latent causal diffusion: from perturbation screens to predictions and their evaluation."""

from snakemake.utils import min_version

min_version("9.12")


include: "workflow/rules/configuration.smk"
include: "workflow/rules/common.smk"


report: "workflow/report/workflow.rst"


pathvars:
    results=f"results/{CFG.run}",
    logs=f"logs/{CFG.run}",
    benchmarks=f"logs/{CFG.run}/benchmarks",


include: "workflow/rules/screen.smk"
include: "workflow/rules/folds.smk"
include: "workflow/rules/environments.smk"
include: "workflow/rules/methods.smk"
include: "workflow/rules/benchmark.smk"
include: "workflow/rules/interactions.smk"
include: "workflow/rules/external.smk"
include: "workflow/rules/tuning.smk"
include: "workflow/rules/effects.smk"
include: "workflow/rules/effects_figures.smk"
include: "workflow/rules/predictions.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/linear_systems.smk"
include: "workflow/rules/overview.smk"
include: "workflow/rules/cluster.smk"
include: "workflow/rules/estimate.smk"


onstart:
    before_the_first_job()


rule all:
    default_target: True
    input:
        final_files(),
    localrule: True
