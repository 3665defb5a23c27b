"""Methods beside LCD: same inputs, same contract."""


rule predict_reference:
    input:
        unpack(reference_inputs),
    output:
        prediction="<results>/folds/{fold}/predictions/{method}.h5ad",
    log:
        "<logs>/{fold}/predict_{method}.log",
    benchmark:
        "<benchmarks>/{fold}/predict_{method}.tsv"
    conda:
        "../../envs/core.yaml"
    params:
        n_cells=CFG.prediction.cells,
        seed=seed("predict"),
        source=lambda wildcards: source(f"../methods/{wildcards.method}/predict"),
    script:
        "../methods/{wildcards.method}/predict.py"


ruleorder: predict_lcd > predict_reference
