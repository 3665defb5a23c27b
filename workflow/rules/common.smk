"""Settings, seeds and names that the rules share."""

import os
import sys
from pathlib import Path

ROOT = Path(workflow.basedir)
CODE = [str(ROOT), str(ROOT / "workflow" / "scripts")]

# Scripts run as processes of their own, on this machine or on a cluster's node, where this file is
# read again: they find the code through the environment.
sys.path[:0] = CODE
os.environ["PYTHONPATH"] = os.pathsep.join([*CODE, os.environ.get("PYTHONPATH", "")]).rstrip(
    os.pathsep
)

from lcd_core.errors import InputError
from pipeline.config import load_config
from pipeline.seeds import derive_seed
from pipeline.sources import source_hash
from snakemake.exceptions import WorkflowError

try:
    CFG = load_config(config, ", ".join(map(str, workflow.configfiles)) or "configuration")
except InputError as error:
    raise WorkflowError(str(error)) from None

# Idle OpenMP threads must sleep: spinning ones slow down the fits that run beside them.
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = str(CFG.threads.fit)
os.environ["NUMBA_NUM_THREADS"] = "1"

FOLDS = [str(number + 1) for number in range(CFG.folds.count)]
METHODS = list(CFG.prediction.methods)


wildcard_constraints:
    fold="[0-9]+|tuning|all",
    method="|".join(METHODS),


def seed(*purpose):
    """Seed of a job: depends on the root seed, the run, the fold and the purpose only."""

    def from_wildcards(wildcards):
        return derive_seed(CFG.seed, CFG.run, *wildcards, *purpose)

    return from_wildcards


def settings(section, *, leave_out=()):
    """Plain values of a section of the configuration, in the order of the schema."""
    values = getattr(CFG, section).model_dump(mode="json")
    return {key: value for key, value in values.items() if key not in leave_out}


NETWORK = ("hidden", "embedding_dimensions", "time_dimensions", "parameterization")
LEVELS = {"noise_levels": "count", "alpha_min": "smallest", "alpha_max": "largest"}


def drift_settings(part, section="drift"):
    """Settings of the drift's `network`, of its noise `levels`, or of its `training`."""
    values = settings(section)
    if part == "network":
        return {key: values[key] for key in NETWORK}
    if part == "levels":
        return {argument: values[key] for key, argument in LEVELS.items()}
    return settings(section, leave_out=(*NETWORK, *LEVELS))


def source(script):
    """Hash of a script and of the modules it imports, so that editing them reruns the rule."""
    return source_hash(ROOT, f"workflow/scripts/{script}.py")


def final_files():
    """What the target `all` makes: the results of the analyses that were asked for."""
    files = []
    if "benchmark" in CFG.analyses:
        files += [
            *rules.aggregate_metrics.output,
            *rules.draw_benchmark_figures.output,
            *rules.draw_training_figures.output,
            *rules.write_tables_html.output,
        ]
    if "linear_systems" in CFG.analyses:
        files += [*rules.aggregate_linear_systems.output, *rules.draw_linear_figures.output]
    return files
