"""Inference step 2 of one fold: one drift for all training conditions."""

from typing import Any

import torch

from lcd_core.fit import fit_diffusion, fit_to_expression
from lcd_core.prior import ImplicitPriors
from lcd_core.settings import DriftSettings, StateSettings
from lcd_core.states import EXPRESSION
from pipeline.checkpoints import checkpoints
from pipeline.devices import choose_device
from pipeline.screen import counts_by_condition, lognorm, read_names, read_screen, targets_of
from pipeline.settings import read_settings
from pipeline.training_table import write_training_log


def main(
    *,
    train: str,
    prior: str,
    test_perturbations: str,
    settings: str,
    model: str,
    training_log: str,
    seed: int,
    device: str,
    checkpoint: str,
    checkpoint_interval: float,
    code: str,
) -> None:
    """Draw states from the priors, train the drift and write the fitted model.

    Parameters
    ----------
    train
        Training cells, read only where their expression is modelled itself (an ablation).
    prior
        ``prior.safetensors`` of the fold.
    test_perturbations
        Held-out perturbations: their targets become known to the model, those never seen in
        training with the mean of the learned embeddings.
    settings
        JSON with the sections `states` and `drift`: fields of
        :class:`lcd_core.settings.StateSettings` and :class:`lcd_core.settings.DriftSettings`.
    model, training_log
        Files to write: the fitted model, and one row per so many steps.
    checkpoint, checkpoint_interval, code
        See :func:`pipeline.checkpoints.checkpoints`.
    """
    chosen = read_settings(settings)
    states, drift = StateSettings(**chosen["states"]), DriftSettings(**chosen["drift"])
    held_out = {target for q in read_names(test_perturbations) for target in targets_of(q)}
    with checkpoints(checkpoint, checkpoint_interval, code) as own:
        rest: dict[str, Any] = {
            "further_targets": sorted(held_out),
            "seed": seed,
            "device": choose_device(device),
            "checkpoints": own,
        }
        if states.transform == EXPRESSION:
            screen = read_screen(train)
            counts = counts_by_condition(screen)
            cells = {q: torch.from_numpy(lognorm(y)) for q, y in counts.items()}
            sets = {q: targets_of(q) for q in cells}
            fitted, log = fit_to_expression(
                cells, list(screen.var_names), sets, states, drift, **rest
            )
        else:
            priors = ImplicitPriors.load(prior)
            sets = {q: targets_of(q) for q in priors.names}
            fitted, log = fit_diffusion(priors, sets, states, drift, **rest)
        write_training_log(log, training_log)
        fitted.save(model)


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
