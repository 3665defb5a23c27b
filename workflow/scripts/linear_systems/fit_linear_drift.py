"""Learn the drift of a linear system from its samples; there is no measurement model."""

from pathlib import Path
from typing import Any

import torch

from lcd_core.conditions import multi_hot
from lcd_core.drift import Drift, noise_levels
from lcd_core.model import LCD
from lcd_core.score_matching import ScoreMatchingSettings, fit_drift
from lcd_core.states import StateTransform
from pipeline.devices import choose_device
from pipeline.linear_systems import draw_samples, gene_names, read_system
from pipeline.training_table import write_training_log


def main(
    *,
    system: str,
    weights: str,
    metadata: str,
    training_log: str,
    settings: dict[str, Any],
    network: dict[str, Any],
    levels: dict[str, Any],
    scaling: str,
    seed: int,
    device: str,
) -> None:
    """Draw the samples, train the drift and write the fitted model.

    Parameters
    ----------
    system
        ``system.safetensors``.
    weights, metadata
        ``model.safetensors`` and ``model.json``; the zero probabilities and rate scales in it say
        nothing, for states are observed directly.
    training_log
        TSV, one row per so many steps.
    settings, network, levels
        Fields of :class:`lcd_core.score_matching.ScoreMatchingSettings`, arguments of
        :class:`lcd_core.drift.Drift` and of :func:`lcd_core.drift.noise_levels`.
    scaling
        See :meth:`lcd_core.states.StateTransform.fit`.
    """
    truth, description = read_system(system)
    states = torch.from_numpy(draw_samples(truth, description))
    d = states.shape[2]
    transform = StateTransform.fit(states, states[0], torch.ones(d), scaling=scaling)
    for row in range(len(states)):  # in place: the samples of a large system are a gigabyte
        states[row] = transform.forward(states[row])

    genes = gene_names(d)
    targets = [genes[target] for target in truth.targets]
    membership = multi_hot([[], *([target] for target in targets)], targets)
    place = choose_device(device)
    drift = Drift(d, len(targets), noise_levels(**levels), **network).to(place)
    log = fit_drift(
        drift, states.to(place), membership, ScoreMatchingSettings(**settings), seed=seed
    )
    write_training_log(log, training_log)
    LCD(genes, targets, drift, transform, torch.zeros(d)).save(Path(weights).parent)


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
