"""Direct effects among named genes, in one call: from counts, or from a fitted model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lcd_core.condition_means import count_means
from lcd_core.conditions import CONTROL, targets_of
from lcd_core.counts import checked_counts, checked_genes, checked_sets
from lcd_core.direct_effects import direct_effects
from lcd_core.errors import InputError
from lcd_core.evidence import DirectEffects, Evidence, Matrix
from lcd_core.linearisation import linearise_model
from lcd_core.model import LCD
from lcd_core.settings import EffectSettings, LinearisationSettings

if TYPE_CHECKING:
    from anndata import AnnData


class Edge(NamedTuple):
    """One direct effect: of which gene on which, how strong, and what it is ranked by."""

    cause: str
    effect: str
    strength: float
    score: float


@dataclass(frozen=True)
class GeneEffects:
    """Direct effects with the names of the genes.

    Attributes
    ----------
    genes
        The d genes.
    found
        ``found.effects[i, j]`` is the effect of gene j on gene i, with what is known about it.
    perturbations
        Perturbations that entered the estimate.
    """

    genes: list[str]
    found: DirectEffects
    perturbations: list[str]

    def strongest(self, n: int = 20) -> list[Edge]:
        """The ``n`` effects between different genes of largest score, the strongest first."""
        score = self.found.ranking
        size = np.abs(score)
        np.fill_diagonal(size, -np.inf)
        order = np.argsort(-size, axis=None, kind="stable")[: min(n, size.size - len(size))]
        effect, cause = np.unravel_index(order, size.shape)
        return [
            Edge(self.genes[j], self.genes[i], float(self.found.effects[i, j]), float(score[i, j]))
            for i, j in zip(effect, cause, strict=True)
        ]

    def to_anndata(self) -> "AnnData":
        """Effects as an AnnData, causes x effects, the layers ``score``, ``resolution``, ``error``.

        Raises
        ------
        InputError
            If anndata is not installed.
        """
        from lcd_core.annotated import import_anndata

        ad, pd = import_anndata()
        table = pd.DataFrame(index=self.genes)
        layers = {"score": self.found.ranking.T, "resolution": self.found.resolution.T}
        if self.found.errors is not None:
            layers["error"] = self.found.errors.T
        return ad.AnnData(self.found.effects.T.copy(), obs=table, var=table.copy(), layers=layers)


def effects_from_counts(
    counts: Mapping[str, Any],
    genes: Sequence[str],
    *,
    hits: Mapping[str, Sequence[str]] | None = None,
    estimator: str = EffectSettings.estimator,
    draws: int = EffectSettings.draws,
    seed: int,
) -> GeneEffects:
    """Direct effects from the mean counts of conditions and their errors; no model is fitted.

    What the workflow's ``effects`` does with its default settings.

    Parameters
    ----------
    counts
        Condition -> raw counts, cells x genes, two cells or more of each; ``"control"`` among
        them. See :func:`lcd_core.annotated.counts_by_condition`.
    genes
        Names of the d genes, in the order of the columns.
    hits
        Condition -> genes that it hits, where these are not the targets in its name. Conditions
        that hit anything but these genes say nothing about which, and stay out.
    estimator
        One of :data:`lcd_core.direct_effects.ESTIMATORS` that starts from changes.
    draws, seed
        See :func:`lcd_core.sparse_rows.adaptive_rows`.

    Raises
    ------
    InputError
        On counts, genes or hits that cannot be, if no perturbation hits these genes alone, or the
        estimator needs a model.
    """
    names = checked_genes(genes)
    dense = {
        name: np.asarray(own, dtype=np.float64)
        for name, own in checked_counts(counts, len(names), fewest=2).items()
    }
    given = checked_sets(hits, list(dense), "hits")
    hit = hits_of([name for name in dense if name != CONTROL], names, given)
    if not hit:
        raise InputError(
            "no perturbation hits genes of the screen alone, so nothing tells causes from effects",
            found=[name for name in dense if name != CONTROL] or "control cells alone",
            remedy="pass hits=, the genes that each perturbation hits; genes are "
            f"{', '.join(names[:5])}, ...",
        )
    evidence = count_means(dense).evidence(hit)
    found = direct_effects(estimator, evidence, draws=draws, seed=seed)
    return GeneEffects(names, found, list(hit))


def effects_from_model(
    model: LCD,
    targets: Sequence[str] | None = None,
    *,
    estimator: str = "clipr",
    settings: LinearisationSettings | None = None,
) -> GeneEffects:
    """Direct effects from the drift of a fitted model (CLIPR): it need not be told the targets.

    Parameters
    ----------
    model
        A fitted model with transform ``identity`` of the states; of ``log_rate`` the effects are
        those among the logarithms of rates.
    targets
        Targets whose perturbations are used; None for all that were trained on.
    estimator
        ``clipr``, as published, or ``centred_ridge``.
    settings
        See :class:`lcd_core.settings.LinearisationSettings`.

    Raises
    ------
    InputError
        On unknown targets, none at all, or an estimator that needs more than a drift.
    """
    used = list(model.trained_targets if targets is None else targets)
    linear = linearise_model(model, used, settings or LinearisationSettings())
    rows, limits = np.flatnonzero(linear.used), linear.responses.limits
    if estimator == "clipr":  # with the ridge of the settings
        found = DirectEffects(
            linear.estimate.effects, resolution_of(limits[:, rows], linear.estimate.ridge)
        )
    else:
        evidence = Evidence(
            limits[:, rows] - limits[:, :1],
            initial=linear.initial[:, rows],
            limits=limits[:, rows],
            jacobian=linear.jacobian,
        )
        found = direct_effects(estimator, evidence, draws=EffectSettings.draws, seed=0)
    return GeneEffects(list(model.genes), found, [linear.names[q] for q in rows])


def resolution_of(limits: Matrix, ridge: float) -> Matrix:
    """Share of the effects of each gene (a column) that the limit responses (d, k) determine."""
    vectors, sizes, _ = np.linalg.svd(limits, full_matrices=False)
    floor = np.finfo(np.float64).tiny  # a ridge of 0 keeps what is there at all
    kept = vectors**2 @ (sizes**2 / np.maximum(sizes**2 + ridge, floor))
    return np.tile(kept, (len(limits), 1))


def hits_of(
    conditions: Sequence[str], genes: Sequence[str], given: Mapping[str, Sequence[str]]
) -> dict[str, tuple[int, ...]]:
    """Positions of the genes of each condition that hits genes of the list alone."""
    position = {gene: i for i, gene in enumerate(genes)}
    found = {}
    for name in conditions:
        own = tuple(given.get(name, targets_of(name)))
        if own and all(gene in position for gene in own):
            found[name] = tuple(sorted({position[gene] for gene in own}))
    return found
