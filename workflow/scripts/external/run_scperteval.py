"""Run scPertEval (Vollenweider and Buehlmann 2026) on exported cells."""

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path

import anndata as ad
import pandas as pd

from lcd_core.atomic import atomic
from pipeline.exports import CONTROL_LABEL, LABELS
from pipeline.tools import copy_result, interpreter, run_command

COLUMNS = ["protocol", "perturbation", "score"]
LEAST_CELLS = 2
"""It leaves out perturbations with fewer cells; its own default is 30."""


def main(
    *, observed_cells: str, predicted_cells: str, environment: str | Sequence[str], scores: str
) -> None:
    """Write its table of all protocols, one row per protocol and perturbation.

    Beside its default protocols, the distances between cells are computed over all genes, on which
    they can be compared with ours. It compares each perturbation with the others: where a fold
    holds out one alone, the table is empty.
    """
    observed = ad.read_h5ad(observed_cells, backed="r")
    genes, names = observed.n_vars, set(observed.obs[LABELS].astype(str)) - {CONTROL_LABEL}
    if len(names) < 2:
        logging.warning(
            "no scores: scPertEval compares a perturbation with the other held-out ones of its "
            "fold, and %s is the only one",
            *names,
        )
        with atomic(scores) as temporary:
            pd.DataFrame(columns=COLUMNS).to_csv(temporary, index=False)
        return
    program = Path(interpreter(environment)).with_name("scperteval")
    protocols = f"all,unbiased_mmd_median_top_k={genes},energy_distance_top_k={genes}"
    with tempfile.TemporaryDirectory(prefix="scperteval_") as folder:
        run_command(
            [str(program), "score",
             str(Path(observed_cells).absolute()), str(Path(predicted_cells).absolute()),
             "--protocols", protocols, "--perturbation-key", LABELS,
             "--control-label", CONTROL_LABEL, "--min-cells", str(LEAST_CELLS),
             "--workers", "1", "--out-dir", "results"],
            folder, name="scPertEval",
        )  # fmt: skip
        copy_result(Path(folder) / "results", "*__score.csv", "scPertEval", scores)


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
