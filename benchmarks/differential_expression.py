"""Differential expression against control: libraries compared on equality with SciPy and on time.

    export PYTHONPATH=.:workflow/scripts
    python benchmarks/differential_expression.py
    python benchmarks/differential_expression.py --cells 200000 --perturbations 1000 \
        --methods "illico, 2 threads"

Cells are simulated with the sparsity of droplet data; 5% of them are control. Every method runs
once to compile and once for the clock. pdex and scanpy take part where they are installed. Times
are given as multiples of the first method's within the same run, errors as the largest absolute
difference of log P to ``scipy.stats.mannwhitneyu(method="asymptotic")``.
"""

import argparse
import importlib.util
import resource
import time
from collections.abc import Callable

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse
from scipy.stats import mannwhitneyu

from pipeline.differential_expression import differential_expression, sparse_lognorm, tidy
from pipeline.screen import CONTROL


def simulate(n_cells: int, n_genes: int, n_perturbations: int, seed: int) -> ad.AnnData:
    """Poisson counts of genes of very different means in cells of different sizes."""
    rng = np.random.default_rng(seed)
    mean, size = np.exp(rng.normal(-1.5, 1.3, n_genes)), rng.gamma(5, 0.2, n_cells)
    blocks = [
        sparse.csr_matrix(rng.poisson(mean * size[start : start + 5000, None]).astype(np.int32))
        for start in range(0, n_cells, 5000)
    ]
    group = rng.integers(1, n_perturbations + 1, n_cells)
    group[: max(n_cells // 20, 2)] = 0
    names = np.array([CONTROL, *(f"P{i:04d}" for i in range(1, n_perturbations + 1))])
    counts = sparse.vstack(blocks, format="csr")
    obs = {
        "perturbation": pd.Categorical(names[group]),
        "library_size": np.asarray(counts.sum(axis=1), dtype=np.float64).ravel(),
    }
    return ad.AnnData(
        counts,
        obs=pd.DataFrame(obs, index=[f"c{i}" for i in range(n_cells)]),
        var=pd.DataFrame(index=[f"g{i}" for i in range(n_genes)]),
    )


def by_illico(screen: ad.AnnData, normalised: ad.AnnData, n_threads: int) -> pd.Series:
    """Run the pipeline's function, normalisation and adjustment included."""
    table = tidy(differential_expression(screen, n_threads=n_threads))
    return table.set_index(["perturbation", "gene"])["p_value"]


def by_scipy(screen: ad.AnnData, normalised: ad.AnnData) -> pd.Series:
    """One call per perturbation on dense arrays."""
    labels = screen.obs["perturbation"].to_numpy(dtype=str)
    control = normalised.X[labels == CONTROL].toarray().astype(np.float64)
    columns = {}
    for name in np.unique(labels[labels != CONTROL]):
        own = normalised.X[labels == name].toarray().astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            columns[name] = mannwhitneyu(own, control, axis=0, method="asymptotic").pvalue
    return pd.DataFrame(columns, index=screen.var_names).T.stack()


def by_scanpy(screen: ad.AnnData, normalised: ad.AnnData) -> pd.Series:
    """Rank genes by scanpy with its tie correction; it has none for continuity."""
    import scanpy as sc

    sc.tl.rank_genes_groups(
        normalised, "perturbation", reference=CONTROL, method="wilcoxon", tie_correct=True
    )
    table = sc.get.rank_genes_groups_df(normalised, group=None)
    return table.set_index(["group", "names"])["pvals"]


def by_pdex(screen: ad.AnnData, normalised: ad.AnnData) -> pd.Series:
    """Run pdex's test against a reference."""
    from pdex import pdex  # type: ignore[import-not-found]

    table = pdex(
        normalised, groupby="perturbation", mode="ref", reference=CONTROL, is_log1p=True,
        threads=1, as_pandas=True,
    )  # fmt: skip
    return table.set_index(["target", "feature"])["p_value"]


def methods() -> dict[str, Callable[[ad.AnnData, ad.AnnData], pd.Series]]:
    """Methods by name, those whose libraries are installed."""
    found: dict[str, Callable[[ad.AnnData, ad.AnnData], pd.Series]] = {
        "illico, 1 thread": lambda screen, values: by_illico(screen, values, 1),
        "illico, 2 threads": lambda screen, values: by_illico(screen, values, 2),
        "scipy": by_scipy,
    }
    for name, run in {"scanpy": by_scanpy, "pdex": by_pdex}.items():
        if importlib.util.find_spec(name):
            found[name] = run
    return found


def largest_error(p_values: pd.Series, values: ad.AnnData, n_tests: int = 300) -> float:
    """Largest difference of log P to SciPy over random tests."""
    rng = np.random.default_rng(1)
    labels = values.obs["perturbation"].to_numpy(dtype=str)
    columns = sparse.csc_matrix(values.X)
    names = np.unique(labels[labels != CONTROL])
    errors = []
    for _ in range(n_tests):
        name, gene = rng.choice(names), rng.integers(values.n_vars)
        x = columns[:, [gene]].toarray()[:, 0].astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            test = mannwhitneyu(x[labels == name], x[labels == CONTROL], method="asymptotic")
        errors.append(abs(np.log(p_values[name, values.var_names[gene]] / test.pvalue)))
    return max(errors)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=20_000)
    parser.add_argument("--genes", type=int, default=1000)
    parser.add_argument("--perturbations", type=int, default=100)
    parser.add_argument("--methods", nargs="+", choices=methods(), default=list(methods()))
    parser.add_argument("--seed", type=int, default=0)
    settings = parser.parse_args()

    screen = simulate(settings.cells, settings.genes, settings.perturbations, settings.seed)
    values = ad.AnnData(
        sparse_lognorm(screen.X, screen.obs["library_size"].to_numpy()),
        obs=screen.obs,
        var=screen.var,
    )
    print(
        f"{screen.n_obs} cells, {screen.n_vars} genes, {settings.perturbations} perturbations, "
        f"{screen.X.nnz / np.prod(screen.shape):.0%} of the counts above zero"
    )
    some = slice(None, None, max(1, screen.n_obs // 2000))
    first = None
    for name in settings.methods:
        run = methods()[name]
        run(screen[some].copy(), values[some].copy())
        start = time.perf_counter()
        p_values = run(screen, values)
        seconds = time.perf_counter() - start
        first = first or seconds
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(
            f"{name:>18}: {seconds / first:7.2f} x ({seconds:.1f} s), "
            f"error of log P {largest_error(p_values, values):.1e}, "
            f"peak memory so far {peak:.2f} GiB"
        )


if __name__ == "__main__":
    main()
