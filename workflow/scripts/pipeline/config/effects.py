"""Section `effects`."""

from typing import Literal

from lcd_core.direct_effects import ESTIMATORS
from pipeline.config.schema import METHODS, PIPELINE, Section, fractions, key


class Effects(Section):
    """Causal effects among the genes of a screen, from models of all its conditions."""

    seeds: int = key(
        3,
        "Fits (prior and drift) with different seeds; effects are their mean, with standard "
        "deviation and agreement in sign. Published: 1.",
        source=f"{PIPELINE}; {METHODS} (1)",
        unit="fits",
        ge=1,
    )
    variant: str = key(
        "default",
        "Variant of the settings of LCD (`methods.lcd.variants`) whose fits to all conditions the "
        "effects are read from. What suits effects need not suit predictions.",
        source=PIPELINE,
    )
    estimator: Literal[tuple(ESTIMATORS)] = key(  # type: ignore[valid-type]
        "adaptive_rows",
        "How direct effects are estimated, see docs/clipr.md: `adaptive_rows` (sparse rows told "
        "the targets, averaged over errors), `sparse_rows`, `target_aware_rows`, "
        "`averaged_current`, `probability_current`, `centred_ridge`, or `clipr`, as published. "
        "Effects of `clipr` are in the files whatever is chosen.",
        source=f"{PIPELINE}; {METHODS} (clipr)",
    )
    changes: Literal["priors", "counts"] = key(
        "priors",
        "Where changes of genes under perturbations come from, for estimators that start from "
        "them: means of log rates under the fitted `priors`, or logarithms of mean normalised "
        "`counts`, without a model. `clipr` and `centred_ridge` read the drift instead.",
        source=PIPELINE,
    )
    samples: int = key(
        2000,
        "States drawn from each prior for the means of its log rates.",
        source=PIPELINE,
        unit="states",
        ge=2,
    )
    draws: int = key(
        30,
        "Redrawings of the changes within their standard errors over which `adaptive_rows` "
        "averages, and from which it has the errors of effects.",
        source=PIPELINE,
        unit="draws",
        ge=2,
    )
    edges: int = key(
        50,
        "Strongest effects that are exported, drawn as a network, and whose causes are held out.",
        source=f"{METHODS} (50)",
        unit="edges",
        ge=1,
    )
    held_out_folds: int = key(
        5,
        "Folds of the causes of the strongest edges: for each, a model is fitted without the "
        "perturbations of its causes, and their edges are validated; 0 leaves this out.",
        source=f"{METHODS} (5)",
        unit="folds",
        ge=0,
    )
    top_fractions: fractions() = key(  # type: ignore[valid-type]
        (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0),
        "Strongest shares of the edges that could be tested at which they are validated.",
        source=PIPELINE,
        min_length=1,
    )
    de_alpha: float = key(
        0.05,
        "False discovery rate below which a gene counts as differentially expressed "
        "(Mann-Whitney U against control, Benjamini-Hochberg over the genes of a perturbation).",
        source=f"{METHODS} (0.05)",
        gt=0,
        lt=1,
    )
    leave_out_failed: bool = key(
        False,
        "Whether edges of causes whose perturbation did not move its own gene, or moved it against "
        "the others (`screen/targets.tsv`), are left out of the validation. They are marked in "
        "any case.",
        source=PIPELINE,
    )
    resamples: int = key(
        2000,
        "Bootstrap resamples of the intervals of lift and conviction, and permutations within "
        "causes.",
        source=PIPELINE,
        unit="resamples",
        ge=1,
    )
