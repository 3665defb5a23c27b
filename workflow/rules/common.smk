"""Settings, seeds and names that the rules share."""

import re
from dataclasses import asdict
from hashlib import blake2b
from math import prod

import yaml

from lcd_core.errors import InputError
from pipeline.cluster import need_of, refuse_unknown_rules, watch_cluster
from pipeline.config.config import Config, load_config
from pipeline.config.methods import DEFAULT, TUNED
from pipeline.config.source import Source, spelled
from pipeline.environment import INTERPRETER as OWN_INTERPRETER
from pipeline.environment import prepare_environment
from pipeline.files import require_writable
from pipeline.inputs import Inputs
from pipeline.looks import looks_of
from pipeline.methods import (
    FOLD_FILES,
    HELD_OUT_FILES,
    arguments_of,
    provided_before,
    requirements_of,
    script_of,
)
from pipeline.seeds import derive_seed
from pipeline.plan import VARIANT, Fit, Plan, Variant
from pipeline.sources import source_hash
from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod

try:
    CONFIGURATION, given = spelled(config, workflow.config_settings.config_args, Config)
    SOURCE = Source(", ".join(map(str, workflow.configfiles)) or "configuration", given)
    CFG = load_config(CONFIGURATION, SOURCE)
    PLAN = Plan(CFG, SOURCE)
    for folder in (".snakemake", f"results/{CFG.run}", f"logs/{CFG.run}"):
        require_writable(folder)  # Snakemake would end in a traceback
except InputError as error:
    raise WorkflowError(str(error)) from None

prepare_environment(ROOT, CFG.threads.fit)

RESULTS = f"results/{CFG.run}"

# Names of folds. A fold says what is trained on and held out; nothing reads its name.
FOLDS = [str(number + 1) for number in range(CFG.folds.count)]
TUNING = "tuning"
ALL = "all"
CAUSE_FOLDS = [f"causes_{number + 1}" for number in range(CFG.effects.held_out_folds)]
SELECTED = [*FOLDS, TUNING, ALL]  # those whose genes are selected from the screen
HOLD_OUT = [*FOLDS, TUNING] if CFG.folds.tuning_doubles else FOLDS

INPUTS = Inputs(
    SOURCE,
    made=[
        r"downloads/msigdb/[^/]+/[^/]+\.gmt",
        rf"{re.escape(RESULTS)}/folds/({'|'.join(HOLD_OUT)})/data/test_perturbations\.txt",
        *(
            [rf"{re.escape(RESULTS)}/simulation/(modules|pathways)\.gmt"]
            if CFG.screen.kind == "simulated"
            else []
        ),
    ],
    contents=workflow.is_main_process,
)
INTERPRETER = CFG.environments.python or OWN_INTERPRETER
USES_CONDA = DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method

HAS_MODULES = CFG.modules.cut != "none"
TRUE_MODULES = [f"{RESULTS}/simulation/modules.gmt"] if CFG.screen.kind == "simulated" else []
GENE_SETS = TRUE_MODULES if CFG.enrichment.gene_sets is None else list(CFG.enrichment.gene_sets)
HAS_TERMS = HAS_MODULES and bool(GENE_SETS)
WHERE_THE_SCREEN_IS = ("kind", "path", "url", "size", "md5", "sha256")
IN_BENCHMARK = "benchmark" in CFG.analyses
IN_PREDICTIONS = "predict" in CFG.analyses
IN_EFFECTS = "effects" in CFG.analyses
HAS_SCREEN = set(CFG.analyses) != {"linear_systems"}
LOOKS = PLAN.looks()
REFERENCE = PLAN.reference if IN_BENCHMARK else ""  # what the others are compared with
EXTERNAL = [
    (evaluator, fit, fold)
    for evaluator in (CFG.evaluation.external if IN_BENCHMARK else ())
    for fit in PLAN.benchmark
    for fold in FOLDS
]
# registered ones that predict for the comparison, or of which settings are chosen for it
METHODS_THAT_RUN = (
    {*(fit.method for fit in PLAN.benchmark), *PLAN.tuned} & {*PLAN.methods}
    if IN_BENCHMARK
    else set()
)
# None where each prediction has scores of its own to come, made again whenever it is.
QUICK_FITS = PLAN.quick if IN_BENCHMARK and not EXTERNAL else []

