"""Checks of what is given from Python: counts of conditions, names of genes, targets."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import scipy.sparse
import torch
from numpy.typing import NDArray

from lcd_core.conditions import CONTROL, targets_of
from lcd_core.errors import InputError


def checked_genes(genes: Iterable[Any]) -> list[str]:
    """Names of genes as text.

    Raises
    ------
    InputError
        If there is none, or a name occurs twice.
    """
    if isinstance(genes, str):
        raise InputError(
            "genes are a sequence of names", found=repr(genes), remedy=f"pass [{genes!r}]"
        )
    names = [str(gene) for gene in genes]
    repeated = sorted({name for name in names if names.count(name) > 1}) if names else []
    if not names or repeated:
        raise InputError(
            "names of genes must be distinct, and at least one",
            where="genes",
            found=repeated or "none",
            remedy="leave out or rename what occurs twice",
        )
    return names


def checked_counts(
    counts: Mapping[str, Any], n_genes: int, *, fewest: int = 1
) -> dict[str, NDArray[Any]]:
    """Counts of all conditions as dense arrays, (cells, genes), of their own types.

    Parameters
    ----------
    counts
        Condition -> nonnegative integers, cells x genes: a NumPy array, a SciPy sparse matrix, a
        data frame or a tensor. ``"control"`` is among them.
    n_genes
        Number of columns.
    fewest
        Cells that every condition needs.

    Raises
    ------
    InputError
        On names, shapes or values that cannot be.
    """
    odd = [name for name in counts if not isinstance(name, str)]
    if odd:
        raise InputError("names of conditions are texts", found=map(repr, odd))
    if CONTROL not in counts:
        raise InputError(
            "the control is missing among the conditions",
            found=list(counts) or "no conditions",
            remedy=f'name the cells without a perturbation "{CONTROL}"',
        )
    return {name: _checked(name, values, n_genes, fewest) for name, values in counts.items()}


def _checked(name: str, values: Any, n_genes: int, fewest: int) -> NDArray[Any]:
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        values = values.to_dense() if values.layout != torch.strided else values
        values = values.float() if values.dtype == torch.bfloat16 else values
        values = values.numpy()
    array: NDArray[Any] = np.asarray(values.toarray() if scipy.sparse.issparse(values) else values)
    where = f"condition {name}"
    if array.ndim != 2 or array.shape[1] != n_genes or len(array) < fewest:
        raise InputError(
            f"counts are a matrix of cells x genes, of {fewest} cells or more",
            where=where,
            found=f"shape {array.shape}, {n_genes} genes",
            remedy="give a row for each cell and a column for each gene",
        )
    numeric = array.dtype.kind in "buif"
    if not numeric or not (np.isfinite(array) & (array >= 0) & (array == np.round(array))).all():
        raise InputError(
            "counts must be nonnegative integers",
            where=where,
            found="other numbers" if numeric else str(array.dtype),
            remedy="give raw counts, neither normalised nor logarithms",
        )
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))


def checked_sets(
    given: Mapping[str, Sequence[str]] | None, conditions: Sequence[str], what: str
) -> dict[str, tuple[str, ...]]:
    """What some conditions perturb, as the caller says it.

    Parameters
    ----------
    given
        Condition -> names.
    conditions
        The conditions that there are.
    what
        Name of the argument, for messages.

    Raises
    ------
    InputError
        Of conditions that there are not, or of a text where names are wanted.
    """
    sets = dict(given or {})
    unknown = [str(name) for name in sets if name not in conditions]
    if unknown:
        raise InputError(
            "there are no cells of these conditions",
            where=what,
            found=unknown,
            remedy=f"the conditions are {', '.join(conditions)}",
        )
    texts = {name: own for name, own in sets.items() if isinstance(own, str)}
    if texts:
        name, own = next(iter(texts.items()))
        raise InputError(
            "what a condition perturbs is a sequence of names",
            where=f"{what}[{name!r}]",
            found=repr(own),
            remedy=f"pass [{own!r}]",
        )
    return {name: tuple(map(str, own)) for name, own in sets.items()}


def target_sets(
    conditions: Sequence[str], given: Mapping[str, Sequence[str]] | None
) -> dict[str, tuple[str, ...]]:
    """Targets of every condition: those given, else its name split at ``+``; of control none.

    Raises
    ------
    InputError
        If a condition other than the control has none, one without a name, or one twice, or two
        conditions have the same.
    """
    own = checked_sets(given, conditions, "targets")
    sets = {name: own.get(name, targets_of(name)) for name in conditions}
    for name, targets in sets.items():
        blank = any(not target.strip() or target == CONTROL for target in targets)
        repeated = len(set(targets)) < len(targets)
        if (name == CONTROL) == bool(targets) or blank or repeated:
            raise InputError(
                "the control has no targets, every other condition has distinct ones with names",
                where=f"condition {name!r}",
                found=repr(targets),
                remedy="pass targets=, what each condition perturbs, or join names of targets by +",
            )
    same: dict[frozenset[str], list[str]] = {}
    for name, targets in sets.items():
        same.setdefault(frozenset(targets), []).append(name)
    twice = [names for names in same.values() if len(names) > 1]
    if twice:
        raise InputError(
            "conditions with the same targets",
            where="targets",
            found=(" and ".join(map(repr, names)) for names in twice),
            remedy="give their cells as one condition",
        )
    return sets
