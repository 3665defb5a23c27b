"""Section `effects`."""

from lcd_core.settings import EffectSettings
from pipeline.config.from_settings import section_of
from pipeline.config.schema import METHODS, PIPELINE, fractions, key


class Effects(section_of(EffectSettings)):  # type: ignore[misc]
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
