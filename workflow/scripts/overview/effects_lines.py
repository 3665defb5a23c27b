"""What there is to say of causal effects, and of linear systems with known ones."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from overview.lines import DOUBT, RESULT, Line, count, joined, number, p_text, share
from pipeline.looks import STRUCTURES, estimator
from pipeline.tables import read_tsv

EFFECTS, LINEAR = "Causal effects", "Linear systems"
TABLES = "effects/tables.html"
NETWORK, VALIDATION = "figures/effects_network.svg", "figures/effects_validation.svg"
NUMBERS, RECOVERY = "figures/effects_module_numbers.svg", "figures/effects_recovery.svg"
FAILED = ("did not move", "moved against the others")
SIGNIFICANT = 0.05
STABLE = 0.5
"""Adjusted Rand index between single seeds below which modules are a matter of choice."""

NAMED = 5
"""Effects, and estimators, named in a line."""

OWN = ("adaptive_rows", "lcd_clipr")
"""Estimators that are named wherever they stand among the others: of screens, and published."""


def effects_lines(files: Mapping[str, Any], n_edges: int) -> Iterator[Line]:
    """Say which effects are strongest, how often they hold, and what not to believe.

    Parameters
    ----------
    files
        Paths of ``edges``, ``validated_edges``, ``validation`` and ``responses`` (a list); and,
        where there are such, of ``held_out_validation``, ``module_numbers``, ``membership``,
        ``top_terms`` and ``recovery``.
    n_edges
        Number of strongest edges that the run is about.
    """
    names = {"cause": str, "effect": str, "target_status": str}
    edges, tested = (read_tsv(files[name], dtype=names) for name in ("edges", "validated_edges"))
    yield from strongest(edges)
    yield from signs(edges)
    yield from held(files["validation"], n_edges, "")
    if files.get("held_out_validation"):
        yield from held(files["held_out_validation"], n_edges, "of held-out causes ")
    yield from from_failed(tested.head(n_edges))
    yield from unconverged(files["responses"])
    if files.get("module_numbers"):
        yield from modules(files["module_numbers"], files["membership"])
    if files.get("top_terms"):
        terms = read_tsv(files["top_terms"], dtype={"term": str})
        n = terms["module"].nunique()
        yield Line(
            RESULT,
            EFFECTS,
            f"{count(n, 'module')} {'has' if n == 1 else 'have'} enriched gene sets.",
            file="figures/effects_enrichment.svg",
        )
    if files.get("recovery"):
        yield from recovered(files["recovery"])


def strongest(edges: pd.DataFrame) -> Iterator[Line]:
    """The first of the strongest effects."""
    if edges.empty:
        yield Line(
            DOUBT,
            EFFECTS,
            "No modelled gene was perturbed alone: all effects are of genes that the screen never "
            "perturbed, and nothing in it can contradict them.",
            file=TABLES,
        )
        return
    first = [
        f"{row.cause} → {row.effect} ({'+' if row.value > 0 else '−'})"
        for row in edges.head(NAMED).itertuples()
    ]
    yield Line(
        RESULT, EFFECTS, f"The strongest direct effects are {', '.join(first)}.", file=NETWORK
    )  # fmt: skip


def signs(edges: pd.DataFrame) -> Iterator[Line]:
    """Effects whose sign depends on the seed, or of which it is not known."""
    if "sign_agreement" not in edges:
        yield Line(
            DOUBT,
            EFFECTS,
            "Effects come from a single training seed: how far they depend on it is not known.",
            advice="raise effects.seeds",
            file=TABLES,
        )
        return
    unsure = edges[edges["sign_agreement"] < 1]
    if len(unsure):
        yield Line(
            DOUBT,
            EFFECTS,
            f"{share(len(unsure), len(edges))} of the strongest effects do not have the same sign "
            "in all training seeds.",
            joined(f"{row.cause} → {row.effect}" for row in unsure.itertuples()),
            "leave these out of conclusions",
            TABLES,
        )


def held(path: str, n_edges: int, which: str) -> Iterator[Line]:
    """How often the strongest effects hold by differential expression."""
    rows = read_tsv(path)
    if rows.empty:
        yield Line(
            DOUBT,
            EFFECTS,
            f"No effect {which}can be tested by the perturbation of its cause.",
            file=VALIDATION,
        )
        return
    row = rows.loc[(np.log(rows["k"]) - np.log(n_edges)).abs().idxmin()]
    yield Line(
        RESULT,
        EFFECTS,
        f"Of the {int(row['k']):,} strongest effects {which}that could be tested, "
        f"{100 * row['probability']:.0f}% lead to a gene that is differentially expressed under "
        f"the perturbation of the cause; of all {100 * row['base_rate']:.0f}%, of random genes of "
        f"the same causes {100 * row['null_probability']:.0f}% ({p_text(row['null_p_value'])}, "
        "permutation within causes).",
        file=VALIDATION,
    )
    if row["null_p_value"] >= SIGNIFICANT:
        yield Line(
            DOUBT,
            EFFECTS,
            f"The {int(row['k']):,} strongest effects {which}hold no more often than any genes "
            "would that one draws for the same causes: which gene a cause leads to is not "
            f"supported{' for causes left out of the estimate' if which else ' by the screen'}.",
            advice="read causes, not edges; docs/clipr.md says what the estimators can do",
            file=VALIDATION,
        )


def from_failed(edges: pd.DataFrame) -> Iterator[Line]:
    """Strong effects of targets whose perturbation may have failed."""
    lost = edges[edges["target_status"].isin(FAILED)]
    if len(lost):
        yield Line(
            DOUBT,
            EFFECTS,
            f"{share(len(lost), len(edges))} of the strongest effects start at a gene that its "
            "own perturbation did not move as expected.",
            joined(lost["cause"].drop_duplicates()),
            "effects.leave_out_failed leaves them out of the validation",
            TABLES,
        )


def unconverged(paths: list[str]) -> Iterator[Line]:
    """Perturbations whose limit was not reached."""
    parts = [read_tsv(path, dtype={"perturbation": str}) for path in paths]
    lost = pd.concat([rows.loc[~rows["converged"].astype(bool), "perturbation"] for rows in parts])
    if len(lost):
        yield Line(
            DOUBT,
            EFFECTS,
            f"The limit response of {count(lost.nunique(), 'condition')} was not reached.",
            joined(lost.drop_duplicates()),
            "raise clipr.steps_per_level or clipr.tolerance, or train the drift for longer",
            "figures/effects_maps.svg",
        )


def modules(numbers: str, membership: str) -> Iterator[Line]:
    """How many modules, and whether seeds agree on them."""
    chosen = read_tsv(numbers)
    chosen = chosen[chosen["chosen"].astype(bool)]
    genes = read_tsv(membership, dtype={"gene": str})
    inside = int(genes["module"].notna().sum())
    n = genes["module"].nunique()
    yield Line(
        RESULT,
        EFFECTS,
        f"{count(n, 'gene module')} with {share(inside, len(genes))} genes.",
        file=NUMBERS,
    )
    if len(chosen) and chosen["stability"].iloc[0] < STABLE:
        yield Line(
            DOUBT,
            EFFECTS,
            f"Modules differ between training seeds (adjusted Rand index "
            f"{number(chosen['stability'].iloc[0], 2)}).",
            advice="read them as a summary; see the figure for other numbers of modules",
            file=NUMBERS,
        )


def recovered(path: str) -> Iterator[Line]:
    """Against the truth of a simulated screen."""
    rows = read_tsv(path, dtype={"estimator": str, "pairs": str, "metric": str, "k": "Int64"})
    at = rows[(rows["pairs"] == "perturbed") & (rows["metric"] == "average_precision")]
    values = at.set_index("estimator")["value"]
    shown = ["direct_effects", "lcd_clipr", "differential_expression"]
    if not values.reindex(shown[:1]).notna().all():
        return
    said = ", ".join(
        f"{estimator(name).label} {number(values[name])}"
        for name in shown
        if np.isfinite(values.get(name, np.nan))
    )
    base = float(at["base_rate"].iloc[0])
    yield Line(
        RESULT,
        EFFECTS,
        f"Against the true graph of the simulation, average precision of links whose cause was "
        f"perturbed alone: {said}; chance {number(base)}.",
        file=RECOVERY,
    )
    plain = values.get("differential_expression", np.nan)
    if values["direct_effects"] <= plain:
        yield Line(
            DOUBT,
            EFFECTS,
            "Differential expression finds the true links of this simulation no worse than the "
            "estimated effects.",
            advice="the estimator adds nothing here; docs/clipr.md compares the others",
            file=RECOVERY,
        )


def linear_lines(summary: str, systems: str) -> Iterator[Line]:
    """Recovery of known effects of linear systems, of the largest, by how many are perturbed."""
    rows = read_tsv(summary, dtype={"structure": str, "estimator": str, "metric": str})
    fits = read_tsv(systems, dtype={"structure": str, "unconverged": str})
    own = rows[(rows["metric"] == "auroc") & ~rows["knows_truth"].astype(bool)]
    largest = own["genes"].max()
    own = own[own["genes"] == largest]
    own = own[own["percent"].isin([own["percent"].min(), own["percent"].max()])]
    for (structure, percent), part in own.groupby(["structure", "percent"], sort=False):
        values = part.set_index("estimator")["median"].sort_values(ascending=False)
        first = dict.fromkeys([*values.index[:NAMED], *values.index.intersection(list(OWN))])
        said = ", ".join(f"{estimator(name).label} {number(values[name])}" for name in first)
        yield Line(
            RESULT,
            LINEAR,
            f"{STRUCTURES.get(structure, structure)} systems of {largest} genes, {percent}% "
            f"perturbed, median AUROC of true effects, the best of {len(values)} estimators: "
            f"{said}.",
            file="figures/linear_auroc.svg",
        )
    lost = fits[fits["n_unconverged"] > 0]
    if len(lost):
        yield Line(
            DOUBT,
            LINEAR,
            f"Limits were not reached in {share(len(lost), len(fits))} systems.",
            joined(f"{r.structure} {r.genes} genes, system {r.system}" for r in lost.itertuples()),
            "train their drift for longer: linear_drift.steps",
            "linear_systems/systems.tsv",
        )
