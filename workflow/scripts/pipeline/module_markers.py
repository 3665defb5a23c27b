"""Genes that are known to belong together, by which the tree of the modules can be cut."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lcd_core.errors import InputError, shown


def markers_among(genes: ArrayLike, patterns: Sequence[str]) -> NDArray[np.intp]:
    """Indices of the genes that match any of the patterns, case-sensitively."""
    names = np.asarray(genes, dtype=str)
    return np.flatnonzero([any(fnmatchcase(gene, own) for own in patterns) for gene in names])


def require_markers(
    genes: ArrayLike, patterns: Sequence[str], where: str, measured: ArrayLike = ()
) -> NDArray[np.intp]:
    """Indices of the marker genes, of which there have to be two.

    Parameters
    ----------
    genes
        The modelled genes.
    patterns
        Names of genes, or patterns such as ``RPL*``.
    where
        Where the genes come from, for the message.
    measured
        Genes of the screen, so that the message can tell markers that were not selected.

    Raises
    ------
    InputError
        With fewer than two markers among the modelled genes.
    """
    found = markers_among(genes, patterns)
    if len(found) >= 2:
        return found
    known = np.asarray(genes, dtype=str)
    left_out = np.setdiff1d(np.asarray(measured, dtype=str), known)
    left_out = left_out[markers_among(left_out, patterns)]
    selected = f"modelled genes {shown(known, 5) or '(none)'}"
    raise InputError(
        f"{len(found)} of the modelled genes are in the marker set "
        f"{', '.join(patterns) or '(empty)'}; a cut by markers needs two",
        where=f"modules.markers, genes of {where}",
        found=f"{selected}; markers measured, but not selected: {shown(left_out, 5)}"
        if len(left_out)
        else selected,
        remedy="name markers among the modelled genes, model more genes (genes.count), or set "
        "modules.cut to auto",
    )