# Of the jobs that can start, those do after which most is left to do: a fit at the end of a run
# leaves all cores but one idle. What can refuse a mistake of the user comes before all.
TELLS_EARLY, BEFORE_FITS, FITS, LINEAR_FITS = 4, 3, 2, 1

VERSUS = f"{looks_of(LOOKS).flat_label(REFERENCE)} against every other method"


wildcard_constraints:
    fold="|".join([*SELECTED, *CAUSE_FOLDS]),
    method="|".join([*PLAN.methods, *CFG.methods.own]),
    variant=VARIANT,


def require_writable_outputs(jobs):
    """Raise WorkflowError where jobs would replace files in folders without permission."""
    try:
        for folder in sorted({Path(file).parent for job in jobs for file in job.output}):
            require_writable(folder)
    except InputError as error:
        raise WorkflowError(str(error)) from None


def named(place):
    """A key with the file that it stands in, for messages."""
    return f"{SOURCE.of(place)}, {place}"


def seed(purpose, **labels):
    """Seed of a job: depends on the root seed, the run, the job's wildcards and the purpose.

    Variants of one seed share their draws, so that they differ by their settings alone.
    """

    def from_wildcards(wildcards):
        own = dict(wildcards.items()) | labels
        if "variant" in own:
            own["variant"] = Variant.parse(own["variant"]).seed
        return derive_seed(CFG.seed, run=CFG.run, purpose=purpose, **own)

    return from_wildcards


def settings(section, *, leave_out=()):
    """Plain values of a section of the configuration, in the order of the schema."""
    values = getattr(CFG, section).model_dump(mode="json")
    return {key: value for key, value in values.items() if key not in leave_out}


# Params that are functions of `output` or `threads` are no reason for Snakemake to rerun a job.


def checkpoint(wildcards, output):
    """Hidden file beside a fit, its first output, in which it saves its progress."""
    fit = Path(output[0])
    return str(fit.with_name(f".{fit.stem}.checkpoint"))


def checkpoint_interval(wildcards, threads):
    """Seconds between two checkpoints."""
    return CFG.checkpoints.interval


def source(script):
    """Hash of a script and of the modules it imports, so that editing them reruns the rule."""
    return source_hash(ROOT, f"workflow/scripts/{script}.py")


def needs_of_rules(wildcards):
    """What the rules that belong to this run ask a cluster for, at their first attempt."""
    unused = {
        "linear_systems": "linear_systems" not in CFG.analyses,
        "effects": "effects" not in CFG.analyses,
        "effects_figures": "effects" not in CFG.analyses,
        "predictions": not IN_PREDICTIONS,
        "tuning": not PLAN.tuned,
        "external": not EXTERNAL,
    }
    others = set(PLAN.methods) - METHODS_THAT_RUN - ({LCD} if LCD_FITS else set())
    needs = []
    for each in workflow.rules:
        of_other = any(each.name.startswith(f"{name}_") for name in others)
        if workflow.is_local(each) or unused.get(Path(str(each.snakefile)).stem) or of_other:
            continue
        resources = dict(each.expand_resources({}, [], attempt=1).items())
        needs.append(asdict(need_of(each.name, resources["_cores"], resources)))
    return sorted(needs, key=lambda need: need["rule"])


def raw_screen(wildcards):
    """The screen's file as the configuration names it."""
    if CFG.screen.kind == "simulated":
        return rules.simulate_screen.output.screen
    if CFG.screen.kind == "download":
        return f"downloads/{CFG.screen.download_name}"
    return CFG.screen.path


def output_of(method, program, argument, fold, variant):
    """A file of a method's program, from the variant that runs it for all that agree with it."""
    own = PLAN.methods[method]
    step = own.program(program)
    owner = PLAN.owner(own, Variant.parse(str(variant)), step)
    return f"{RESULTS}/folds/{fold}/{method}/{owner}/{step.outputs[argument]}"


def outputs_of(fit, fold):
    """All files of a fit."""
    return [
        output_of(fit.method, program.script, argument, fold, fit.variant)
        for program in PLAN.methods[fit.method].programs
        for argument in program.outputs
    ]


