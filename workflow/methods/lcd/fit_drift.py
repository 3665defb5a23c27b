"""Inference step 2 of one fold: one drift for all training conditions."""

from pathlib import Path
from typing import Any

import torch

from lcd_core.conditions import multi_hot
from lcd_core.drift import Drift, noise_levels
from lcd_core.model import LCD
from lcd_core.prior import ImplicitPriors
from lcd_core.score_matching import ScoreMatchingSettings, fit_drift
from lcd_core.states import StateTransform
from pipeline.devices import choose_device
from pipeline.screen import CONTROL, read_names, targets_of
from pipeline.training_table import write_training_log


def main(
    *,
    prior: str,
    test_perturbations: str,
    weights: str,
    metadata: str,
    training_log: str,
    settings: dict[str, Any],
    network: dict[str, Any],
    levels: dict[str, Any],
    states: dict[str, Any],
    samples: int,
    seed: int,
    device: str,
) -> None:
    """Draw states from the priors, train the drift and write the fitted model.

    Parameters
    ----------
    prior
        ``prior.safetensors`` of the fold; ``prior.json`` lies beside it.
    test_perturbations
        Held-out perturbations: their targets become known to the model, those never seen in
        training with the mean of the learned embeddings.
    settings, network, levels
        Fields of :class:`lcd_core.score_matching.ScoreMatchingSettings`, arguments of
        :class:`lcd_core.drift.Drift` and of :func:`lcd_core.drift.noise_levels`.
    states
        Section `states` of the configuration: ``transform``, ``pseudocount``, ``scaling`` and
        ``shrinkage`` of :meth:`lcd_core.states.StateTransform.fit`.
    samples
        States drawn per condition.
    """
    priors = ImplicitPriors.load(Path(prior).parent)
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.stack([priors.sample_states(q, samples, generator) for q in priors.names])
    transform = StateTransform.fit(
        drawn,
        drawn[priors.names.index(CONTROL)],
        priors.eta,
        kind=states["transform"],
        pseudocount=states["pseudocount"],
        scaling=states["scaling"],
        shrinkage=states["shrinkage"],
    )
    for row in range(len(drawn)):  # in place, condition by condition: samples can be gigabytes
        drawn[row] = transform.forward(drawn[row])

    trained = sorted({t for q in priors.names for t in targets_of(q)})
    held_out = {t for q in read_names(test_perturbations) for t in targets_of(q)}
    targets = sorted(held_out.union(trained))
    membership = multi_hot([targets_of(q) for q in priors.names], targets)

    place = choose_device(device)
    drift = Drift(len(priors.genes), len(targets), noise_levels(**levels), **network).to(place)
    log = fit_drift(drift, drawn, membership, ScoreMatchingSettings(**settings), seed=seed)
    model = LCD(priors.genes, targets, drift, transform, priors.pi, trained)
    model.impute_untrained_targets()
    write_training_log(log, training_log)
    model.save(Path(weights).parent)


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
