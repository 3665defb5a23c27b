"""The latent causal diffusion of a fold: prior, drift, samples, and a check of both fits."""


rule fit_prior:
    input:
        train=training_cells,
    output:
        prior="<results>/folds/{fold}/prior/prior.safetensors",
        training_log="<results>/folds/{fold}/prior/log.tsv",
    log:
        "<logs>/{fold}/fit_prior.log",
    benchmark:
        "<benchmarks>/{fold}/fit_prior.tsv"
    conda:
        "../../envs/core.yaml"
    threads: CFG.threads.fit
    params:
        settings=settings("prior"),
        seed=seed("prior"),
        device=CFG.device,
        threads=CFG.threads.fit,
        checkpoint=checkpoint,
        checkpoint_interval=checkpoint_interval,
        code=source("../methods/lcd/fit_prior"),
        source=source("../methods/lcd/fit_prior"),
    script:
        "../methods/lcd/fit_prior.py"


rule fit_drift:
    input:
        prior="<results>/folds/{fold}/prior/prior.safetensors",
        test_perturbations=names_to_predict,
    output:
        model="<results>/folds/{fold}/model/model.safetensors",
        training_log="<results>/folds/{fold}/model/log.tsv",
    log:
        "<logs>/{fold}/fit_drift.log",
    benchmark:
        "<benchmarks>/{fold}/fit_drift.tsv"
    conda:
        "../../envs/core.yaml"
    threads: CFG.threads.fit
    params:
        settings=settings("drift"),
        states=state_settings,
        seed=seed("drift"),
        device=CFG.device,
        threads=CFG.threads.fit,
        checkpoint=checkpoint,
        checkpoint_interval=checkpoint_interval,
        code=source("../methods/lcd/fit_drift"),
        source=source("../methods/lcd/fit_drift"),
    script:
        "../methods/lcd/fit_drift.py"


rule predict_lcd:
    input:
        model="<results>/folds/{fold}/model/model.safetensors",
        test_perturbations="<results>/folds/{fold}/test_perturbations.txt",
    output:
        prediction="<results>/folds/{fold}/predictions/lcd.h5ad",
    log:
        "<logs>/{fold}/predict_lcd.log",
    benchmark:
        "<benchmarks>/{fold}/predict_lcd.tsv"
    conda:
        "../../envs/core.yaml"
    threads: CFG.threads.fit
    params:
        n_cells=CFG.prediction.cells,
        sampler=settings("sampling", leave_out=("preset",)),
        seed=seed("predict_lcd"),
        device=CFG.device,
        threads=CFG.threads.fit,
        source=source("../methods/lcd/predict"),
    script:
        "../methods/lcd/predict.py"


rule check_fits:
    input:
        train=training_cells,
        prior="<results>/folds/{fold}/prior/prior.safetensors",
        model="<results>/folds/{fold}/model/model.safetensors",
    output:
        table="<results>/folds/{fold}/checks/training_conditions.tsv",
        genes="<results>/folds/{fold}/checks/genes.tsv",
        states="<results>/folds/{fold}/checks/states.tsv",
    log:
        "<logs>/{fold}/check_fits.log",
    benchmark:
        "<benchmarks>/{fold}/check_fits.tsv"
    conda:
        "../../envs/core.yaml"
    threads: CFG.threads.fit
    params:
        top_genes=CFG.evaluation.top_genes,
        n_cells=CFG.evaluation.check_cells,
        sampler=settings("sampling", leave_out=("preset",)),
        seed=seed("check_fits"),
        device=CFG.device,
        threads=CFG.threads.fit,
        source=source("../methods/lcd/check_fits"),
    script:
        "../methods/lcd/check_fits.py"
