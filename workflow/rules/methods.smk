"""The registered methods: a rule for each of their programs, and the settings these read."""


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
            wildcard_constraints:
                fold=folds_with_own_job(method),
            priority: priority_of(method, program)
            conda:
                f"../../envs/{program.environment}.yaml"
            threads: CFG.threads.fit if program.threaded else 1
            params:
                **params_of(method, program),
            script:
                "../methods/{params.program}.py"  # filled in when the job runs, unlike a variable of the loop
