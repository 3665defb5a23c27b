"""Time and memory of the analysis of effects at genome scale, stage by stage.

    export PYTHONPATH=.:workflow/scripts
    python benchmarks/genome_scale.py c5.go.symbols.gmt c2.cp.symbols.gmt --folder /tmp/genome_scale

Effects between 1,000 genes, and tests of as many perturbations that follow from them, are drawn
at random. Modules are gene sets of the GMT files given, so that enrichment has something to find,
and the other genes are named after further symbols of theirs. Every stage is a process of its own,
as in the workflow: its time contains starting Python and importing libraries, and its memory is
that of the process at its peak. Drawing the data is no part of the analysis.
"""

import argparse
import multiprocessing
import re
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control, norm

from effects import (
    draw_effect_maps,
    draw_enrichment,
    draw_module_numbers,
    draw_network,
    draw_validation,
    enrich_modules,
    export_effects,
    find_modules,
    validate_edges,
)
from evaluation.edges import strongest_edges
from pipeline.gene_sets import read_gmt
from pipeline.screen import write_h5ad
from pipeline.tables import read_tsv, write_tsv

MARKERS = re.compile(r"RP[LS]\d+[AXY]?$")
PATTERNS = ["RPL*", "RPS*"]
FRACTIONS = [1e-5, 5e-5, 1e-4, 5e-4, 1e-3, 5e-3, 1e-2, 5e-2, 0.1]
STRONGEST = 50
LIMIT_SECONDS, LIMIT_GIB = 180, 4


