"""Other people's methods: what they are given, what they leave out, what becomes of their output.

A method of this kind has three programs: one writes :class:`pipeline.exchange.Inputs`, one runs the
tool in its own environment, one turns its output into a prediction.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import pandas as pd
from scipy import sparse

from lcd_core.atomic import atomic
from lcd_core.errors import InputError
from pipeline.exchange import Inputs, Outputs, read_outputs, save
from pipeline.predictions import (
    control_rows,
    draw_rows,
    labels_of,
    prediction_writer,
    read_test_perturbations,
    write_shifted_control,
)
from pipeline.screen import CONTROL, read_screen, targets_of
from pipeline.tables import read_tsv, write_tsv

DROPPED = ["perturbation", "role", "reason"]


def write_inputs(
    inputs: str,
    dropped: str,
    *,
    train: str,
    test_perturbations: str,
    refusal: Callable[[str], str | None],
    tool: str,
    remedy: str,
    total: Literal["10000", "median"] = "10000",
    graph: Callable[[Sequence[str], Sequence[str]], tuple[np.ndarray, ...]] | None = None,
) -> None:
    """Write what a tool is given, and the table of what it cannot handle.

    Parameters
    ----------
    inputs, dropped
        Files to write.
    train, test_perturbations
        Files of the fold.
    refusal
        Why the tool cannot handle a target, or None.
    tool, remedy
        Its name, and what helps if no perturbation is left, for messages.
    total
        Counts to which cells are scaled: 10,000, as everywhere here, or the median of the cells
        trained on.
    graph
        From names of targets and genes to nodes, given by names of either, and edges.

    Raises
    ------
    InputError
        If the tool can be trained on no perturbation, or predict none.
    """
    cells = read_screen(train)
    labels = labels_of(cells)
    control_rows(cells, train)  # or an error
    wanted = read_test_perturbations(test_perturbations)
    trained = [name for name in np.unique(labels) if name != CONTROL]
    reasons = {
        target: refusal(target) for name in [*trained, *wanted] for target in targets_of(name)
    }

    def reason(name: str) -> str:
        return "; ".join(filter(None, (reasons[target] for target in targets_of(name))))

    table = pd.DataFrame(
        [
            {"perturbation": name, "role": role, "reason": reason(name)}
            for role, names in (("training", trained), ("to predict", wanted))
            for name in names
            if reason(name)
        ],
        columns=DROPPED,
    )
    for role, names in (("training", trained), ("to predict", wanted)):
        out = table[table["role"] == role]
        if len(out) == len(names):
            raise InputError(
                f"{tool} can handle none of the perturbations",
                where=train if role == "training" else test_perturbations,
                found=out["reason"].unique(),
                remedy=remedy,
            )
        if len(out):
            logging.warning("%s leaves out %d of %d (%s)", tool, len(out), len(names), role)
    write_tsv(table, dropped)

    kept = [CONTROL, *(name for name in trained if not reason(name))]
    asked = [name for name in wanted if not reason(name)]
    targets = sorted({target for name in [*kept, *asked] for target in targets_of(name)})
    number = {target: f"t{i}" for i, target in enumerate(targets)}
    genes = {gene: f"g{i}" for i, gene in enumerate(cells.var_names)}

    def tokens(names: Sequence[str]) -> np.ndarray:
        return np.array(["+".join(number[t] for t in targets_of(name)) for name in names])

    rows = np.flatnonzero(np.isin(labels, kept))
    counts = sparse.csr_matrix(cells.X[rows], dtype=np.float64)
    totals = np.asarray(counts.sum(axis=1)).ravel()
    scaled_to = float(np.median(totals)) if total == "median" else float(total)
    factors = np.divide(scaled_to, totals, out=np.zeros_like(totals), where=totals > 0)
    matrix = sparse.diags_array(factors) @ counts
    matrix = sparse.csr_matrix(matrix.log1p(), dtype=np.float32)
    matrix.sort_indices()
    position = {name: i for i, name in enumerate(kept)}
    edges: dict[str, np.ndarray] = {}
    if graph is not None:
        nodes, source, target, importance = graph(targets, list(cells.var_names))
        edges = {
            "nodes": np.array([number.get(node) or genes[node] for node in nodes]),
            "source": source,
            "target": target,
            "importance": importance,
        }
    values = Inputs(
        data=matrix.data,
        indices=matrix.indices.astype(np.int32),
        indptr=matrix.indptr.astype(np.int64),
        total=np.array(scaled_to),
        genes=np.array(list(genes.values())),
        condition=np.array([position[labels[row]] for row in rows], dtype=np.int64),
        conditions=tokens(kept),
        wanted=tokens(asked),
        **edges,
    )
    with atomic(inputs) as temporary:
        save(temporary, values)


def write_prediction(
    prediction: str,
    *,
    outputs: str,
    dropped: str,
    train: str,
    test_perturbations: str,
    cells: str,
    n_cells: int,
    keep: str,
    seed: int,
) -> None:
    """Turn a tool's output into a prediction, which says what is not predicted.

    Parameters
    ----------
    prediction
        The h5ad file to write.
    outputs, dropped, train, test_perturbations
        Files of the method and of the fold.
    cells
        ``shifted``, control cells moved by the tool's mean change (as Lorch et al. 2026 did it), or
        ``predicted``, the tool's own cells.
    n_cells, keep, seed
        As in :func:`pipeline.predictions.write_shifted_control`.
    """
    trained = read_screen(train)
    left_out = not_predicted(dropped)
    names = [name for name in read_test_perturbations(test_perturbations) if name not in left_out]
    found = read_outputs(outputs)
    check_outputs(found, (len(names), trained.n_vars), outputs)
    if cells == "shifted":
        shifts = dict(zip(names, found.shifts.astype(np.float64), strict=True))
        write_shifted_control(
            prediction, trained, shifts, n_cells, seed, keep=keep, not_predicted=left_out
        )
        return
    with prediction_writer(
        prediction, trained.var_names, keep=keep, values="lognorm", not_predicted=left_out
    ) as writer:
        for name, own in zip(names, found.cells, strict=True):
            rows = draw_rows(np.arange(len(own)), n_cells, seed, name)
            writer.add_generated(name, np.maximum(own[rows], 0))


def not_predicted(dropped: str) -> list[str]:
    """Perturbations of a fold that the tool cannot predict."""
    table = read_tsv(dropped, dtype=str)
    return list(table.loc[table["role"] == "to predict", "perturbation"])


def check_outputs(found: Outputs, shape: tuple[int, int], path: str) -> None:
    """Refuse what is no prediction."""
    if found.shifts.shape != shape or not np.isfinite(found.shifts).all():
        raise InputError(
            "the tool gave no finite prediction for each perturbation and gene",
            where=path,
            found=f"shape {found.shifts.shape}, {shape} expected; "
            f"{int((~np.isfinite(found.shifts)).sum())} values are not finite",
            remedy="see the log of the fit; a smaller learning rate may help",
        )


def targets_in_training(train: str) -> set[str]:
    """Targets of the training perturbations."""
    return {
        target for name in np.unique(labels_of(read_screen(train))) for target in targets_of(name)
    }
