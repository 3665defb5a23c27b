"""Settings, seeds and names that the rules share."""

import sys
from pathlib import Path

ROOT = Path(workflow.basedir)
sys.path[:0] = [str(ROOT / base) for base in ("", "workflow/scripts", "workflow")]

from lcd_core.errors import InputError
from pipeline.config import load_config
from pipeline.environment import prepare_environment
from pipeline.files import require_writable
from pipeline.looks import looks_of
from pipeline.method_looks import METHOD_LOOKS
from pipeline.seeds import derive_seed
from pipeline.sources import source_hash
from snakemake.exceptions import WorkflowError

try:
    CFG = load_config(config, ", ".join(map(str, workflow.configfiles)) or "configuration")
    for folder in (".snakemake", f"results/{CFG.run}", f"logs/{CFG.run}"):
        require_writable(folder)  # Snakemake would end in a traceback
except InputError as error:
    raise WorkflowError(str(error)) from None

prepare_environment(ROOT, CFG.threads.fit)

FOLDS = [str(number + 1) for number in range(CFG.folds.count)]
METHODS = list(CFG.prediction.methods)
ALL = "all"  # the fold that trains on every condition

LOOKS = METHOD_LOOKS
REFERENCE = "lcd"  # the method that the benchmark compares with every other
VERSUS = f"{looks_of(LOOKS).flat_label(REFERENCE)} against every other method"

# Folds whose fits are checked against their training cells.
CHECKED = (FOLDS if "benchmark" in CFG.analyses else []) + (
    [ALL] if "effects" in CFG.analyses else []
)


wildcard_constraints:
    fold=f"[0-9]+|tuning|{ALL}|{ALL}_seed[0-9]+|causes_[0-9]+",
    method="|".join(METHODS),


def seed(*purpose):
    """Seed of a job: depends on the root seed, the run, the fold and the purpose only."""

    def from_wildcards(wildcards):
        return derive_seed(CFG.seed, CFG.run, *wildcards, *purpose)

    return from_wildcards


def settings(section, *, leave_out=()):
    """Plain values of a section of the configuration, in the order of the schema."""
    values = getattr(CFG, section).model_dump(mode="json")
    return {key: value for key, value in values.items() if key not in leave_out}


def state_settings(wildcards):
    """Coordinates in which the drift of a fold is learned; fits for effects may have their own."""
    values = settings("states")
    if wildcards.fold.startswith((ALL, "causes_")):
        own = settings("effects")
        values |= {key: own[key] for key in values if own.get(key) is not None}
    return values


def linear_training(wildcards):
    """Settings of the training on a linear system, which takes longer for large ones."""
    values = settings("linear_drift", leave_out=("scaling",))
    steps = values.pop("steps_from_1000_genes")
    if steps is not None and int(wildcards.genes) >= 1000:
        values["steps"] = steps
    return values


# Params that are functions of `output` or `threads` are no reason for Snakemake to rerun a job.


def checkpoint(wildcards, output):
    """Hidden file beside a fit, its first output, in which it saves its progress."""
    fit = Path(output[0])
    return str(fit.with_name(f".{fit.stem}.checkpoint"))


def checkpoint_interval(wildcards, threads):
    """Seconds between two checkpoints."""
    return CFG.checkpoints.interval


def linear_seed(purpose):
    """Seed that linear systems share which differ in their perturbed genes alone."""

    def from_wildcards(wildcards):
        which = (wildcards.structure, wildcards.genes, wildcards.system)
        return derive_seed(CFG.seed, CFG.run, *which, purpose)

    return from_wildcards


def source(script):
    """Hash of a script and of the modules it imports, so that editing them reruns the rule."""
    return source_hash(ROOT, f"workflow/scripts/{script}.py")


def raw_screen(wildcards):
    """The screen's file as the configuration names it."""
    if CFG.screen.kind == "simulated":
        return rules.simulate_screen.output.screen
    if CFG.screen.kind == "download":
        return f"downloads/{CFG.screen.download_name}"
    return CFG.screen.path


def data_fold(wildcards):
    """The fold with the data of a fit: fits of several seeds share those of all conditions."""
    return ALL if wildcards.fold.startswith(f"{ALL}_seed") else wildcards.fold


def training_cells(wildcards):
    """The cells that a fit is trained on."""
    return f"results/{CFG.run}/folds/{data_fold(wildcards)}/train.h5ad"


def names_to_predict(wildcards):
    """The names of the perturbations that a fit does not see."""
    return f"results/{CFG.run}/folds/{data_fold(wildcards)}/test_perturbations.txt"


def table_of_folds(wildcards):
    """The table that says what a fold trains on; all conditions need none."""
    return [] if wildcards.fold == ALL else f"results/{CFG.run}/folds/folds.tsv"


def reference_inputs(wildcards):
    """Training cells and names; the ceiling alone, which is no method, sees the held-out cells."""
    folder = f"results/{CFG.run}/folds/{wildcards.fold}"
    files = {
        "train": f"{folder}/train.h5ad",
        "test_perturbations": f"{folder}/test_perturbations.txt",
    }
    if wildcards.method == "ceiling":
        files["test"] = f"{folder}/test.h5ad"
    return files


def final_files():
    """What the target `all` makes: the results of the analyses that were asked for."""
    files = []
    if "benchmark" in CFG.analyses:
        files += [
            *rules.aggregate_metrics.output,
            collect(rules.compute_metrics.output, fold=FOLDS, method=METHODS),
            *rules.draw_metrics.output,
            *rules.draw_expression.output,
            *rules.write_tables_html.output,
        ]
    if CHECKED:
        files += [
            collect(rules.check_fits.output, fold=CHECKED),
            *rules.draw_training_curves.output,
            *rules.draw_fit_checks.output,
        ]
    if "effects" in CFG.analyses:
        # Fits are asked for by name, so that a deleted one is made again.
        fits = [*SEED_FITS, *CAUSE_FOLDS]
        files += [
            collect(rules.fit_drift.output, fold=fits),
            collect(rules.estimate_effects.output, fold=fits),
            *rules.export_effects.output,
            *rules.find_modules.output,
            *rules.validate_edges.output,
            *rules.draw_effect_maps.output,
            *rules.draw_enrichment.output,
            *rules.draw_network.output,
            *rules.draw_validation.output,
            *rules.write_effects_html.output,
        ]
        if CFG.enrichment.gene_sets:
            files += rules.enrich_modules.output
        if CFG.effects.held_out_folds:
            files += rules.validate_held_out_edges.output
        if CFG.screen.kind == "simulated":
            files += [*rules.score_recovery.output, *rules.draw_recovery.output]
    if "linear_systems" in CFG.analyses:
        files += [
            *rules.aggregate_linear_systems.output,
            *rules.draw_linear_scores.output,
            *rules.draw_linear_maps.output,
            *rules.write_linear_html.output,
            collect(rules.score_linear_system.output, **LINEAR_GRID),
        ]
    return files
