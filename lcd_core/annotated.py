"""Screens as AnnData, or anything of its shape: from annotated cells to a model, and back to cells.

Of cells that are given, ``X`` (or a layer), one column of ``obs`` and ``var_names`` are read.
anndata itself is imported where one is made, and nowhere else.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import scipy.sparse
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from lcd_core.conditions import CONTROL, SEPARATOR, targets_of
from lcd_core.errors import InputError
from lcd_core.fit import LCDSettings, fit
from lcd_core.progress import is_watched
from lcd_core.settings import PRESETS, SamplerSettings
from lcd_core.streams import seed_of

if TYPE_CHECKING:
    from anndata import AnnData

    from lcd_core.model import LCD


class Cells(Protocol):
    """What is read of an AnnData."""

    X: Any
    """Cells x genes: an array, or a SciPy sparse matrix."""
    obs: Any
    """Columns by name, a value for each cell."""
    var_names: Any
    """Names of the genes."""
    layers: Any
    """Further matrices by name."""


def counts_by_condition(
    cells: Cells,
    perturbation: str,
    *,
    control: str | Sequence[str] = CONTROL,
    separator: str | None = SEPARATOR,
    layer: str | None = None,
) -> dict[str, Any]:
    """Counts of every condition of a screen, as :func:`lcd_core.fit.fit` takes them.

    Parameters
    ----------
    cells
        An AnnData, or anything with its ``X``, ``obs``, ``var_names`` and ``layers``.
    perturbation
        Column of ``obs`` that names the perturbation of each cell.
    control
        Label of control cells in that column, or several. Beside a target (``A+ctrl``) it means
        no target.
    separator
        What joins the targets of a combination; None where labels are never split.
    layer
        Layer with the counts; None for ``X``.

    Returns
    -------
    dict
        Condition -> counts, cells x genes, of the type of the matrix that is read. Conditions are
        ``control`` and targets in alphabetical order joined by ``+``; control comes first.

    Raises
    ------
    InputError
        If the column, the layer or the control is missing, a cell has no label, or a label gives
        no set of targets.
    """
    if separator is not None and not isinstance(separator, str):
        raise InputError(
            "separator is a text", found=repr(separator), remedy=f"pass {SEPARATOR!r}, or None"
        )
    if not isinstance(control, str) and not all(
        isinstance(own, str) for own in (control if isinstance(control, Sequence) else [control])
    ):
        raise InputError(
            "control is a label, or a sequence of labels, as text",
            found=repr(control),
            remedy=f"pass {str(control)!r}; labels are compared as text",
        )
    labels = _labels(cells, perturbation)
    controls = [control] if isinstance(control, str) else list(control)
    known = set(labels)
    parts = {label: label.split(separator) if separator else [label] for label in known}
    if not any(set(own) <= set(controls) for own in parts.values()):
        most = sorted(known, key=lambda label: (-int((labels == label).sum()), label))
        raise InputError(
            f"no cell has the control label {' or '.join(map(repr, controls))}",
            where=f"obs[{perturbation!r}]",
            found=most,
            remedy="pass control=, the label of the unperturbed cells",
        )
    names = {label: _condition(label, own, controls, perturbation) for label, own in parts.items()}
    matrix = _matrix(cells, layer)
    if matrix.shape != (len(labels), len(cells.var_names)):
        raise InputError(
            "the matrix does not fit obs and var_names",
            where="X" if layer is None else f"layers[{layer!r}]",
            found=f"shape {matrix.shape}, {len(labels)} cells, {len(cells.var_names)} genes",
        )
    condition = np.array([names[label] for label in labels], dtype=object)
    order = sorted(set(names.values()), key=lambda name: (name != CONTROL, name))
    return {name: matrix[np.flatnonzero(condition == name)] for name in order}


def fit_anndata(
    cells: Cells,
    perturbation: str,
    *,
    control: str | Sequence[str] = CONTROL,
    separator: str | None = SEPARATOR,
    layer: str | None = None,
    settings: LCDSettings | None = None,
    seed: int,
    device: str | torch.device = "cpu",
) -> "LCD":
    """Fit a latent causal diffusion to all cells and genes of a screen.

    All genes are modelled: choose them before (``cells[:, genes]``), some hundred on a CPU.

    Parameters
    ----------
    cells, perturbation, control, separator, layer
        See :func:`counts_by_condition`.
    settings, seed, device
        See :func:`lcd_core.fit.fit`.

    Raises
    ------
    InputError
        As both of these do.
    """
    counts = counts_by_condition(
        cells, perturbation, control=control, separator=separator, layer=layer
    )
    genes = [str(gene) for gene in cells.var_names]
    return fit(counts, genes, settings=settings, seed=seed, device=device)


def sample_anndata(
    model: "LCD",
    perturbations: Sequence[str | Sequence[str]],
    n: int,
    *,
    seed: int,
    sampler: SamplerSettings = PRESETS["default"],
) -> "AnnData":
    """Cells of several perturbations as one AnnData; see :meth:`lcd_core.model.LCD.sample`.

    The cells of a perturbation do not depend on which others are asked for.

    Parameters
    ----------
    model
        A fitted model.
    perturbations
        Each a name (``"A+B"``, ``"control"``) or its targets (``["A", "B"]``, ``[]``).
    n
        Cells of each.
    seed
        Seed of all of them.
    sampler
        Annealing, and cells per state.

    Returns
    -------
    AnnData
        Counts in ``X`` (CSR int32), the perturbation in ``obs["perturbation"]``; what the
        workflow takes as a prediction made elsewhere. A model without measurement gives
        log-normalised expression (dense float32).

    Raises
    ------
    InputError
        If anndata is not installed, on targets that the model does not know, or a perturbation
        asked for twice.
    """
    ad, pd = import_anndata()
    if isinstance(perturbations, str):
        raise InputError(
            "perturbations are a list",
            found=repr(perturbations),
            remedy=f"pass [{perturbations!r}]",
        )
    sets = [targets_of(own) if isinstance(own, str) else tuple(own) for own in perturbations]
    names = [SEPARATOR.join(sorted(own)) or CONTROL for own in sets]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or not names:
        raise InputError(
            "a perturbation is asked for twice" if twice else "no perturbation is asked for",
            found=twice or None,
        )
    blocks = []
    chosen = zip(names, sets, strict=True)
    for name, targets in tqdm(
        chosen, "sampling", len(names), disable=not is_watched(), mininterval=1.0, leave=False
    ):
        own = seed_of(seed, "sample", name)
        drawn = model.sample(targets, n, seed=own, sampler=sampler).cpu().numpy()
        blocks.append(scipy.sparse.csr_matrix(drawn) if model.has_measurement else drawn)
    matrix = scipy.sparse.vstack(blocks, "csr") if model.has_measurement else np.vstack(blocks)
    obs = pd.DataFrame(
        {"perturbation": pd.Categorical(np.repeat(names, n), categories=names)},
        index=[f"{name}:{cell}" for name in names for cell in range(n)],
    )
    values = "counts" if model.has_measurement else "lognorm"
    return ad.AnnData(matrix, obs=obs, var=pd.DataFrame(index=model.genes), uns={"values": values})


def _labels(cells: Cells, column: str) -> NDArray[np.object_]:
    """Label of each cell as text."""
    try:
        values = cells.obs[column]
    except KeyError:
        raise InputError(
            f"there is no column {column!r}",
            where="obs",
            found=list(cells.obs),
            remedy="name the column with the perturbation of each cell",
        ) from None
    labels: NDArray[np.object_] = np.asarray(values, dtype=object)
    missing = np.array([_is_missing(own) for own in labels], dtype=bool)
    if missing.any():
        raise InputError(
            f"{missing.sum()} of {len(labels)} cells have no label",
            where=f"obs[{column!r}]",
            found=(f"cell number {i + 1}" for i in np.flatnonzero(missing)),
            remedy="leave them out, for example cells[cells.obs[column].notna()]",
        )
    return np.array([str(own) for own in labels], dtype=object)


def _is_missing(label: Any) -> bool:
    """Whether a label says nothing: None, not a number, pandas' NA, or an empty text."""
    try:
        return label is None or bool(label != label) or str(label) == ""
    except TypeError:  # pandas' NA is neither equal to itself nor different
        return True