def choose_genes(
    gene_sets: Sequence[str], n_genes: int, share: float, rng: np.random.Generator
) -> tuple[list[str], np.ndarray]:
    """Symbols, and the block of each: 0 for none, then one per gene set; blocks do not overlap."""
    sets = [sorted(genes) for path in gene_sets for genes in read_gmt(path).values()]
    symbols = sorted(set().union(*sets))
    markers = [symbol for symbol in symbols if MARKERS.match(symbol)]
    blocks = [markers[: max(5, n_genes // 20)]] if len(markers) >= 5 else []
    taken = {symbol for symbol in symbols if symbol.startswith(("RPL", "RPS"))}
    for index in rng.permutation(len(sets)):
        room = round(share * n_genes) - sum(map(len, blocks))
        if room < 6:
            break
        free = [gene for gene in sets[index] if gene not in taken]
        if 12 <= len(sets[index]) <= 100 and len(free) >= 0.8 * len(sets[index]):
            # a part of the set, and genes that are not in it
            size = min(room, max(6, int(rng.integers(n_genes // 60, n_genes // 25))))
            own = rng.choice(free, min(round(0.7 * size), len(free)), replace=False).tolist()
            strangers = sorted(set(symbols) - taken - set(free))
            own += rng.choice(strangers, size - len(own), replace=False).tolist()
            blocks.append(own)
            taken.update(own)
    others = [symbol for symbol in symbols if symbol not in taken]
    n_others = n_genes - sum(map(len, blocks))
    genes = [gene for own in blocks for gene in own]
    genes += rng.choice(others, n_others, replace=False).tolist()
    sizes = [*map(len, blocks), n_others]
    block = np.repeat([*range(1, len(blocks) + 1), 0], sizes)
    shuffled = rng.permutation(n_genes)
    return [genes[i] for i in shuffled], block[shuffled]


def draw_effects(block: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Stable effects A: dense and strong within blocks, sparse from regulators, weak elsewhere."""
    d = len(block)
    A = rng.normal(0, 0.003, (d, d))
    A += rng.normal(0, 0.15, (d, d)) * (rng.random((d, d)) < 3 / d)
    regulators = rng.choice(d, max(3, d // 8), replace=False)
    hits = rng.random((d, len(regulators))) < 0.2
    A[:, regulators] += hits * rng.normal(0, 0.06, hits.shape)
    for own in (np.flatnonzero(block == number) for number in range(1, block.max() + 1)):
        strength = rng.lognormal(-0.4, 0.5, (len(own), len(own))) / np.sqrt(len(own))
        A[np.ix_(own, own)] = strength * rng.choice([-1, 1, 1], strength.shape)
    np.fill_diagonal(A, 0)
    np.fill_diagonal(A, -0.1 - np.linalg.eigvals(A).real.max() * rng.uniform(1, 1.3, d))
    return A


def simulate(
    *,
    gene_sets: Sequence[str],
    n_genes: int,
    share_in_modules: float,
    share_perturbed: float,
    seed: int,
    effects: str,
    held_out_effects: str,
    differential_expression: str,
) -> None:
    """Draw effects, the responses that follow from them, and tests that follow from those."""
    rng = np.random.default_rng(seed)
    genes, block = choose_genes(gene_sets, n_genes, share_in_modules, rng)
    A = draw_effects(block, rng)
    perturbed = rng.random(n_genes) < share_perturbed
    targets = np.flatnonzero(perturbed)

    shifts = np.zeros((n_genes, len(targets)))
    shifts[targets, np.arange(len(targets))] = 3 * np.diag(A)[targets]  # knockdowns
    limits = np.linalg.solve(A, -shifts)  # genes x perturbations
    noise = rng.normal(0, 0.15, shifts.shape) * (rng.random(shifts.shape) < 0.05)
    gram = limits.T @ limits + 1e-2 * np.eye(len(targets))
    expression = np.tanh(3 * limits) * rng.uniform(0.05, 1, (n_genes, 1))

    def rows(columns: np.ndarray) -> np.ndarray:
        matrix = np.full((n_genes, n_genes), np.nan)
        matrix[targets] = columns.T
        return matrix

    sd = 0.1 * np.abs(A) + rng.gamma(2, 0.005, A.shape)
    names = pd.Index(genes)
    matrix = ad.AnnData(
        A.T,
        obs=pd.DataFrame({"perturbed": perturbed}, index=names),
        var=pd.DataFrame({"control_limit": 0.0}, index=names),
        layers={
            "initial": rows(shifts + noise),
            "limit": rows(limits),
            "pseudoinverse": rows(np.linalg.solve(gram, limits.T).T),
            "limit_expression": rows(expression),
            "sd": sd.T,
            "sign_agreement": np.where(rng.normal(A, sd) * A > 0, 1.0, 2 / 3).T,
        },
    )
    write_h5ad(matrix, effects)
    top = strongest_edges(A, STRONGEST, eligible=np.tile(perturbed, (n_genes, 1)))
    causes = np.unique(top.cause)
    again = matrix[causes].copy()
    again.X = again.X + rng.normal(0, 0.08, again.shape)
    write_h5ad(ad.AnnData(again.X, obs=again.obs[["perturbed"]], var=again.var), held_out_effects)

    # a drug and a pair of genes: perturbations that are no gene and have no row among the effects
    observed = [*names[targets], "drug", "+".join(sorted(genes[:2]))]
    changes = np.vstack([expression.T, rng.normal(0, 0.1, (2, n_genes))])
    error = rng.uniform(0.01, 0.04, n_genes)
    changes = changes * rng.uniform(0.5, 1.2, changes.shape) + rng.normal(0, error, changes.shape)
    p_value = 2 * norm.sf(np.abs(changes) / error)
    tests = pd.MultiIndex.from_product([observed, genes], names=["perturbation", "gene"])
    table = tests.to_frame(index=False).assign(
        statistic=np.abs(changes).ravel(),
        auroc=norm.cdf(changes).ravel(),
        log_fold_change=changes.ravel(),
        p_value=p_value.ravel(),
        p_adjusted=false_discovery_control(p_value, axis=1).ravel(),
    )
    write_tsv(table, differential_expression)


def stages(
    folder: Path, gene_sets: Sequence[str], number: int | None
) -> dict[str, tuple[Callable[..., None], dict[str, Any]]]:
    """Functions and their arguments by the name of the stage."""

    def at(name: str) -> str:
        return str(folder / name)

    effects, tests = at("effects.h5ad"), at("differential_expression.tsv")
    matrix = {
        "effects": at("annotated.h5ad"),
        "order": at("order.tsv"),
        "differential_expression": tests,
    }
    cut = {
        "cut": "markers" if number is None else "number",
        "markers": PATTERNS,
        "number": number,
        "height": None,
        "min_size": 5,
    }
    testing = {
        "fractions": FRACTIONS,
        "seed": 1,
        "alpha": 0.05,
        "n_listed": 1000,
        "n_resamples": 2000,
    }
    tables = {name: at(f"{name}.tsv") for name in ("tree", "order", "membership", "numbers")}
    return {
        "modules": (find_modules.main, {"effects": effects, "seed_effects": [], **tables, **cut}),
        "enrichment": (
            enrich_modules.main,
            {
                "membership": at("membership.tsv"),
                "gene_sets": list(gene_sets),
                "table": at("enrichment.tsv"),
                "top_table": at("top_terms.tsv"),
                "alpha": 0.01,
                "top": 5,
            },
        ),
        "validation": (
            validate_edges.main,
            {
                "effects": effects,
                "differential_expression": tests,
                "edges": at("validated_edges.tsv"),
                "validation": at("validation.tsv"),
                **testing,
            },
        ),
        "validation, held-out causes": (
            validate_edges.main,
            {
                "effects": at("held_out_effects.h5ad"),
                "differential_expression": tests,
                "edges": at("held_out_edges.tsv"),
                "validation": at("held_out_validation.tsv"),
                **testing,
            },
        ),
        "export": (
            export_effects.main,
            {
                "effects": effects,
                "membership": at("membership.tsv"),
                "annotated": at("annotated.h5ad"),
                "edges": at("edges.tsv"),
                "graphml": at("network.graphml"),
                "k": STRONGEST,
            },
        ),
        "figure of maps": (draw_effect_maps.main, {**matrix, "figure": at("maps.svg")}),
        "figure of numbers": (
            draw_module_numbers.main,
            {
                "numbers": at("numbers.tsv"),
                "figure": at("module_numbers.svg"),
                "cut": cut["cut"],
                "min_size": cut["min_size"],
            },
        ),
        "figure of terms": (
            draw_enrichment.main,
            {
                "order": at("order.tsv"),
                "top_terms": at("top_terms.tsv"),
                "figure": at("enrichment.svg"),
                "alpha": 0.01,
            },
        ),
        "figure of edges": (
            draw_network.main,
            {
                **matrix,
                "validated_edges": at("validated_edges.tsv"),
                "edges": at("edges.tsv"),
                "figure": at("network.svg"),
                "alpha": 0.05,
                "n_edges": 50,
            },
        ),
        "figure of validation": (
            draw_validation.main,
            {
                "validation": at("validation.tsv"),
                "held_out_validation": at("held_out_validation.tsv"),
                "figure": at("validation.svg"),
                "alpha": 0.05,
            },
        ),
    }


def work(function: Callable[..., None], arguments: dict[str, Any], connection: Any) -> None:
    """Run in a process of its own; send the peak of its resident memory in GiB."""
    function(**arguments)
    connection.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)


def measure(function: Callable[..., None], arguments: dict[str, Any]) -> tuple[float, float]:
    """Seconds and peak GiB of a function in a fresh process."""
    fresh = multiprocessing.get_context("spawn")
    receiver, sender = fresh.Pipe(duplex=False)
    start = time.perf_counter()
    process = fresh.Process(target=work, args=(function, arguments, sender))
    process.start()
    process.join()
    seconds = time.perf_counter() - start
    if process.exitcode != 0:
        raise SystemExit(f"{function.__module__} failed")
    return seconds, receiver.recv()


def describe(folder: Path) -> str:
    """Sizes of what was found, in a line."""
    modules = read_tsv(folder / "membership.tsv", dtype={"module": "Int64"})["module"]
    terms = read_tsv(folder / "top_terms.tsv")["module"].nunique()
    tests = len(read_tsv(folder / "enrichment.tsv", usecols=["module"]))
    edges = int(read_tsv(folder / "validation.tsv")["n_edges"].iloc[0])
    return (
        f"{len(modules)} genes, {modules.notna().sum()} of them in {modules.nunique()} modules, "
        f"{terms} with enriched terms among {tests} tests; {edges} edges could be tested"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("gene_sets", nargs="+", help="GMT files with symbols")
    parser.add_argument("--genes", type=int, default=1000)
    parser.add_argument("--perturbed", type=float, default=0.9, help="share of the genes")
    parser.add_argument("--in-modules", type=float, default=0.25, help="share of the genes")
    parser.add_argument("--clusters", type=int, help="cut the tree into so many, not by markers")
    parser.add_argument("--folder", type=Path, help="keep the files here")
    parser.add_argument("--seed", type=int, default=0)
    settings = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = settings.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        names = ("effects.h5ad", "held_out_effects.h5ad", "differential_expression.tsv")
        drawing = {
            "gene_sets": settings.gene_sets,
            "n_genes": settings.genes,
            "share_in_modules": settings.in_modules,
            "share_perturbed": settings.perturbed,
            "seed": settings.seed,
            **{name.split(".")[0]: str(folder / name) for name in names},
        }
        measure(simulate, drawing)
        results = {}
        for name, stage in stages(folder, settings.gene_sets, settings.clusters).items():
            results[name] = measure(*stage)
            print(f"{name:<28} {results[name][0]:7.1f} s {results[name][1]:6.2f} GiB", flush=True)
        seconds = sum(own for own, _ in results.values())
        peak = max(own for _, own in results.values())
        print(f"{'all, one after the other':<28} {seconds:7.1f} s {peak:6.2f} GiB at the peak")
        print(describe(folder))
        kept = seconds < LIMIT_SECONDS and peak < LIMIT_GIB
        print(f"{'within' if kept else 'BEYOND'} {LIMIT_SECONDS} s and {LIMIT_GIB} GiB")


if __name__ == "__main__":
    main()
