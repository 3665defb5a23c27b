"""What jobs find in their environment."""

import os
import shlex
import sys
from pathlib import Path

from pipeline.sources import BASES

INTERPRETER = sys.executable
"""The interpreter that runs Snakemake, as the file system knows it."""


def prepare_environment(root: str | Path, threads: int) -> None:
    """Let scripts find the code, fix their threads, and let idle threads sleep.

    Scripts run as processes of their own, on this machine or on a cluster's node, where the
    Snakefile is read again; they inherit what is set here. OpenMP threads that spin while they
    wait slow down the fits that run beside them.
    """
    code = [str(Path(root) / base) for base in BASES]
    known = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    others = [path for path in known if path not in code]
    os.environ["PYTHONPATH"] = os.pathsep.join([*code, *others])
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ[f"{library}_NUM_THREADS"] = str(threads)
    os.environ["NUMBA_NUM_THREADS"] = "1"
    # Snakemake writes this path as it is into its shell commands; `My Drive` would be two words.
    sys.executable = shlex.quote(INTERPRETER)
