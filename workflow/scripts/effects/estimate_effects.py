"""Direct effects of one fit: responses of its drift, changes of its priors, an estimator."""

import logging
from collections.abc import Mapping
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from lcd_core.condition_means import ConditionMeans
from lcd_core.direct_effects import direct_effects
from lcd_core.errors import InputError
from lcd_core.estimators import regularised_pseudoinverse
from lcd_core.evidence import DirectEffects
from lcd_core.linearisation import Linearisation, linearise_model
from lcd_core.model import LCD
from lcd_core.prior import ImplicitPriors
from lcd_core.settings import LinearisationSettings
from pipeline.devices import choose_device
from pipeline.evidence import (
    cause_of,
    condition_means,
    modelled_targets,
    needs_targets,
    of_drift,
    reads_drift,
)
from pipeline.screen import (
    CONTROL,
    lognorm,
    read_screen,
    targets_of,
    write_h5ad,
)
from pipeline.tables import write_tsv

Matrix = NDArray[np.float64]

WITHOUT_TARGETS = "centred_ridge"


def main(
    *,
    train: str,
    prior: str,
    model: str,
    effects: str,
    responses: str,
    table: str,
    clipr: dict[str, Any],
    estimator: str,
    changes: str,
    samples: int,
    draws: int,
    seed: int,
    device: str,
) -> None:
    """Write the effects among all modelled genes and the responses they were solved from.

    Parameters
    ----------
    train
        The cells that the model was fitted to; those perturbed at one target alone give the
        responses of the drift, those whose targets are all modelled genes the changes.
    prior, model
        The fitted priors, and ``model.safetensors`` of the fit.
    effects
        Effects (h5ad, causes x effects), see :func:`pipeline.effects.read_effects`.
    responses
        Responses (h5ad, conditions x genes, control first): limits in ``X``.
    table
        TSV, one row per condition: sizes of its responses, convergence, and whether it was used.
    clipr
        Section `clipr` of the configuration.
    estimator
        One of :data:`lcd_core.direct_effects.ESTIMATORS`.
    changes
        ``priors`` or ``counts``: where the changes of genes come from.
    samples
        States drawn from each prior for its means.
    draws, seed
        Redrawings of an estimator that averages over errors, and the seed of everything drawn.
    """
    where = choose_device(device)
    fitted, screen = LCD.load(model, where), read_screen(train)
    hits = modelled_targets(screen, fitted.genes)
    linear = linearise_model(
        fitted, single_perturbations(screen, train), LinearisationSettings(**clipr)
    )
    means = condition_means(changes, screen, ImplicitPriors.load(prior, where), samples, seed)
    if needs_targets(estimator) and not hits:
        logging.warning(
            "no perturbation hits modelled genes alone, so %s has nothing to start from; effects "
            "are those of %s, which is not told the targets. Genes of targets can be named by "
            "screen.target_genes or screen.gene_symbols",
            estimator,
            WITHOUT_TARGETS,
        )
        estimator = WITHOUT_TARGETS
    evidence = of_drift(linear, hits) if reads_drift(estimator) else means.evidence(hits)
    found = direct_effects(estimator, evidence, draws=draws, seed=seed)
    own = response_data(linear, fitted, means)
    data = effect_data(linear, own, found, cause_of(hits))
    data.uns["estimator"] = estimator
    write_tsv(pd.DataFrame(linear.table()), table)
    write_h5ad(own, responses)
    write_h5ad(data, effects)


def single_perturbations(screen: ad.AnnData, train: str) -> list[str]:
    """Targets that were perturbed alone, sorted."""
    labels = screen.obs["perturbation"].astype(str).unique()
    singles = sorted(name for name in labels if len(targets_of(name)) == 1)
    if not singles:
        raise InputError(
            "causal effects need perturbations of one target alone",
            where=f"{train}, obs['perturbation']",
            found=sorted(set(labels) - {CONTROL}) or "control cells alone",
            remedy="leave `effects` out of the analyses of this screen",
        )
    return singles


