"""LCD's programs where expression is modelled itself, without priors and measurement model."""

import json

import numpy as np

from methods.lcd import check_fits, fit_drift, fit_prior, predict
from pipeline.predictions import read_prediction
from pipeline.tables import read_tsv
from tests.scripts.predictions_fixture import GENES, HELD_OUT, TRAINED, write_fold
from tests.scripts.screens import write_tests
from tests.scripts.test_outputs_documented import SETTINGS


def test_cells_are_predicted_and_checked_as_expression(tmp_path):
    fold = write_fold(tmp_path)
    tests = str(tmp_path / "tests.tsv")
    write_tests(fold.train, tests)
    chosen = SETTINGS | {"states": {"transform": "expression"}}
    settings = str(tmp_path / "settings.json")
    (tmp_path / "settings.json").write_text(json.dumps(chosen))
    prior, model = (str(tmp_path / f"{name}.safetensors") for name in ("prior", "model"))
    job = {"seed": 1, "device": "cpu"}
    saving = {"checkpoint": str(tmp_path / "c"), "checkpoint_interval": 1e9, "code": ""}
    log = str(tmp_path / "log.tsv")
    fit_prior.main(
        train=fold.train, settings=settings, prior=prior, training_log=log, **job, **saving
    )
    fit_drift.main(
        train=fold.train, prior=prior, test_perturbations=fold.test_perturbations,
        settings=settings, model=model, training_log=log, **job, **saving,
    )  # fmt: skip
    prediction = str(tmp_path / "p.h5ad")
    predict.main(
        model=model, test_perturbations=fold.test_perturbations, settings=settings,
        prediction=prediction, n_cells=7, keep="cells", **job,
    )  # fmt: skip
    cells = read_prediction(prediction, GENES, HELD_OUT)
    assert cells.values == "lognorm"
    assert {name: len(cells.rows(name)) for name in HELD_OUT} == dict.fromkeys(HELD_OUT, 7)

    tables = {name: str(tmp_path / f"{name}.tsv") for name in ("table", "genes", "states")}
    check_fits.main(
        train=fold.train, differential_expression=tests, prior=prior, model=model,
        settings=settings, table=tables["table"], gene_table=tables["genes"],
        state_table=tables["states"], check_cells=10, top_genes=4, **job,
    )  # fmt: skip
    distances = read_tsv(tables["table"])
    assert set(distances["perturbation"]) == set(TRAINED) - {"control"}
    assert np.isfinite(distances["value"]).all()
    assert np.isfinite(read_tsv(tables["states"]).select_dtypes("number")).all(axis=None)
