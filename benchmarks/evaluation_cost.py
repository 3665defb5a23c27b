"""Seconds of the evaluation at the published sizes: one method, and a dozen on two cores.

    python benchmarks/evaluation_cost.py

Generated counts: 110 held-out perturbations of 340 cells, 1,000 predicted cells each, 1,000 genes,
100 training perturbations of 100 cells; all metrics.
"""

import argparse
import sys
import tempfile
import time
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


def main() -> None:
    """Write the files of a fold, evaluate one prediction, and report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--perturbations", type=int, default=110)
    parser.add_argument("--genes", type=int, default=1000)
    parser.add_argument("--observed", type=int, default=340)
    parser.add_argument("--predicted", type=int, default=1000)
    arguments = parser.parse_args()
    targets = [f"G{i}" for i in range(100)]
    pairs = [f"G{i % 100}+G{i % 100 + 100 + i // 100}" for i in range(arguments.perturbations)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        train = screen(["control", *targets], 100, arguments.genes, 1)
        write_h5ad(train, path / "train.h5ad")
        write_h5ad(screen(pairs, arguments.observed, arguments.genes, 2), path / "test.h5ad")
        (path / "names.txt").write_text("".join(f"{name}\n" for name in pairs))
        rng = np.random.default_rng(3)
        tests = pd.DataFrame({
            "perturbation": np.repeat(pairs, arguments.genes),
            "gene": list(train.var_names) * len(pairs),
            "p_value": rng.uniform(size=arguments.genes * len(pairs)),
        })  # fmt: skip
        tests["p_adjusted"] = np.minimum(1.0, 5 * tests["p_value"])
        tests["rank"] = tests.groupby("perturbation")["p_value"].rank(method="first").astype(int)
        write_tsv(tests, path / "tests.tsv")
        with prediction_writer(path / "p.h5ad", train.var_names, keep="cells") as writer:
            for i, name in enumerate(pairs):
                own = screen([name], arguments.predicted, arguments.genes, 100 + i)
                writer.add_generated(name, own.X.toarray())
        for cells in ("equal", "all"):
            start = time.perf_counter()
            compute_metrics.main(
                train=str(path / "train.h5ad"), test=str(path / "test.h5ad"),
                test_perturbations=str(path / "names.txt"), predictions=[str(path / "p.h5ad")],
                test_differential_expression=str(path / "tests.tsv"),
                metrics_tables=[str(path / "m.tsv")], metrics=list(METRICS), top_genes=20,
                components=20, cells=cells, splits=4, max_cells=None, methods=["m"], values=[None],
                fold="1", seed=1,
            )  # fmt: skip
            seconds = time.perf_counter() - start
            print(
                f"cells: {cells}, {len(METRICS)} metrics: {seconds:.0f} s a method, "
                f"{6 * seconds / 60:.1f} min for 12 methods on two cores",
                flush=True,
            )


if __name__ == "__main__":
    main()
