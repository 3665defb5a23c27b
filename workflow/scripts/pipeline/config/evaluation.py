"""Section `evaluation`."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import (
    BeforeValidator,
    Field,
)

from evaluation.registry import METRICS
from pipeline.config.schema import METHODS, PIPELINE, Names, Section, distinct, key

if TYPE_CHECKING:
    MetricName = str
else:
    MetricName = Literal[tuple(METRICS)]


class Evaluation(Section):
    """How predictions are compared with the held-out cells."""

    metrics: Annotated[tuple[MetricName, ...], Field(strict=False), BeforeValidator(distinct)] = (
        key(
            (
                "mmd_top_de",
                "mmd_all",
                "rmse_top_de",
                "pearson_mean",
                "pearson_delta",
                "pearson_delta_relative",
                "energy_distance_top_de",
                "wasserstein1_top_de",
                "wasserstein1_all",
                "mmd_pca",
                "weighted_mse",
                "weighted_r2_delta",
                "correlation_error_top_de",
                "nonadditivity_pearson",
                "nonadditivity_ap",
                "discrimination_l2",
                "discrimination_cosine",
            ),
            "Metrics to compute; `top_de` are the differentially expressed genes, `delta` changes "
            "from control.",
            source=f"{METHODS}; {PIPELINE}",
            min_length=1,
        )
    )
    reference: str = key(
        "lcd",
        "Method that the others are compared with in pairs, one of those that run.",
        source=PIPELINE,
        min_length=1,
    )
    shown: Names | None = key(
        None,
        "Methods whose cells one figure shows gene by gene; null: the reference and the method "
        "that it is compared with by type of interaction (`interactions.versus`).",
        source=PIPELINE,
    )
    top_genes: int = key(
        20,
        "Differentially expressed genes that the `top_de` metrics compare.",
        source=f"{METHODS} (20)",
        unit="genes",
        ge=1,
    )
    components: int = key(
        20,
        "Principal components of training cells on which `mmd_pca` compares.",
        source="Miller et al. 2025 (20 to 50)",
        unit="components",
        ge=1,
    )
    cells: Literal["equal", "all"] = key(
        "equal",
        "Which cells are compared: `equal`, a half of the observed cells with as many predicted "
        "ones as there are in the other half, so that methods and the noise ceiling face the same "
        "cells in the same number; `all`, every predicted with every observed cell, as published, "
        "to which the noise ceiling cannot be compared.",
        source=f"{PIPELINE}; all in {METHODS}",
    )
    splits: int = key(
        4,
        "Random halves over which `equal` averages; the noise ceiling needs them with `all` too.",
        source=PIPELINE,
        unit="splits",
        ge=1,
    )
    bootstrap: int = key(
        2000,
        "Draws of perturbations for the 95% intervals of medians.",
        source=PIPELINE,
        unit="draws",
        ge=100,
    )
    external: Annotated[
        tuple[Literal["cell_eval", "scperteval"], ...],
        Field(strict=False),
        BeforeValidator(distinct),
    ] = key(
        (),
        "Evaluators made elsewhere to run too, each in an environment of its own: `cell_eval` "
        "(Arc Institute), `scperteval` (Vollenweider and Buehlmann 2026). Their tables, and their "
        "scores beside ours of the same cells, are under `external/`.",
        source=PIPELINE,
    )
    max_cells: int | None = key(
        None,
        "Cells compared at most on either side, drawn at random; null compares all.",
        source=PIPELINE,
        unit="cells",
        ge=2,
    )
    check_cells: int = key(
        200,
        "Cells generated for each training condition to check the fits of prior and drift.",
        source=PIPELINE,
        unit="cells",
        ge=2,
    )