def prediction_of(fold, method, variant):
    """The prediction of a method, or the file with one made elsewhere."""
    own = PLAN.own_prediction(method)
    if own is None:
        last = last_program(PLAN.methods[method])
        return output_of(method, last.script, "prediction", fold, variant)
    path = own.predictions.replace("{fold}", fold)
    try:
        INPUTS.prediction(
            f"methods.{method}.predictions", path, f"{RESULTS}/folds/{fold}/data", FOLDS
        )
    except InputError as error:
        raise WorkflowError(str(error)) from None
    return path


def table_of_folds(wildcards):
    """The table that says what a fold trains on; all conditions need none."""
    return [] if wildcards.fold == ALL else f"{RESULTS}/folds/folds.tsv"


def place_of_predictions(wildcards, output):
    """The section of the panel with what it was read from; no reason to predict it again."""
    return named("predictions")


# What the folds and their genes have to allow for: checked when they are made, and, as a function
# of `output`, no reason to make them, and all fits, again.


def gives_effects(wildcards, output=None):
    """Whether effects are read from a fold's fits."""
    return "effects" in CFG.analyses and wildcards.fold == ALL


def module_markers(wildcards, output):
    """Markers by which the modules of a fold's effects are cut; else none."""
    by_markers = CFG.modules.cut == "markers" and gives_effects(wildcards)
    return list(CFG.modules.markers) if by_markers else []


def module_number(wildcards, output):
    """Clusters into which the tree of a fold's effects is cut; else 1."""
    by_number = CFG.modules.cut == "number" and gives_effects(wildcards)
    return CFG.modules.number if by_number else 1


def held_out_folds(wildcards, output):
    """Folds of held-out causes, where a fold's fits give the effects; else 0."""
    return len(CAUSE_FOLDS) if gives_effects(wildcards) else 0


def compared_genes(wildcards, output):
    """Genes that the evaluation of a fold compares at the least; 1 where there is none."""
    return CFG.evaluation.top_genes if IN_BENCHMARK and wildcards.fold != ALL else 1


def fewest_test_cells(wildcards, output):
    """Cells of a held-out perturbation without which it cannot be evaluated."""
    return PLAN.fewest_test_cells if IN_BENCHMARK else 1


def means_of_combinations(wildcards, output):
    """Methods that need a combination to train on."""
    return PLAN.named("mean_combination") if IN_BENCHMARK else []


def settings_file(method, program):
    """The settings that a program reads, for the variant of a job."""

    def of_variant(wildcards):
        name = Variant.parse(wildcards.variant).settings
        return f"{RESULTS}/settings/{method}/{name}/{program}.json"

    return of_variant


def python_of(environment):
    """Version of Python in the conda environment of a tool, with which it is known to work."""
    described = yaml.safe_load((ROOT / f"envs/{environment}.yaml").read_text(encoding="utf-8"))
    return described["dependencies"][0].partition("=")[2]


def environment_of(environment):
    """What says that a tool's environment is made; nothing where Snakemake makes it for the job."""
    if USES_CONDA:
        return []
    content = requirements_of(environment).read_bytes() + INTERPRETER.encode()
    digest = blake2b(content, digest_size=4).hexdigest()
    return f"environments/{environment}-{digest}/ready.json"


def makes_environments():
    """Whether this process may have to make one, for a method that runs or an evaluator."""
    scripts = [
        script_of(PLAN.methods[name], program)
        for name in METHODS_THAT_RUN
        for program in PLAN.methods[name].programs
    ]
    wanted = any("environment" in arguments_of(path) for path in scripts) or bool(EXTERNAL)
    return wanted and workflow.is_main_process and not USES_CONDA


def gene_sets_of(method, argument):
    """Gene sets that a method's settings name, else those of the simulation or the enrichment."""
    own = PLAN.all_settings(method.name, DEFAULT)[method.files[argument]]
    if own is None and CFG.screen.kind == "simulated":
        return f"{RESULTS}/simulation/pathways.gmt"
    return list(GENE_SETS if own is None else own)


