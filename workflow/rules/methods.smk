"""The registered methods: a rule for each of their programs, and the settings these read."""


def settings_file(method, program):
    """The settings that a program reads, for the variant of a job."""

    def of_variant(wildcards):
        name = Variant.parse(wildcards.variant).settings
        return f"{RESULTS}/settings/{method}/{name}/{program}.json"

    return of_variant


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
    return files


def params_of(method, program):
    """Values that a program gets, by the names of its arguments, and what decides on reruns."""
    hash_of_code = source_hash(ROOT, script_of(method, program).relative_to(ROOT))
    values = {
        "n_cells": CFG.prediction.cells,
        "keep": CFG.prediction.keep,
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


rule write_settings:
    output:
        settings="<results>/settings/{method}/{settings_name}/{program}.json",
    log:
        "<logs>/settings/{method}/{settings_name}/{program}.log",
    wildcard_constraints:
        settings_name=f"(?!{TUNED}/)[A-Za-z0-9_]+",
        program="[a-z_]+",
    localrule: True
    conda:
        "../../envs/screen.yaml"
    params:
        values=lambda wildcards: PLAN.settings(
            wildcards.method,
            wildcards.settings_name,
            PLAN.methods[wildcards.method].program(wildcards.program),
        ),
        source=source("tuning/write_settings"),
    script:
        "../scripts/tuning/write_settings.py"


for method in PLAN.methods.values():
    for program in method.programs:

        rule:
            name:
                f"{method.name}_{program.script}"
            input:
                **inputs_of(method, program),
            output:
                **{
                    argument: f"<results>/folds/{{fold}}/{method.name}/{{variant}}/{file}"
                    for argument, file in program.outputs.items()
                },
            log:
                f"<logs>/folds/{{fold}}/{method.name}/{{variant}}/{program.script}.log",
            benchmark:
                f"<benchmarks>/folds/{{fold}}/{method.name}/{{variant}}/{program.script}.tsv"
            conda:
                f"../../envs/{program.environment}.yaml"
            threads: CFG.threads.fit if program.threaded else 1
            params:
                **params_of(method, program),
            script:
                "../methods/{params.program}.py"  # filled in when the job runs, unlike a variable of the loop
