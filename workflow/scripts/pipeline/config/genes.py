"""Section `genes`."""

from pipeline.config.schema import METHODS, Section, key


class Genes(Section):
    """Which genes are modelled; selected in each fold from its training cells."""

    count: int | None = key(
        1000,
        "Genes to model: targets first, then marker genes, then highly variable genes; null takes "
        "all that pass quality control.",
        source=f"{METHODS} (1,000)",
        unit="genes",
        ge=2,
    )
    markers_per_perturbation: int = key(
        20,
        "Marker genes of each training perturbation that take precedence.",
        source=f"{METHODS} (20)",
        unit="genes",
        ge=0,
    )