def check_gene_sets(method):
    """Raise InputError where a method that runs names no gene sets, or such as cannot be read."""
    for argument, key in method.files.items():
        paths = gene_sets_of(method, argument)
        if not isinstance(paths, list):
            continue
        own = PLAN.all_settings(method.name, DEFAULT)[key] is not None
        place = f"methods.{method.name}.{key}" if own else "enrichment.gene_sets"
        if not paths:
            raise InputError(
                f"{method.label} needs gene sets",
                where=named(f"methods.{method.name}.{key}") + " (or enrichment.gene_sets)",
                found="none",
                remedy="name gene sets of MSigDB, such as "
                "downloads/msigdb/2024.1.Hs/c5.go.bp.gmt, which are then fetched",
            )
        INPUTS.gene_sets(place, paths)


def check_inputs():
    """Raise InputError where a file that the configuration names is missing or cannot be read."""
    if CFG.screen.kind == "file":
        INPUTS.path("screen.path", CFG.screen.path)
        if not Path(f"{RESULTS}/screen/imported.h5ad").exists():  # it is needed no more
            INPUTS.screen("screen.path", CFG.screen.path)
    if CFG.screen.kind == "download":
        INPUTS.path("screen.url", CFG.screen.download_name)
    if CFG.screen.cells_table:
        INPUTS.file("screen.cells_table", CFG.screen.cells_table, "there is no such table of cells")
    if CFG.screen.target_genes:
        INPUTS.table_of_targets("screen.target_genes", CFG.screen.target_genes)
    if CFG.interactions.annotations:
        INPUTS.annotations("interactions.annotations", CFG.interactions.annotations)
    if IN_PREDICTIONS and CFG.predictions.file:
        INPUTS.combinations("predictions.file", CFG.predictions.file)
    if IN_PREDICTIONS and CFG.predictions.wanted_signature:
        INPUTS.signature("predictions.wanted_signature", CFG.predictions.wanted_signature)
    if HAS_TERMS and "effects" in CFG.analyses:
        INPUTS.gene_sets("enrichment.gene_sets", GENE_SETS)
    for name, own in CFG.methods.own.items():
        INPUTS.path(f"methods.{name}.predictions", own.predictions.replace("{fold}", ""))
    for name in sorted(METHODS_THAT_RUN):
        check_gene_sets(PLAN.methods[name])
    if CFG.environments.python is not None and makes_environments():
        INPUTS.interpreter("environments.python", CFG.environments.python)


def written_before(method, program, argument):
    """What an earlier program of the same method wrote, for the fit of a job."""

    def of_fit(wildcards):
        return output_of(method, program, argument, wildcards.fold, wildcards.variant)

    return of_fit


def inputs_of(method, program):
    """Files that a program reads, by the names of its arguments."""
    data = "<results>/folds/{fold}/data"
    before = provided_before(method, program)
    files = {}
    for argument in arguments_of(script_of(method, program)):
        if argument in program.outputs:
            continue
        if argument in before:
            earlier = before[argument][0]
            files[argument] = written_before(method.name, earlier.script, argument)
        elif argument in FOLD_FILES | HELD_OUT_FILES:
            files[argument] = f"{data}/{(FOLD_FILES | HELD_OUT_FILES)[argument]}"
        elif argument == "settings":
            files[argument] = settings_file(method.name, program.script)
        elif argument == "environment":
            files[argument] = environment_of(program.environment)
        elif argument in method.files:
            files[argument] = gene_sets_of(method, argument)
    return files


def code_of(method, program):
    """Hash of a program and of the modules it imports."""
    return source_hash(ROOT, script_of(method, program).relative_to(ROOT))


def params_of(method, program):
    """Values that a program gets, by the names of its arguments, and what decides on reruns."""
    hash_of_code = code_of(method, program)
    values = {
        "n_cells": CFG.prediction.cells,
        # references are observed cells, of which the evaluation compares halves
        "keep": "cells" if method.kind == "reference" else CFG.prediction.keep,
        "top_genes": CFG.evaluation.top_genes,
        "check_cells": CFG.evaluation.check_cells,
        "seed": seed(program.script, method=method.name),
        "device": CFG.device,
        "code": hash_of_code,
        "checkpoint": checkpoint,
        "checkpoint_interval": checkpoint_interval,
    }
    wanted = arguments_of(script_of(method, program))
    threads = {"threads": CFG.threads.fit} if program.threaded else {}
    own = {name: value for name, value in values.items() if name in wanted}
    return own | threads | {"program": f"{method.name}/{program.script}", "source": hash_of_code}