def _condition(label: str, parts: Sequence[str], controls: Sequence[str], perturbation: str) -> str:
    """Canonical name of a label, from what the separator has left of it."""
    targets = [part for part in parts if part not in controls]
    wrong = len(set(targets)) < len(targets) or any(
        part != part.strip() or not part or part == CONTROL or SEPARATOR in part for part in targets
    )
    if wrong:
        raise InputError(
            "a label gives no set of targets",
            where=f"obs[{perturbation!r}]",
            found=repr(label),
            remedy="rename it, or correct separator= or control= "
            f"({', '.join(map(repr, controls))}); {SEPARATOR!r} and {CONTROL!r} "
            "cannot be in the name of a target",
        )
    return SEPARATOR.join(sorted(targets)) or CONTROL


def _matrix(cells: Cells, layer: str | None) -> Any:
    """The counts, in a form whose rows can be picked."""
    if layer is not None and layer not in cells.layers:
        raise InputError(
            f"there is no layer {layer!r}",
            where="layers",
            found=list(cells.layers) or "none",
            remedy="name the layer of raw counts, or leave layer out to read X",
        )
    matrix = cells.X if layer is None else cells.layers[layer]
    if len(getattr(matrix, "shape", ())) != 2 or hasattr(matrix, "backend"):
        raise InputError(
            "the counts are not in memory",
            where="X" if layer is None else f"layers[{layer!r}]",
            found=type(matrix).__name__,
            remedy="pass cells.to_memory(), or the layer that has them",
        )
    return scipy.sparse.csr_matrix(matrix) if scipy.sparse.issparse(matrix) else np.asarray(matrix)


def import_anndata() -> tuple[Any, Any]:
    """The modules anndata and pandas; InputError where they are not installed."""
    try:
        import anndata
        import pandas
    except ImportError as error:
        raise InputError(
            "an AnnData is asked for, and anndata is not installed",
            found=str(error),
            remedy="pip install anndata; or take counts as tensors from LCD.sample",
        ) from None
    return anndata, pandas
