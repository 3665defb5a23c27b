"""Inference step 1 of one fold: the implicit prior of every training condition."""

from typing import Any

import torch

from lcd_core.measurement import rate_scale
from lcd_core.prior import fit_priors
from lcd_core.settings import PriorSettings
from pipeline.checkpoints import checkpoints
from pipeline.devices import choose_device
from pipeline.screen import CONTROL, counts_by_condition, read_screen
from pipeline.training_table import write_training_log


def main(
    *,
    train: str,
    prior: str,
    training_log: str,
    settings: dict[str, Any],
    seed: int,
    device: str,
    checkpoint: str,
    checkpoint_interval: float,
    code: str,
) -> None:
    """Fit the priors and write them.

    Parameters
    ----------
    train
        Training cells of the fold.
    prior
        ``prior.safetensors``.
    settings
        Fields of :class:`lcd_core.settings.PriorSettings`.
    device
        ``auto``, ``cpu`` or ``cuda``.
    checkpoint, checkpoint_interval, code
        See :func:`pipeline.checkpoints.checkpoints`.
    """
    screen = read_screen(train)
    counts = {q: torch.from_numpy(y) for q, y in counts_by_condition(screen).items()}
    eta = rate_scale(counts[CONTROL].numpy())
    with checkpoints(checkpoint, checkpoint_interval, code) as own:
        priors, log = fit_priors(
            counts,
            list(screen.var_names),
            eta,
            PriorSettings(**settings),
            seed=seed,
            device=choose_device(device),
            checkpoints=own,
        )
        write_training_log(log, training_log)
        priors.save(prior)


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