def response_data(linear: Linearisation, fitted: LCD, means: ConditionMeans) -> ad.AnnData:
    """Responses as conditions x genes; ``NaN`` rows of ``pseudoinverse`` where not used."""
    limits = linear.responses.limits
    used = linear.used
    pseudoinverse = np.full(limits.shape, np.nan)
    pseudoinverse[:, used] = regularised_pseudoinverse(limits[:, used], linear.estimate.ridge).T
    expression = limit_expression(linear.origin + limits.T, fitted)
    obs = pd.DataFrame(linear.table()).set_index("perturbation")
    rows = [means.names.index(name) for name in obs.index]
    control = means.names.index(CONTROL)
    error = np.sqrt(means.errors[rows] ** 2 + means.errors[control] ** 2)
    error[0] = 0.0  # the control's change from itself
    return ad.AnnData(
        X=np.ascontiguousarray(limits.T),
        obs=obs,
        var=pd.DataFrame({"origin": linear.origin, "bias": linear.bias}, index=fitted.genes),
        layers={
            "initial": np.ascontiguousarray(linear.initial.T),
            "pseudoinverse": np.ascontiguousarray(pseudoinverse.T),
            "limit_expression": expression - expression[0],
            "change": means.means[rows] - means.means[control],
            "change_error": error,
        },
        uns={"coordinates": fitted.transform.settings.transform},
    )


def limit_expression(states: NDArray[np.float64], fitted: LCD) -> NDArray[np.float64]:
    """Log-normalised expected counts at states (n, d) before centring and scaling."""
    transform = fitted.transform.to("cpu", torch.float64)
    present = 1.0 - fitted.pi.cpu().double()
    expected = present * transform.rate_of(torch.from_numpy(states))
    return lognorm(expected.numpy()).astype(np.float64)


def effect_data(
    linear: Linearisation,
    responses: ad.AnnData,
    found: DirectEffects,
    causes: Mapping[int, list[str]],
) -> ad.AnnData:
    """Effects as causes x effects; the responses of a gene's own perturbation in its row.

    Of several perturbations of one gene alone the mean.
    """
    genes = responses.var_names
    usable = set(responses.obs_names[responses.obs["used"].to_numpy(dtype=bool)])
    rows = {gene: [q for q in own if q in usable] for gene, own in causes.items()}
    rows = {gene: own for gene, own in rows.items() if own}
    responses.obs["target_is_gene"] = responses.obs_names.isin(
        [name for own in causes.values() for name in own]
    )
    layers = {"clipr": np.ascontiguousarray(linear.estimate.effects.T)}
    for name, values in {"limit": responses.X, **dict(responses.layers)}.items():
        layers[name] = np.full((len(genes), len(genes)), np.nan)
        for gene, own in rows.items():
            layers[name][gene] = values[responses.obs_names.get_indexer(own)].mean(axis=0)
    layers["score"] = np.ascontiguousarray(found.ranking.T)
    layers["resolution"] = np.ascontiguousarray(found.resolution.T)
    if found.errors is not None:
        layers["error"] = np.ascontiguousarray(found.errors.T)
    obs = pd.DataFrame({"perturbed": np.isin(np.arange(len(genes)), list(rows))}, index=genes)
    converged = pd.array([pd.NA] * len(genes), dtype="boolean")
    residual = np.full(len(genes), np.nan)
    for gene, own in rows.items():
        converged[gene] = bool(responses.obs["converged"][own].all())
        residual[gene] = responses.obs["relative_residual"][own].max()
    obs["converged"], obs["relative_residual"] = converged, residual
    return ad.AnnData(
        X=np.ascontiguousarray(found.effects.T),
        obs=obs,
        var=pd.DataFrame({"control_limit": np.array(responses.X[0])}, index=genes),
        varm={"changes": np.ascontiguousarray(responses.layers["change"][1:].T)},
        layers=layers,
        uns={
            "ridge": linear.estimate.ridge,
            "alpha": linear.alpha,
            "rank": linear.estimate.rank,
            "perturbations": int(linear.used.sum()),
            "coordinates": responses.uns["coordinates"],
            "causes": pd.DataFrame(
                [(genes[gene], name) for gene, own in sorted(causes.items()) for name in own],
                columns=["cause", "perturbation"],
                dtype=str,
            ),
        },
    )


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
