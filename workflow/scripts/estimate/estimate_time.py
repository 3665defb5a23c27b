"""How long a run will take on this machine, before it starts."""

import json
import logging
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from lcd_core.errors import InputError


def main(
    *,
    configuration: Mapping[str, Any],
    configfiles: Sequence[str],
    given: Sequence[str],
    cores: int,
    interpreter: str,
) -> None:
    """Print the time of what the target `all` has yet to do, a line per stage.

    Parameters
    ----------
    configuration
        The configuration as it was read.
    configfiles, given
        Its files, and what the command line lays over them, for the plan.
    cores
        Cores of the run.
    interpreter
        A Python with Snakemake, which is asked for the jobs, and with the libraries of a fit.

    Raises
    ------
    InputError
        If the run cannot be planned, or the size of its screen is not known.
    """
    asked = {
        "configuration": configuration,
        "configfiles": list(configfiles),
        "given": list(given),
        "targets": ["all"],
        "cores": cores,
    }
    done = subprocess.run(
        [interpreter, "-m", "estimate.tell"],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise InputError("the time cannot be estimated", found=done.stderr.strip()[-1500:])
    logging.info("%s", done.stdout.rstrip())


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
