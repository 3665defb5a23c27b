"""Effects of a linear system by LCD-CLIPR and by comparators, scored against the truth."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from evaluation.comparators import COMPARATORS
from evaluation.effect_scores import score_effects
from lcd_core.direct_effects import direct_effects
from lcd_core.evidence import Evidence
from lcd_core.files import save_tensors
from lcd_core.linearisation import Linearisation, linearise_model
from lcd_core.model import LCD
from lcd_core.settings import LinearisationSettings
from pipeline.devices import choose_device
from pipeline.linear_systems import EFFECTS, draw_samples, identity, read_system
from pipeline.tables import write_tsv
from simulation.linear_systems import (
    LinearSystem,
    ReferenceEstimate,
    pooled_covariance,
    reference_estimates,
)

LCD_CLIPR = "lcd_clipr"
TOLD = ("adaptive_rows", "averaged_current", "probability_current", "target_aware_rows")
COMPARED = ("inspre", "lyapunov_lasso")
DRAWS = 30  # of adaptive_rows


def main(
    *,
    system: str,
    model: str,
    scores: str,
    responses: str,
    effects: str,
    clipr: dict[str, Any],
    threshold: float,
    top_effects_per_gene: Sequence[int],
    device: str,
) -> None:
    """Write effects, responses and scores of one system.

    Parameters
    ----------
    system, model
        ``system.safetensors`` and ``model.safetensors``.
    scores
        TSV, one row per estimator and metric.
    responses
        TSV, one row per condition: convergence, and whether it entered the estimate.
    effects
        ``effects.safetensors``: the estimate and what it was solved from.
    clipr
        Section `clipr` of the configuration.
    threshold, top_effects_per_gene
        See :func:`evaluation.effect_scores.score_effects`; k is so many times the number of genes.
    """
    truth, description = read_system(system)
    fit = LCD.load(model, choose_device(device))
    linear = linearise_model(fit, fit.targets, LinearisationSettings(**clipr))

    samples = draw_samples(truth, description)
    estimates = [ReferenceEstimate(LCD_CLIPR, linear.estimate.effects, False, False)]
    estimates += from_drift(linear) + from_samples(truth, samples, int(description["seed"]))
    estimates += reference_estimates(truth, samples)
    own = identity(truth, description)
    ks = [each * len(truth.effects) for each in top_effects_per_gene]
    table = pd.concat([score_table(estimate, truth, threshold, ks) for estimate in estimates])
    write_tsv(labelled(table, own), scores)
    write_tsv(labelled(pd.DataFrame(linear.table()), own), responses)
    write_effects(linear, effects)


def from_drift(linear: Linearisation) -> list[ReferenceEstimate]:
    """Estimators that read the learned drift, and are not told the targets."""
    used = linear.used
    limits = linear.responses.limits
    evidence = Evidence(
        limits[:, used] - limits[:, :1],
        initial=linear.initial[:, used],
        limits=limits[:, used],
        jacobian=linear.jacobian,
    )
    effects = direct_effects("centred_ridge", evidence, draws=DRAWS, seed=0).effects
    return [ReferenceEstimate("centred_ridge", effects, False, False)]


def from_samples(
    system: LinearSystem, samples: NDArray[np.floating], seed: int
) -> list[ReferenceEstimate]:
    """Estimators and comparators that start from means and covariances of the samples."""
    means, n = samples.mean(axis=1, dtype=np.float64), samples.shape[1]
    covariance = pooled_covariance(samples)
    changes = (means[1:] - means[0]).T
    error = np.sqrt(2.0 * np.diag(covariance) / n)
    told = Evidence(
        changes,
        [(int(target),) for target in system.targets],
        errors=np.tile(error[:, None], (1, changes.shape[1])),
        covariance=covariance,
        sigma=system.sigma,
    )
    not_told = replace(told, targets=None)
    found = [
        ReferenceEstimate(
            name, direct_effects(name, told, draws=DRAWS, seed=seed).ranking, True, False
        )
        for name in TOLD
    ]
    inferred = direct_effects("averaged_current", not_told, draws=DRAWS, seed=seed).effects
    found.append(ReferenceEstimate("averaged_current_inferred", inferred, False, False))
    for name in COMPARED:
        own = COMPARATORS[name]
        effects = own.estimate(told).effects
        found.append(ReferenceEstimate(name, effects, own.knows_targets, False))
    return found


def score_table(
    estimate: ReferenceEstimate, truth: LinearSystem, threshold: float, ks: Sequence[int]
) -> pd.DataFrame:
    """Scores of one estimator, a row per metric; ``pearson@100`` becomes ``pearson@k``, k 100."""
    rows = []
    for name, value in score_effects(estimate.effects, truth.effects, threshold, ks).items():
        metric, at, k = name.partition("@")
        rows.append(
            {
                "estimator": estimate.name,
                "knows_targets": estimate.knows_targets,
                "knows_truth": estimate.knows_truth,
                "metric": f"{metric}@k" if at else metric,
                "k": int(k) if at else pd.NA,
                "value": value,
            }
        )
    return pd.DataFrame(rows).astype({"k": "Int64"})


def labelled(table: pd.DataFrame, own: dict[str, Any]) -> pd.DataFrame:
    """Say in every row which system it is about."""
    return pd.concat([pd.DataFrame(own, index=table.index), table], axis=1)


def write_effects(linear: Linearisation, path: str) -> None:
    """Write the estimate with the responses it was solved from, float64."""
    arrays = {
        "effects": linear.estimate.effects,
        "initial": linear.initial[:, 1:],
        "limits": linear.responses.limits[:, 1:],
        "control_limit": linear.responses.limits[:, 0],
        "origin": linear.origin,
        "bias": linear.bias,
        "shifts": linear.shifts,
    }
    metadata = {
        "perturbations": linear.names[1:],
        "used": linear.used[1:].tolist(),
        "alpha": linear.alpha,
        "ridge": linear.estimate.ridge,
        "rank": linear.estimate.rank,
        "full_rank": linear.estimate.full_rank,
    }
    tensors = {name: torch.from_numpy(np.ascontiguousarray(own)) for name, own in arrays.items()}
    save_tensors(path, EFFECTS, tensors, metadata)


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