def folds_with_own_job(method):
    """Folds of which the jobs of a method are its own, as a pattern that sees what follows.

    Predictions of a quick method that the benchmark compares are made with those of the others.
    """
    names = "|".join([*SELECTED, *CAUSE_FOLDS])
    variants = "|".join(
        re.escape(str(fit.variant)) for fit in QUICK_FITS if fit.method == method.name
    )
    if not variants:
        return names
    return rf"(?!(?:{'|'.join(FOLDS)})/{method.name}/(?:{variants})/)(?:{names})"


def quick_programs(wildcards):
    """Module of every quick method's program, and its arguments but for the prediction."""
    return [(module, read | values) for module, read, values in quick_arguments(wildcards.fold)]


def files_of_quick_methods(wildcards):
    """Files that the programs of quick methods read."""
    paths = [path for _, read, _ in quick_arguments(wildcards.fold) for path in read.values()]
    return list(dict.fromkeys(paths))


def quick_arguments(fold):
    """Modules of quick methods' programs, with files that they read, and values, by argument."""
    found = []
    for fit in QUICK_FITS:
        method = PLAN.methods[fit.method]
        program = last_program(method)
        own = params_of(method, program)
        arguments = arguments_of(script_of(method, program))
        values = {name: own[name] for name in arguments if name in own}
        if "seed" in values:
            values["seed"] = values["seed"]({"fold": fold, "variant": str(fit.variant)})
        read = files_read(method, program, fold, fit.variant)
        found.append((f"{method.name}.{program.script}", read, values))
    return found


def priority_of(method, program):
    """That of a fit, which later programs of the method read, or which itself predicts."""
    later = method.programs[method.programs.index(program) + 1 :]
    read = {argument for own in later for argument in arguments_of(script_of(method, own))}
    fits_and_predicts = program.threaded and method.programs == (program,)
    return FITS if fits_and_predicts or read & program.outputs.keys() else 0


def last_program(method):
    """The program of a method that writes its prediction."""
    return [program for program in method.programs if "prediction" in program.outputs][-1]


def files_read(method, program, fold, variant):
    """Files that a program in our own environment reads for a fit, by argument."""
    settings_name = f"{method.name}/{variant.settings}/{program.script}"
    paths = {
        argument: f"{RESULTS}/folds/{fold}/data/{file}"
        for argument, file in (FOLD_FILES | HELD_OUT_FILES).items()
    }
    for argument, (earlier, _) in provided_before(method, program).items():
        paths[argument] = output_of(method.name, earlier.script, argument, fold, variant)
    paths["settings"] = f"{RESULTS}/settings/{settings_name}.json"
    return {own: paths[own] for own in arguments_of(script_of(method, program)) if own in paths}


def files_to_reproduce(names, fold):
    """Method, module, argument and path of what methods read to draw what they trained on.

    Those are left out of which the prediction was made elsewhere, by a package in an environment
    of its own, or from the held-out cells.
    """
    files = []
    for name in names:
        fit = Fit.parse(name)
        method = PLAN.methods.get(fit.method)
        if method is None or method.kind == "reference":
            continue
        program = last_program(method)
        if "environment" in arguments_of(script_of(method, program)):
            continue
        paths = files_read(method, program, fold, fit.variant)
        del paths["test_perturbations"]
        imported = f"methods.{method.name}.{program.script}"
        files += [(name, imported, argument, path) for argument, path in paths.items()]
    return files


def codes_of(methods):
    """Hashes of the programs by which methods predict."""
    own = [PLAN.methods[name] for name in methods]
    return [code_of(method, last_program(method)) for method in own]


def code_of_fitted(files):
    """Hashes of the programs that reproduce them."""
    return codes_of(dict.fromkeys(Fit.parse(name).method for name, *_ in files))


def given_values(name):
    """What a prediction made elsewhere holds, where its file need not say it."""
    return getattr(PLAN.own_prediction(Fit.parse(name).method), "values", None)


