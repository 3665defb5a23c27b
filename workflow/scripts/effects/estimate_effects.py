"""Causal effects of one fitted model: responses to its single perturbations, then CLIPR."""

from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from lcd_core.errors import InputError
from lcd_core.estimators import regularised_pseudoinverse
from lcd_core.linearisation import Linearisation, linearise_model
from lcd_core.model import LCD
from lcd_core.settings import LinearisationSettings
from pipeline.devices import choose_device
from pipeline.screen import CONTROL, lognorm, read_screen, targets_of, write_h5ad
from pipeline.tables import write_tsv


def main(
    *,
    train: str,
    model: str,
    effects: str,
    responses: str,
    table: str,
    clipr: dict[str, Any],
    device: str,
) -> None:
    """Write the effects among all modelled genes and the responses they were solved from.

    Parameters
    ----------
    train
        The cells that the model was fitted to; those perturbed at one target alone give the
        responses.
    model
        ``model.safetensors`` of the fit.
    effects
        Effects (h5ad, causes x effects), see :func:`pipeline.effects.read_effects`.
    responses
        Responses (h5ad, conditions x genes, control first): limits in ``X``.
    table
        TSV, one row per condition: sizes of its responses, convergence, and whether it was used.
    clipr
        Section `clipr` of the configuration.
    """
    fitted = LCD.load(model, choose_device(device))
    settings = LinearisationSettings(**clipr)
    linear = linearise_model(fitted, single_perturbations(train), settings)
    own = response_data(linear, fitted)
    write_tsv(pd.DataFrame(linear.table()), table)
    write_h5ad(own, responses)
    write_h5ad(effect_data(linear, own), effects)


def single_perturbations(train: str) -> list[str]:
    """Targets that were perturbed alone, sorted."""
    labels = read_screen(train).obs["perturbation"].astype(str).unique()
    singles = sorted(name for name in labels if len(targets_of(name)) == 1)
    if not singles:
        raise InputError(
            "causal effects need perturbations of one target alone",
            where=f"{train}, obs['perturbation']",
            found=sorted(set(labels) - {CONTROL}) or "control cells alone",
            remedy="leave `effects` out of the analyses of this screen",
        )
    return singles


def response_data(linear: Linearisation, fitted: LCD) -> ad.AnnData:
    """Responses as conditions x genes; ``NaN`` rows of ``pseudoinverse`` where not used."""
    limits = linear.responses.limits
    used = linear.used
    pseudoinverse = np.full(limits.shape, np.nan)
    pseudoinverse[:, used] = regularised_pseudoinverse(limits[:, used], linear.estimate.ridge).T
    expression = limit_expression(linear.origin + limits.T, fitted)
    obs = pd.DataFrame(linear.table()).set_index("perturbation")
    obs["target_is_gene"] = obs.index.isin(fitted.genes)
    return ad.AnnData(
        X=np.ascontiguousarray(limits.T),
        obs=obs,
        var=pd.DataFrame({"origin": linear.origin, "bias": linear.bias}, index=fitted.genes),
        layers={
            "initial": np.ascontiguousarray(linear.initial.T),
            "pseudoinverse": np.ascontiguousarray(pseudoinverse.T),
            "limit_expression": expression - expression[0],
        },
        uns={"coordinates": fitted.transform.settings.transform},
    )


def limit_expression(states: NDArray[np.float64], fitted: LCD) -> NDArray[np.float64]:
    """Log-normalised expected counts at states (n, d) before centring and scaling."""
    transform = fitted.transform.to("cpu", torch.float64)
    present = 1.0 - fitted.pi.cpu().double()
    expected = present * transform.rate_of(torch.from_numpy(states))
    return lognorm(expected.numpy()).astype(np.float64)


def effect_data(linear: Linearisation, responses: ad.AnnData) -> ad.AnnData:
    """Effects as causes x effects; the responses of a gene's own perturbation in its row."""
    genes = responses.var_names
    used = responses[responses.obs["used"].to_numpy(dtype=bool)]
    position = genes.get_indexer(used.obs_names)
    own = used[position >= 0]
    rows = position[position >= 0]
    layers = {}
    for name, values in {"limit": own.X, **{key: own.layers[key] for key in own.layers}}.items():
        layers[name] = np.full((len(genes), len(genes)), np.nan)
        layers[name][rows] = values
    obs = pd.DataFrame({"perturbed": np.isin(genes, own.obs_names)}, index=genes)
    obs["converged"] = own.obs["converged"].reindex(genes).astype("boolean")
    obs["relative_residual"] = own.obs["relative_residual"].reindex(genes)
    return ad.AnnData(
        X=np.ascontiguousarray(linear.estimate.effects.T),
        obs=obs,
        var=pd.DataFrame({"control_limit": np.array(responses.X[0])}, index=genes),
        layers=layers,
        uns={
            "ridge": linear.estimate.ridge,
            "alpha": linear.alpha,
            "rank": linear.estimate.rank,
            "perturbations": int(linear.used.sum()),
            "coordinates": responses.uns["coordinates"],
        },
    )


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
