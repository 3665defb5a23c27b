"""Run cell-eval of the Arc Institute on exported cells."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from pipeline.exports import CONTROL_LABEL, LABELS
from pipeline.tools import copy_result, interpreter, run_command


def main(
    *, observed_cells: str, predicted_cells: str, environment: str | Sequence[str], scores: str
) -> None:
    """Write its table of all metrics, one row per perturbation, as the tool itself writes it."""
    program = Path(interpreter(environment)).with_name("cell-eval")
    with tempfile.TemporaryDirectory(prefix="cell_eval_") as folder:
        run_command(
            [str(program), "run",
             "--adata-pred", str(Path(predicted_cells).absolute()),
             "--adata-real", str(Path(observed_cells).absolute()),
             "--pert-col", LABELS, "--control-pert", CONTROL_LABEL,
             "--profile", "full", "--num-threads", "1", "--outdir", "results"],
            folder, name="cell-eval",
        )  # fmt: skip
        copy_result(Path(folder) / "results", "results.csv", "cell-eval", scores)


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