def names_of_fits(fits):
    """How figures name fits of LCD: by their fold, and by their variant where it has several."""
    folds = [fold for fold, _ in fits]
    return [fold if folds.count(fold) == 1 else f"{fold} {variant}" for fold, variant in fits]


def asked_of_run():
    """What the configuration asks for, as the front page of the report says it."""
    screens = {
        "simulated": "a simulated screen",
        "file": f"the screen in {CFG.screen.path}",
        "download": f"the screen downloaded from {CFG.screen.url}",
    }
    grid = (LINEAR.structures, LINEAR.genes, LINEAR.perturbed_percent)
    return {
        "analyses": list(CFG.analyses),
        "screen": screens[CFG.screen.kind],
        "folds": CFG.folds.count,
        "methods": [str(fit) for fit in PLAN.benchmark] if IN_BENCHMARK else [],
        "tuned": list(CFG.tuning.methods),
        "seeds": CFG.effects.seeds,
        "estimator": CFG.effects.estimator,
        "changes": CFG.effects.changes,
        "cause_folds": len(CAUSE_FOLDS),
        "edges": CFG.effects.edges,
        "systems": LINEAR.systems * prod(map(len, grid)),
    }


def settings_as_given():
    """The configuration as YAML, without what changes no result."""
    left_out = ("checkpoints", "cluster")
    given = {key: value for key, value in CONFIGURATION.items() if key not in left_out}
    return yaml.safe_dump(given, sort_keys=True, allow_unicode=True)


def sections_of_report():
    """Sections of the report that this run has, in the order of its menu."""
    there = {
        "Benchmark": IN_BENCHMARK,
        "Causal effects": "effects" in CFG.analyses,
        "Fits": bool(LCD_FITS),
        "Interactions": HAS_INTERACTIONS,
        "Linear systems": "linear_systems" in CFG.analyses,
        "Overview": True,
        "Predictions": "predict" in CFG.analyses,
        "Screen": HAS_SCREEN,
    }
    return [section for section, wanted in there.items() if wanted]


def metrics_of(fold, fit):
    """Table of metrics of a fit."""
    return f"{RESULTS}/folds/{fold}/{fit.method}/{fit.variant}/metrics.tsv"


def values_of(method):
    """What the prediction of a method holds, if it was made elsewhere and its entry says so."""
    return getattr(PLAN.own_prediction(method), "values", None)


def metrics_params():
    """Parameters of the comparison of predictions with the cells of a fold."""

    def fold(wildcards):
        return getattr(wildcards, "fold", TUNING)

    return dict(
        metrics=CFG.evaluation.metrics,
        top_genes=CFG.evaluation.top_genes,
        components=CFG.evaluation.components,
        cells=CFG.evaluation.cells,
        splits=CFG.evaluation.splits,
        max_cells=CFG.evaluation.max_cells,
        fold=fold,
        # the same for all methods, which are then compared with the same cells
        seed=lambda wildcards: derive_seed(
            CFG.seed, run=CFG.run, fold=fold(wildcards), purpose="metrics"
        ),
        threads=1,
        source=source("benchmark/compute_metrics"),
    )


def external_files(name):
    """Files of the evaluators made elsewhere, one for each that runs on a fit of a fold."""
    return [
        f"{RESULTS}/external/{fold}/{fit.method}/{fit.variant}/{name.format(evaluator=evaluator)}"
        for evaluator, fit, fold in EXTERNAL
    ]


def grid_metrics(wildcards):
    """Metrics of every point of a method's grid."""
    return [metrics_of(TUNING, fit) for fit in PLAN.grid_fits(wildcards.method)]


def grid_settings(wildcards):
    """All settings of every point of a method's grid."""
    fits = PLAN.grid_fits(wildcards.method)
    return [PLAN.all_settings(wildcards.method, fit.variant.settings) for fit in fits]


def linear_training(wildcards):
    """Settings of the training on a linear system, which takes longer for large ones."""
    values = settings("linear_drift", leave_out=("scaling",))
    steps = values.pop("steps_from_1000_genes")
    if steps is not None and int(wildcards.genes) >= 1000:
        values["steps"] = steps
    return values


