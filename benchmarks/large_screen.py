"""Seconds and memory from a large file of raw counts to the training cells of a fold, job by job.

    python benchmarks/large_screen.py --only-largest
    python benchmarks/large_screen.py --output large_screen.tsv

Generated sparse counts, about 12% of them not zero, go through the workflow itself: import, quality
control, differential expression of every perturbation, selection of 1,000 genes and markers. First
200,000 cells, 8,000 genes and 500 perturbations; then, unless told otherwise, a tenth of each, and
of these one at a time tenfold. Times and memory of the jobs are those that Snakemake measures; the
row ``all`` has the wall time of the command, and the largest memory of a job.
"""

import argparse
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import yaml
from scipy import sparse
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]

FILLED, SPREAD, CELLS_AT_A_TIME = 0.12, 1.3, 5000
JOBS = {
    "import_screen.tsv": "import",
    "filter_screen.tsv": "quality control",
    "differential_expression.tsv": "differential expression",
    "folds/all/select_genes.tsv": "genes, markers, training cells",
}


def simulate(cells: int, genes: int, perturbations: int, path: Path, seed: int = 0) -> float:
    """Write Poisson counts of genes of very different means; the share that is not zero."""
    rng = np.random.default_rng(seed)
    deviation = rng.normal(0.0, SPREAD, genes)
    low, high = -12.0, 4.0
    while high - low > 1e-3:  # the mean at which the wanted share is not zero
        middle = (low + high) / 2
        share = -np.expm1(-np.exp(middle + deviation)).mean()
        low, high = (middle, high) if share < FILLED else (low, middle)
    mean = np.exp(low + deviation)
    group = rng.integers(1, perturbations + 1, cells)
    group[: max(cells // 20, 100)] = 0
    blocks = []
    for start in tqdm(range(0, cells, CELLS_AT_A_TIME), desc="counts"):
        size = rng.gamma(5, 0.2, min(CELLS_AT_A_TIME, cells - start))
        rates = mean * size[:, None]
        own = group[start : start + len(size)]
        hit = np.flatnonzero(own)  # all but controls have less of the gene they are named after
        rates[hit, own[hit] - 1] *= 0.3
        blocks.append(sparse.csr_matrix(rng.poisson(rates).astype(np.int32)))
    counts = sparse.vstack(blocks, format="csr")
    names = np.array(["control", *(f"g{i}" for i in range(perturbations))])
    obs = pd.DataFrame(
        {"perturbation": pd.Categorical(names[group])}, index=[f"c{i}" for i in range(cells)]
    )
    var = pd.DataFrame(index=[f"g{i}" for i in range(genes)])
    ad.AnnData(counts, obs=obs, var=var).write_h5ad(path)
    return counts.nnz / (cells * genes)


def run(cells: int, genes: int, perturbations: int, cores: int) -> Iterator[dict[str, object]]:
    """Rows of one size."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        filled = simulate(cells, genes, perturbations, folder / "raw.h5ad")
        config = {
            "run": "large",
            "analyses": ["effects"],
            "screen": {"kind": "file", "path": str(folder / "raw.h5ad")},
            "genes": {"count": min(1000, genes)},
            "quality_control": {"min_genes_per_cell": 10, "min_cells_per_perturbation": None},
            "effects": {"held_out_folds": 0},
            "enrichment": {"gene_sets": []},
        }
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        command = [
            "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder),
            "--workflow-profile", str(ROOT / "profiles/default"), "--cores", str(cores),
            "--configfile", str(folder / "config.yaml"), "--quiet", "all", "--",
            "results/large/folds/all/data/train.h5ad",
        ]  # fmt: skip
        start = time.perf_counter()
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - start
        if done.returncode:
            sys.exit(done.stdout[-3000:] + done.stderr[-3000:])
        sizes = {"cells": cells, "genes": genes, "perturbations": perturbations, "filled": filled}
        largest = 0.0
        for file, job in JOBS.items():
            measured = pd.read_csv(folder / "logs/large/benchmarks" / file, sep="\t").iloc[0]
            gib = float(measured["max_rss"]) / 1024
            largest = max(largest, gib)
            yield {**sizes, "job": job, "seconds": float(measured["s"]), "gib": gib}
        yield {**sizes, "job": "all", "seconds": seconds, "gib": largest}


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--cells", type=int, default=200_000)
    parser.add_argument("--genes", type=int, default=8_000)
    parser.add_argument("--perturbations", type=int, default=500)
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only-largest", action="store_true", help="no smaller sizes")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    large = (arguments.cells, arguments.genes, arguments.perturbations)
    if arguments.perturbations > arguments.genes / 10:
        parser.error("perturbations are named after genes: at most a tenth of these")
    small = tuple(math.ceil(size / 10) for size in large)
    sizes = [large]
    if not arguments.only_largest:
        sizes += [small, *((*small[:i], large[i], *small[i + 1 :]) for i in range(3))]
    rows: list[dict[str, object]] = []
    for each in sizes:
        for row in run(*each, cores=arguments.cores):
            rows.append(row)
            print("\t".join(f"{v:.4g}" if isinstance(v, float) else str(v) for v in row.values()))
        if arguments.output:
            pd.DataFrame(rows).to_csv(arguments.output, sep="\t", index=False, float_format="%.4g")


if __name__ == "__main__":
    main()
