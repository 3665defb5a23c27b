"""Predict a fold by all methods whose programs take less time than a job takes to start."""

import importlib
import logging
from collections.abc import Mapping, Sequence
from typing import Any


def main(
    *,
    files: Sequence[str],
    predictions: Sequence[str],
    programs: Sequence[tuple[str, Mapping[str, Any]]],
    code: Sequence[str],
) -> None:
    """Run the programs one after the other.

    Parameters
    ----------
    files
        All that the programs read.
    predictions
        The file that each of them writes.
    programs
        Module of each below ``methods``, such as ``salt.predict``, and its other arguments.
    code
        Hashes of the programs, so that editing one makes the predictions again.
    """
    for prediction, (name, arguments) in zip(predictions, programs, strict=True):
        logging.info("%s: %s", name, prediction)
        importlib.import_module(f"methods.{name}").main(prediction=prediction, **arguments)


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