def linear_seed(purpose):
    """Seed that linear systems share which differ in their perturbed genes alone."""

    def from_wildcards(wildcards):
        which = {key: wildcards[key] for key in ("structure", "genes", "system")}
        return derive_seed(CFG.seed, run=CFG.run, purpose=purpose, **which)

    return from_wildcards


def before_the_first_job():
    """On a cluster, end here where jobs could never start, rather than wait for them."""
    require_writable_outputs(workflow.dag.needrun_jobs())
    try:
        refuse_unknown_rules(workflow)
        watch_cluster(workflow, CFG.cluster.check)
    except InputError as error:
        raise WorkflowError(str(error)) from None


def final_files():
    """What the target `all` makes: the results of the analyses that were asked for."""
    files = [*rules.summarise_run.output, *rules.write_overview.output]
    if HAS_SCREEN:
        files += [
            *rules.summarise_perturbations.output,
            *rules.draw_differential_expression.output,
            *rules.write_differential_expression_html.output,
        ]
    if IN_BENCHMARK:
        registered = [fit for fit in PLAN.benchmark if fit.method in PLAN.methods]
        files += [
            *rules.aggregate_metrics.output,
            [metrics_of(fold, fit) for fit in PLAN.benchmark for fold in FOLDS],
            [outputs_of(fit, fold) for fit in registered for fold in FOLDS],
            *rules.draw_metrics.output,
            *rules.draw_expression.output,
            *rules.write_tables_html.output,
            *rules.write_held_out_html.output,
        ]
        if HAS_INTERACTIONS:
            files += [
                *rules.aggregate_interactions.output,
                *rules.draw_interactions.output,
                *rules.write_interactions_html.output,
            ]
        if PLAN.tuned:
            files += rules.collect_winners.output
        if EXTERNAL:
            files += [*rules.compare_scores.output, *rules.compare_scores.input.scores]
    if LCD_FITS:
        checks = PLAN.methods[LCD].program("check_fits").outputs
        files += [
            *rules.draw_training_curves.output,
            *rules.draw_fit_checks.output,
            *rules.summarise_fits.output,
            [
                output_of(LCD, "check_fits", argument, *fit)
                for fit in LCD_FITS
                for argument in checks
            ],
        ]
    if "effects" in CFG.analyses:
        # Fits are asked for by name, so that a deleted one is made again.
        files += [
            [
                output_of(LCD, "fit_drift", argument, *fit)
                for fit in EFFECT_FITS
                for argument in ("model", "training_log")
            ],
            collect(rules.estimate_effects.output, zip, **EFFECT_FITS_BY_NAME),
            *rules.export_effects.output,
            *rules.find_modules.output,
            *rules.validate_edges.output,
            *rules.draw_effect_maps.output,
            *rules.draw_network.output,
            *rules.draw_validation.output,
            *rules.write_effects_html.output,
        ]
        if HAS_MODULES:
            files += rules.draw_module_numbers.output
        if HAS_TERMS:
            files += [
                *rules.check_gene_sets.output,
                *rules.enrich_modules.output,
                *rules.draw_enrichment.output,
            ]
        if CFG.effects.held_out_folds:
            files += rules.validate_held_out_edges.output
        if CFG.screen.kind == "simulated":
            files += [*rules.score_recovery.output, *rules.draw_recovery.output]
    if IN_PREDICTIONS:
        files += [
            [
                output_of(LCD, "fit_drift", argument, ALL, variant)
                for variant in PREDICT_VARIANTS
                for argument in ("model", "training_log")
            ],
            *rules.list_combinations.output,
            collect(
                rules.predict_combinations.output,
                variant=PREDICT_VARIANTS,
                part=[REFERENCE_PART, *PARTS],
            ),
            *rules.summarise_predictions.output,
            *rules.draw_predictions.output,
            *rules.write_predictions_html.output,
        ]
        if CFG.predictions.cells_of:
            files += rules.sample_combinations.output
    if "linear_systems" in CFG.analyses:
        files += [
            *rules.aggregate_linear_systems.output,
            *rules.draw_linear_scores.output,
            *rules.draw_linear_maps.output,
            *rules.write_linear_html.output,
            collect(rules.score_linear_system.output, **LINEAR_GRID),
        ]
    return files


try:
    check_inputs()
except InputError as error:
    raise WorkflowError(str(error)) from None
