"""Predicted expression of one part of a panel, by one fit."""

import logging
import time
from collections.abc import Sequence

import anndata as ad
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from lcd_core.conditions import multi_hot
from lcd_core.coupled_sampling import (
    coupled_states,
    expected_expression,
    expected_fractions,
    moved_by_zeros,
)
from lcd_core.model import LCD
from lcd_core.settings import PRESETS
from lcd_core.streams import stream
from pipeline.combinations import FLOW
from pipeline.devices import choose_device
from pipeline.profiles import LAYERS, MEAN
from pipeline.screen import lognorm, targets_of, write_h5ad
from pipeline.tables import read_tsv

ROWS = 4096
"""States that are drawn at once: bounds the memory, and decides nothing else."""

DRAWS = 4
"""Cells drawn from each state for the variance of expression."""

MOVED = "moved"
LARGE = 0.01
"""Share of the expected total, moved by the zeros of one gene, above which means are biased."""

Profile = dict[str, NDArray[np.float32]]


def main(
    *,
    combinations: str,
    model: str,
    profiles: str,
    part: str,
    n_states: int,
    sampler: str,
    seed: int,
    device: str,
) -> None:
    """Write mean and variance of the expression of every combination of a part.

    All combinations, parts and fits share their random numbers, so that they differ by what the
    models say.

    Parameters
    ----------
    combinations
        The panel.
    model
        The fit.
    profiles
        h5ad to write, combinations x genes: ``X`` mean of log1p(counts per 10,000),
        ``layers["variance"]`` over cells, ``layers["half_difference"]`` half of the difference
        between the means over the first and the second half of the states, from which comes what
        chance does, and ``layers["normalised"]`` mean counts per 10,000.
    part
        Which part it is.
    n_states
        States of each combination.
    sampler
        ``flow``, or a preset of the annealed sampler.
    seed
        Seed that all parts share.
    """
    table = read_tsv(combinations, dtype={"perturbation": str, "part": str})
    names = table.loc[table["part"] == part, "perturbation"].tolist()
    fitted = LCD.load(model, choose_device(device))
    batch = max(1, ROWS // n_states)
    found: list[Profile] = []
    start = time.perf_counter()
    with tqdm(total=len(names), desc=f"part {part}", unit=" combinations") as bar:
        for first in range(0, len(names), batch):
            own = names[first : first + batch]
            found.append(predict(fitted, own, n_states, sampler, seed))
            if first == 0:
                tell(time.perf_counter() - start, len(own), len(names))
            bar.update(len(own))
    values = {key: np.concatenate([each[key] for each in found]) for key in found[0]}
    moved = values[MOVED].max(axis=0)
    if moved.max() > LARGE:
        logging.warning(
            "genes that hold much of all counts and are often zero beyond Poisson counts; the "
            "means of all genes are biased by a share of about this: %s",
            ", ".join(f"{fitted.genes[j]} {moved[j]:.2f}" for j in np.flatnonzero(moved > LARGE)),
        )
    write_h5ad(
        ad.AnnData(
            X=values[MEAN],
            obs=pd.DataFrame(index=pd.Index(names, dtype=str)),
            var=pd.DataFrame(index=fitted.genes),
            layers={layer: values[layer] for layer in LAYERS},
        ),
        profiles,
    )


def tell(seconds: float, done: int, number: int) -> None:
    """Estimate from the first batch how long the rest takes."""
    each = seconds / done
    logging.info(
        "first %d combinations in %.1f s: about %s for the %d of this part",
        done,
        seconds,
        duration(each * number),
        number,
    )


def duration(seconds: float) -> str:
    """Seconds, minutes or hours in words."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def predict(model: LCD, names: Sequence[str], n_states: int, sampler: str, seed: int) -> Profile:
    """Mean, variance, difference of halves, and mean counts per 10,000, (combinations, d) each."""
    membership = multi_hot([targets_of(name) for name in names], model.targets)
    settings = None if sampler == FLOW else PRESETS[sampler]
    states = coupled_states(model.drift, membership, n_states, seed=seed, sampler=settings)
    expression, normalised, variance, moved = [], [], [], []
    for own in states:  # one at a time: counts of all would be the largest of all arrays
        expected, fractions, cells = expressed(model, own, seed)
        expression.append(expected.double())
        normalised.append(fractions.double().mean(dim=0))
        variance.append(np.var(cells, axis=0, ddof=1, dtype=np.float64))
        if model.has_measurement:
            moved.append(moved_by_zeros(model.transform.rate(own), model.pi))
    by_state = torch.stack(expression)  # (combinations, states, genes)
    half = n_states // 2
    difference = (by_state[:, :half].mean(dim=1) - by_state[:, half:].mean(dim=1)) / 2
    return {
        MEAN: by_state.mean(dim=1).float().cpu().numpy(),
        "variance": np.stack(variance).astype(np.float32),
        "half_difference": difference.float().cpu().numpy(),
        "normalised": torch.stack(normalised).float().cpu().numpy(),
        MOVED: torch.stack(moved).float().cpu().numpy() if moved else np.zeros((1, 1), np.float32),
    }


def expressed(
    model: LCD, states: torch.Tensor, seed: int
) -> tuple[torch.Tensor, torch.Tensor, NDArray[np.float32]]:
    """Expected expression and counts per 10,000 of each state (n, d), and expression of cells."""
    if not model.has_measurement:
        log_expression = model.transform.expression(states)
        return log_expression, torch.expm1(log_expression), log_expression.cpu().numpy()
    rate, pi = model.transform.rate(states), model.pi.to(states.device)
    generator = stream(seed, "measurement", device=states.device)
    drawn = torch.poisson(rate.repeat(DRAWS, 1), generator=generator)
    seen = torch.rand(drawn.shape, generator=generator, device=drawn.device) >= pi
    cells = lognorm((drawn * seen).cpu().numpy())
    return expected_expression(rate, pi), expected_fractions(rate, pi), cells


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
