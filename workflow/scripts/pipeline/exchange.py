"""Plain files between the pipeline and the programs that run other people's methods.

These see targets as ``t0``, ``t1``, ... and genes as ``g0``, ``g1``, ...: labels of the data never
meet a tool's own conventions about names. NumPy is all that a tool's environment needs to read and
write them.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Inputs(NamedTuple):
    """What a tool is given.

    Attributes
    ----------
    data, indices, indptr
        CSR matrix of log-normalised expression, cells x genes.
    total
        Counts to which each cell was scaled before the logarithm.
    condition
        Index into ``conditions`` of each cell.
    conditions
        Targets of each training condition joined by ``+``, empty for the control.
    wanted
        The same for the perturbations to predict.
    nodes
        Names in the graph of similar genes, those of targets among them.
    source, target, importance
        Its edges, as indices of nodes, and their weights.
    """

    data: NDArray[np.float32]
    indices: NDArray[np.int32]
    indptr: NDArray[np.int64]
    total: NDArray[np.float64]
    genes: NDArray[np.str_]
    condition: NDArray[np.int64]
    conditions: NDArray[np.str_]
    wanted: NDArray[np.str_]
    nodes: NDArray[np.str_] = np.array([], dtype=np.str_)
    source: NDArray[np.int64] = np.array([], dtype=np.int64)
    target: NDArray[np.int64] = np.array([], dtype=np.int64)
    importance: NDArray[np.float64] = np.array([], dtype=np.float64)


class Outputs(NamedTuple):
    """What a tool gives back.

    Attributes
    ----------
    shifts
        Mean predicted change of log1p(counts per 10,000) of control cells, wanted x genes.
    cells
        Predicted cells, wanted x cells x genes, in the same unit.
    """

    shifts: NDArray[np.float32]
    cells: NDArray[np.float32]


def per_ten_thousand(values: NDArray[np.float32], total: float) -> NDArray[np.float32]:
    """Turn log1p of counts scaled to ``total`` into log1p of counts per 10,000; at least 0."""
    rate = np.expm1(np.maximum(values, 0)) * (10_000 / total)
    return np.asarray(np.log1p(rate), dtype=np.float32)


def read_inputs(path: str | Path) -> Inputs:
    """Read what the pipeline wrote."""
    with np.load(path, allow_pickle=False) as stored:
        return Inputs(**{name: stored[name] for name in Inputs._fields})


def read_outputs(path: str | Path) -> Outputs:
    """Read what a tool wrote."""
    with np.load(path, allow_pickle=False) as stored:
        return Outputs(**{name: stored[name] for name in Outputs._fields})


def save(path: str | Path, values: Inputs | Outputs) -> None:
    """Write either of them to a file that need not be complete if this fails."""
    with open(path, "wb") as file:
        np.savez_compressed(file, **values._asdict())
