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
from pipeline.settings import read_settings
from pipeline.training_table import write_training_log

NETWORK = ("hidden", "embedding_dimensions", "time_dimensions", "parameterization")
LEVELS = {"noise_levels": "count", "alpha_min": "smallest", "alpha_max": "largest"}


def main(
    *,
    prior: str,
    test_perturbations: str,
    settings: str,
    model: str,
    training_log: str,
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
    settings
        JSON with the sections `states` and `drift`.
    model, training_log
        Files to write: the fitted model, and one row per so many steps.
    """
    own = read_settings(settings)
    network, levels, training, samples = drift_settings(own["drift"])
    states = own["states"]
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
    log = fit_drift(drift, drawn, membership, ScoreMatchingSettings(**training), seed=seed)
    fitted = LCD(priors.genes, targets, drift, transform, priors.pi, trained)
    fitted.impute_untrained_targets()
    write_training_log(log, training_log)
    fitted.save(Path(model).parent)


def drift_settings(
    values: dict[str, Any],
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any], int]:
    """Network, noise levels, training and samples out of the section `drift`."""
    network = {key: values.pop(key) for key in NETWORK}
    levels = {argument: values.pop(key) for key, argument in LEVELS.items()}
    samples = values.pop("samples")
    return network, levels, values, samples


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
