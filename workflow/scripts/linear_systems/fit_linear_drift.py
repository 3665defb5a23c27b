"""Learn the drift of a linear system from its samples; there is no measurement model."""

from typing import Any

import torch

from lcd_core.fit import fit_to_states
from lcd_core.settings import DriftSettings, StateSettings
from pipeline.checkpoints import checkpoints
from pipeline.devices import choose_device
from pipeline.linear_systems import draw_samples, gene_names, read_system
from pipeline.training_table import write_training_log


def main(
    *,
    system: str,
    model: str,
    training_log: str,
    settings: dict[str, Any],
    scaling: str,
    seed: int,
    device: str,
    checkpoint: str,
    checkpoint_interval: float,
    code: str,
) -> None:
    """Draw the samples, train the drift and write the fitted model.

    Parameters
    ----------
    system
        ``system.safetensors``.
    model
        ``model.safetensors``; the zero probabilities and rate scales in it say nothing, for
        states are observed directly.
    training_log
        TSV, one row per so many steps.
    settings
        Fields of :class:`lcd_core.settings.DriftSettings`.
    scaling
        See :class:`lcd_core.settings.StateSettings`.
    checkpoint, checkpoint_interval, code
        See :func:`pipeline.checkpoints.checkpoints`.
    """
    truth, description = read_system(system)
    states = torch.from_numpy(draw_samples(truth, description))
    _, samples, d = states.shape
    genes = gene_names(d)
    targets = [genes[target] for target in truth.targets]
    with checkpoints(checkpoint, checkpoint_interval, code) as own:
        fitted, log = fit_to_states(
            states,
            [(), *((target,) for target in targets)],
            genes,
            targets,
            StateSettings(scaling=scaling),
            DriftSettings(**settings, samples=samples),
            eta=torch.ones(d),
            pi=torch.zeros(d),
            seed=seed,
            device=choose_device(device),
            checkpoints=own,
        )
        write_training_log(log, training_log)
        fitted.save(model)


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
