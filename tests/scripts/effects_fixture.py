"""Synthetic effects of a few genes, the files that their figures read, and these drawn."""

import inspect
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control

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
from pipeline.screen import write_h5ad
from pipeline.tables import write_tsv

GENES = [f"GENE{i}" for i in range(24)]
NEVER = GENES[::6]  # never perturbed
INPUT_TABLES = (
    "validation",
    "held_out_validation",
    "validated_edges",
    "edges",
    "top_terms",
    "enrichment",
    "numbers",
)
NO_TEST = "GENE1"  # perturbed, but missing in the table of tests
FIGURES = {
    "maps": (draw_effect_maps, {}),
    "enrichment": (draw_enrichment, {"alpha": 0.01}),
    "module_numbers": (draw_module_numbers, {"cut": "number", "min_size": 5}),
    "network": (draw_network, {"alpha": 0.05, "n_edges": 50}),
    "validation": (draw_validation, {"alpha": 0.05}),
}
"""Script and settings of each figure."""
CUT = {
    "distance": "changes",
    "cut": "number",
    "markers": [],
    "height": None,
    "number": 10,
    "min_size": 5,
}


def effects_of(genes=GENES, never=NEVER, seed=0, **layers):
    """Effects in two blocks, with the layers that the analysis writes."""
    rng = np.random.default_rng(seed)
    d = len(genes)
    block = np.arange(d) * 3 // d  # the first third is in none
    inside = (block[:, None] == block) & (block > 0)
    strong = rng.uniform(0.5, 1, (d, d)) * rng.choice([-1, 1], (d, d))
    X = np.where(inside, strong, rng.normal(0, 0.01, (d, d)))
    np.fill_diagonal(X, -9)
    perturbed = ~np.isin(genes, never)
    rows = {
        name: np.where(perturbed[:, None], rng.normal(0, 1, (d, d)), np.nan)
        for name in (
            "initial", "limit", "pseudoinverse", "limit_expression", "change", "change_error"
        )
    }  # fmt: skip
    rows["change_error"] = np.abs(rows["change_error"])
    return ad.AnnData(
        X,
        obs=pd.DataFrame({"perturbed": perturbed}, index=list(genes)),
        var=pd.DataFrame({"control_limit": rng.normal(0, 5, d)}, index=list(genes)),
        varm={"changes": in_blocks(block, rng)},
        layers={**rows, **layers},
    )


def in_blocks(block, rng, k=18):
    """Changes of genes under k perturbations that those of one block share, (d, k)."""
    shared = rng.normal(size=(3, k))[block] * (block > 0)[:, None]
    return shared + rng.normal(0, 0.3, (len(block), k))


def screen_tests(effects, seed=1):
    """Tests that follow the effects, of perturbed genes, a drug and a pair."""
    rng = np.random.default_rng(seed)
    genes = effects.var_names
    parts = []
    for name in [*effects.obs_names[effects.obs["perturbed"]], "drug", "GENE2+GENE3"]:
        if name == NO_TEST:
            continue
        change = effects[name].X[0] if name in genes else rng.normal(0, 1, len(genes))
        change = change + rng.normal(0, 0.1, len(genes))
        p_value = np.exp(-8 * np.abs(change))
        parts.append(
            pd.DataFrame(
                {
                    "perturbation": name,
                    "gene": genes,
                    "log_fold_change": change,
                    "p_value": p_value,
                    "p_adjusted": false_discovery_control(p_value),
                }
            )
        )
    return pd.concat(parts)


def target_table(effects):
    """Own genes of the perturbations, the first of which did not move its own."""
    own = effects.obs_names[effects.obs["perturbed"]]
    status = ["did not move", *["down"] * (len(own) - 1)]
    return pd.DataFrame({"perturbation": own, "gene": own, "status": status})


def write_inputs(folder, effects):
    """Write what the figures read, through the scripts that make it; return the paths."""

    def at(name):
        return str(folder / name)

    write_h5ad(effects, at("effects.h5ad"))
    write_tsv(screen_tests(effects), at("tests.tsv"))
    write_tsv(target_table(effects), at("targets.tsv"))
    tables = {name: at(f"{name}.tsv") for name in ("tree", "order", "membership", "numbers")}
    find_modules.main(effects=at("effects.h5ad"), seed_effects=[], **tables, **CUT)
    common = {"differential_expression": at("tests.tsv"), "fractions": [0.01, 0.1, 1], "seed": 1}
    common |= {"alpha": 0.05, "n_listed": 1000, "n_resamples": 200, "leave_out_failed": False}
    common["targets"] = at("targets.tsv")
    validate_edges.main(
        effects=at("effects.h5ad"),
        edges=at("validated_edges.tsv"),
        validation=at("validation.tsv"),
        **common,
    )
    export_effects.main(
        effects=at("effects.h5ad"),
        membership=at("membership.tsv"),
        annotated=at("annotated.h5ad"),
        edges=at("edges.tsv"),
        untestable_edges=at("untestable_edges.tsv"),
        graphml=at("network.graphml"),
        k=50,
    )
    paths = {
        "effects": at("annotated.h5ad"),
        "order": at("order.tsv"),
        "differential_expression": at("tests.tsv"),
        **{name: at(f"{name}.tsv") for name in INPUT_TABLES},
    }
    write_h5ad(effects[["GENE9", "GENE14"]].copy(), at("held_out.h5ad"))
    validate_edges.main(
        effects=at("held_out.h5ad"),
        edges=at("held_out_edges.tsv"),
        validation=at("held_out_validation.tsv"),
        **common,
    )
    (folder / "sets.gmt").write_text("\t".join(["GOCC_LAST_BLOCK", "x", *GENES[16:]]))
    enrich_modules.main(
        membership=at("membership.tsv"),
        gene_sets=[at("sets.gmt")],
        table=at("enrichment.tsv"),
        top_table=at("top_terms.tsv"),
        alpha=0.01,
        top=5,
    )
    return paths


def draw(name, inputs, folder, **changes):
    """Draw a figure from those of the inputs that its script reads; return the SVG."""
    script, settings = FIGURES[name]
    read = {key: path for key, path in inputs.items() if key in parameters_of(name)}
    path = Path(folder) / f"{name}.svg"
    script.main(**(read | settings | changes), figure=str(path))
    return path


def parameters_of(name):
    """Names of the arguments of a figure's script."""
    return inspect.signature(FIGURES[name][0].main).parameters
