"""An effect matrix between named genes, as AnnData: causes x effects."""

from pathlib import Path

import anndata as ad
import numpy as np
from numpy.typing import NDArray

from evaluation.modules import correlation_distances, effect_distances
from lcd_core.errors import InputError
from pipeline.screen import read_anndata


def read_effects(path: str | Path) -> ad.AnnData:
    """Read and check an effect matrix.

    ``obs`` are causes, ``var`` effects, and ``X[j, i] = A[i, j]`` is the direct effect of cause j
    on gene i. The causes are among the genes, and are all of them unless the file holds the
    re-assembled effects of held-out causes. ``obs["perturbed"]`` says whether the model saw the
    cause perturbed. The layer ``score`` has what effects are ranked by, signed; the table
    ``uns["causes"]`` which perturbations hit each cause alone.

    Raises
    ------
    InputError
        If the file is unreadable, names are repeated, a cause is no modelled gene, or an effect
        is not finite.
    """
    effects = read_anndata(path)
    for axis, names in (("obs_names", effects.obs_names), ("var_names", effects.var_names)):
        if not names.is_unique:
            raise InputError(
                "names must be unique", where=f"{path}, {axis}", found=names[names.duplicated()]
            )
    unknown = effects.obs_names.difference(effects.var_names)
    if len(unknown):
        raise InputError(
            "causes are not among the genes", where=f"{path}, obs_names", found=unknown
        )
    effects.X = np.asarray(effects.X, dtype=np.float64)
    causes, genes = np.nonzero(~np.isfinite(effects.X))
    if len(causes):
        raise InputError(
            f"{len(causes)} effects are not finite",
            where=f"{path}, X",
            found=(
                f"{effects.obs_names[j]} on {effects.var_names[i]}: {effects.X[j, i]}"
                for j, i in zip(causes, genes, strict=True)
            ),
            remedy="look for a diverged training or limit responses that did not converge",
        )
    return effects


def ranking(effects: ad.AnnData) -> NDArray[np.float64]:
    """What effects are ranked by, signed: ``[i, j]`` of cause j on gene i; (genes, causes)."""
    scores = effects.layers.get("score", effects.X)
    return np.asarray(scores, dtype=np.float64).T


def perturbations_of(effects: ad.AnnData) -> dict[str, list[str]]:
    """Cause -> the perturbations that hit it alone; a cause that is not listed, its own name."""
    listed = effects.uns.get("causes")
    found: dict[str, list[str]] = {str(gene): [str(gene)] for gene in effects.obs_names}
    if listed is not None:
        own = listed.groupby("cause", observed=True)["perturbation"].agg(list)
        found |= {str(cause): list(map(str, names)) for cause, names in own.items()}
    return found


def square_effects(
    effects: ad.AnnData, where: str, layer: str | None = None
) -> NDArray[np.float64]:
    """Effect matrix A, ``A[i, j]`` the effect of gene j on gene i, with genes in ``var`` order.

    Of the effects themselves, or of a layer.
    """
    if effects.n_obs != effects.n_vars:
        raise InputError(
            "modules need the effects of every gene",
            where=where,
            found=f"{effects.n_obs} causes of {effects.n_vars} genes",
        )
    own = effects[effects.var_names]
    return np.asarray(own.X if layer is None else own.layers[layer], dtype=np.float64).T


def module_distances(effects: ad.AnnData, distance: str, where: str) -> NDArray[np.float64]:
    """Distances between genes from which modules are made, shape (d, d).

    ``changes``: correlation distances of the genes' changes under all perturbations. ``effects``:
    shortest paths in the graph of direct effects, as published; of the scores by which these are
    ranked, since most effects of a sparse estimate are zero.
    """
    if distance == "changes":
        if "changes" not in effects.varm:
            raise InputError(
                "modules by changes need the changes of genes", where=f"{where}, varm['changes']"
            )
        return correlation_distances(np.asarray(effects.varm["changes"], dtype=np.float64).T)
    if distance == "effects":
        layer = "score" if "score" in effects.layers else None
        return effect_distances(square_effects(effects, where, layer))
    raise InputError("unknown distance", found=distance, remedy="use changes or effects")
