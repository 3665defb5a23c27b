"""Minutes of the evaluation at the published sizes: a dozen methods on two cores.

    python benchmarks/evaluation_cost.py

Generated counts: 110 held-out perturbations of 340 cells, 1,000 predicted cells each, 1,000 genes,
100 training perturbations of 100 cells; all metrics. Half of the perturbations are a fold of their
own, and both folds are evaluated at once, one thread each, as ``--cores 2`` does.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow/scripts"))

from benchmark import compute_metrics
from evaluation.registry import METRICS
from pipeline.predictions import prediction_writer
from pipeline.screen import write_h5ad
from pipeline.tables import write_tsv

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def screen(names: list[str], cells: int, genes: int, seed: int) -> ad.AnnData:
    """Poisson counts, about a fifth of them not zero."""
    rng = np.random.default_rng(seed)
    rates = rng.gamma(0.3, 1.5, size=genes)
    labels = np.repeat(names, cells)
    counts = sparse.csr_matrix(rng.poisson(rates, (len(labels), genes)).astype(np.int32))
    obs = pd.DataFrame(
        {
            "perturbation": pd.Categorical(labels),
            "library_size": np.asarray(counts.sum(axis=1)).ravel().astype(float),
        },
        index=[f"{seed}-{i}" for i in range(len(labels))],
    )
    return ad.AnnData(counts, obs=obs, var=pd.DataFrame(index=[f"G{i}" for i in range(genes)]))


def write_fold(path: Path, fold: int, perturbations: int, sizes: argparse.Namespace) -> None:
    """Write the files of one fold, and as many predictions of it as there are methods."""
    targets = [f"G{i}" for i in range(100)]
    pairs = [f"G{i % 100}+G{i % 100 + 100 + i // 100}" for i in range(perturbations)]
    train = screen(["control", *targets], 100, sizes.genes, 1)
    write_h5ad(train, path / "train.h5ad")
    write_h5ad(screen(pairs, sizes.observed, sizes.genes, 2 + fold), path / "test.h5ad")
    (path / "names.txt").write_text("".join(f"{name}\n" for name in pairs))
    rng = np.random.default_rng(3)
    tests = pd.DataFrame({
        "perturbation": np.repeat(pairs, sizes.genes),
        "gene": list(train.var_names) * len(pairs),
        "p_value": rng.uniform(size=sizes.genes * len(pairs)),
    })  # fmt: skip
    tests["p_adjusted"] = np.minimum(1.0, 5 * tests["p_value"])
    tests["rank"] = tests.groupby("perturbation")["p_value"].rank(method="first").astype(int)
    write_tsv(tests, path / "tests.tsv")
    with prediction_writer(path / "0.h5ad", train.var_names, keep="cells") as writer:
        for i, name in enumerate(pairs):
            own = screen([name], sizes.predicted, sizes.genes, 100 + i)
            writer.add_generated(name, own.X.toarray())
    for method in range(1, sizes.methods):
        shutil.copy(path / "0.h5ad", path / f"{method}.h5ad")


def evaluate(path: Path, cells: str, methods: int) -> None:
    """Evaluate every prediction of a fold, in one job as the workflow does."""
    compute_metrics.main(
        train=str(path / "train.h5ad"), test=str(path / "test.h5ad"),
        test_perturbations=str(path / "names.txt"),
        predictions=[str(path / f"{method}.h5ad") for method in range(methods)],
        test_differential_expression=str(path / "tests.tsv"),
        metrics_tables=[str(path / f"{method}.tsv") for method in range(methods)],
        metrics=list(METRICS), top_genes=20, components=20, cells=cells, splits=4, max_cells=None,
        methods=[f"m{method}" for method in range(methods)], values=[None] * methods,
        fold="1", seed=1,
    )  # fmt: skip


def main() -> None:
    """Write two folds, evaluate both at once with one thread each, and report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--perturbations", type=int, default=110)
    parser.add_argument("--methods", type=int, default=12)
    parser.add_argument("--genes", type=int, default=1000)
    parser.add_argument("--observed", type=int, default=340)
    parser.add_argument("--predicted", type=int, default=1000)
    sizes = parser.parse_args()
    if sizes.perturbations < 2:
        parser.error("--perturbations: at least 2, for each fold has some")
    for name in THREADS:  # before the processes start; they read it when they import
        os.environ[name] = "1"
    half = sizes.perturbations // 2
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(2, mp_context=get_context("spawn")) as workers,
    ):
        folds = [Path(folder) / "1", Path(folder) / "2"]
        for path in folds:
            path.mkdir()
        parts = (half, sizes.perturbations - half)
        list(workers.map(write_fold, folds, (1, 2), parts, (sizes, sizes)))
        for cells in ("equal", "all"):
            start = time.perf_counter()
            list(workers.map(evaluate, folds, (cells, cells), (sizes.methods, sizes.methods)))
            print(
                f"cells: {cells}, {len(METRICS)} metrics, {sizes.methods} methods, "
                f"{sizes.perturbations} perturbations in two folds at once: "
                f"{(time.perf_counter() - start) / 60:.1f} min",
                flush=True,
            )


if __name__ == "__main__":
    main()
