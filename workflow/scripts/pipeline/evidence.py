"""Evidence of direct effects from a screen: which genes perturbations hit, and what changes."""

from collections.abc import Mapping

import anndata as ad
import numpy as np
import torch

from lcd_core.condition_means import ConditionMeans, count_means, latent_means
from lcd_core.direct_effects import ESTIMATORS
from lcd_core.evidence import Evidence
from lcd_core.linearisation import Linearisation
from lcd_core.prior import ImplicitPriors
from pipeline.screen import CONTROL, counts_by_condition, library_sizes, target_genes, targets_of


def reads_drift(estimator: str) -> bool:
    """Whether an estimator starts from the responses of the drift."""
    return "limits" in ESTIMATORS[estimator].needs


def needs_targets(estimator: str) -> bool:
    """Whether an estimator has nothing to start from without known targets."""
    return not reads_drift(estimator)


def modelled_targets(screen: ad.AnnData, genes: list[str]) -> dict[str, tuple[int, ...]]:
    """Perturbations whose target genes are all modelled, and the positions of these.

    A perturbation of anything else may act on any gene: which, nobody said.
    """
    position = {gene: i for i, gene in enumerate(genes)}
    own = target_genes(screen)
    found = {}
    for name in sorted(set(screen.obs["perturbation"].astype(str)) - {CONTROL}):
        hit = [gene for target in targets_of(name) for gene in own[target]]
        if hit and all(gene in position for gene in hit):
            found[name] = tuple(sorted({position[gene] for gene in hit}))
    return found


def cause_of(hits: Mapping[str, tuple[int, ...]]) -> dict[int, list[str]]:
    """Perturbations of each gene alone."""
    causes: dict[int, list[str]] = {}
    for name, own in hits.items():
        if len(own) == 1:
            causes.setdefault(own[0], []).append(name)
    return causes


def condition_means(
    changes: str, screen: ad.AnnData, priors: ImplicitPriors, samples: int, seed: int
) -> ConditionMeans:
    """Means of log rates of all conditions with their errors."""
    screen = screen[:, priors.genes]
    if changes == "priors":
        counts = {name: torch.from_numpy(own) for name, own in counts_by_condition(screen).items()}
        return latent_means(priors, counts, samples=samples, seed=seed)
    raw = counts_by_condition(screen)
    if changes == "counts":
        return count_means({name: own.astype(np.float64) for name, own in raw.items()})
    size = library_sizes(screen) / np.median(library_sizes(screen))
    labels = screen.obs["perturbation"].to_numpy(dtype=str)
    return count_means({name: own / size[labels == name][:, None] for name, own in raw.items()})


def of_drift(linear: Linearisation, hits: Mapping[str, tuple[int, ...]]) -> Evidence:
    """Responses of the drift to perturbations that entered the estimate."""
    used = np.flatnonzero(linear.used)
    limits = linear.responses.limits
    return Evidence(
        limits[:, used] - limits[:, :1],
        [hits.get(linear.names[q], ()) for q in used],
        initial=linear.initial[:, used],
        limits=limits[:, used],
        jacobian=linear.jacobian,
    )
