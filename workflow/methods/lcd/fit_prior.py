"""Inference step 1 of one fold: the implicit prior of every training condition."""

import torch

from lcd_core.prior import fit_priors, scale_of
from lcd_core.settings import PriorSettings
from pipeline.checkpoints import checkpoints
from pipeline.devices import choose_device
from pipeline.screen import CONTROL, counts_by_condition, read_screen
from pipeline.settings import read_settings
from pipeline.training_table import write_training_log


def main(
    *,
    train: str,
    settings: str,
    prior: str,
    training_log: str,
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
    settings
        JSON with the section `prior`: fields of :class:`lcd_core.settings.PriorSettings`.
    prior, training_log
        Files to write: the priors, and one row per so many steps.
    device
        ``auto``, ``cpu`` or ``cuda``.
    checkpoint, checkpoint_interval, code
        See :func:`pipeline.checkpoints.checkpoints`.
    """
    screen = read_screen(train)
    counts = {q: torch.from_numpy(y) for q, y in counts_by_condition(screen).items()}
    chosen = PriorSettings(**read_settings(settings)["prior"])
    eta = scale_of(counts[CONTROL].numpy(), chosen)
    with checkpoints(checkpoint, checkpoint_interval, code) as own:
        priors, log = fit_priors(
            counts,
            list(screen.var_names),
            eta,
            chosen,
            seed=seed,
            device=choose_device(device),
            checkpoints=own,
        )
        write_training_log(log, training_log)
        priors.save(prior)


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
