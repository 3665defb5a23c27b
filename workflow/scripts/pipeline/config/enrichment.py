"""Section `enrichment`."""

from pipeline.config.schema import METHODS, Names, Section, key


class Enrichment(Section):
    """Gene sets that are over-represented in modules."""

    gene_sets: Names | None = key(
        None,
        "GMT files with the names of genes as in the screen; null is the true modules of a "
        "simulated screen, and none of any other; an empty list leaves enrichment out, and so does "
        "`modules.cut: none`. Files under `downloads/msigdb/<version>/`, such as "
        "`downloads/msigdb/2024.1.Hs/c5.go.bp.gmt`, "
        "are fetched from MSigDB.",
        source=f"{METHODS} (C5.GO and C2.CP of MSigDB)",
    )
    alpha: float = key(
        0.01,
        "False discovery rate (Benjamini-Hochberg over modules and terms together).",
        source=f"{METHODS} (0.01)",
        gt=0,
        lt=1,
    )
    top_terms: int = key(
        5,
        "Terms shown for each module, by odds ratio.",
        source=f"{METHODS} (5)",
        unit="terms",
        ge=1,
    )
