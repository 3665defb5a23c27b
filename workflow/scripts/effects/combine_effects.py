"""Effects over several training seeds: their mean, spread, and agreement in sign."""

from collections.abc import Sequence

import anndata as ad
import numpy as np
import pandas as pd

from lcd_core.errors import InputError
from pipeline.effects import read_effects
from pipeline.screen import write_h5ad

ERRORS = ("error", "change_error")


def main(*, fits: Sequence[str], ensemble: str) -> None:
    """Write the mean effects of fits that differ in their seeds alone.

    Parameters
    ----------
    fits
        Effects (h5ad, causes x effects) of each fit.
    ensemble
        The same with means in ``X``, in every layer, of the changes and of the control's limit
        (errors by their mean square, which repeated fits to the same cells do not lower) and, of
        two fits or more, the layers ``sd`` (standard deviation over fits) and ``sign_agreement``
        (share of fits whose effect has the sign of the mean). A cause has converged if it did in
        every fit.
    """
    each = [read_effects(path) for path in fits]
    first = each[0]
    for path, own in zip(fits, each, strict=True):
        if list(own.obs_names) != list(first.obs_names) or not own.obs["perturbed"].equals(
            first.obs["perturbed"]
        ):
            raise InputError(
                "fits of an ensemble need the same genes and the same perturbed causes",
                where=str(path),
                remedy="with clipr.exclude_unconverged fits may differ: set it to false",
            )
    stacked = np.stack([own.X for own in each])  # (fits, causes, effects)
    layers = {}
    for name in first.layers:
        values = np.stack([own.layers[name] for own in each])
        layers[name] = np.sqrt((values**2).mean(axis=0)) if name in ERRORS else values.mean(axis=0)
    mean = stacked.mean(axis=0)
    if len(each) > 1:
        layers["sd"] = stacked.std(axis=0, ddof=1)
        layers["sign_agreement"] = (np.sign(stacked) == np.sign(mean)).mean(axis=0)
    obs = pd.DataFrame({"perturbed": first.obs["perturbed"]}, index=first.obs_names)
    converged = pd.concat([own.obs["converged"].astype("boolean") for own in each], axis=1)
    obs["converged"] = converged.all(axis=1, skipna=False).astype("boolean")
    obs["relative_residual"] = np.max([own.obs["relative_residual"] for own in each], axis=0)
    control = np.mean([own.var["control_limit"] for own in each], axis=0)
    var = pd.DataFrame({"control_limit": control}, index=first.var_names)
    uns = {**first.uns, "fits": len(each), "rank": min(int(own.uns["rank"]) for own in each)}
    varm = {"changes": np.mean([own.varm["changes"] for own in each], axis=0)}
    write_h5ad(
        ad.AnnData(X=mean, obs=obs, var=var, varm=varm, layers=layers, uns=uns),
        ensemble,
    )


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
