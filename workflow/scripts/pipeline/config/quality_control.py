"""Section `quality_control`."""

from pydantic import (
    model_validator,
)

from pipeline.config.schema import METHODS, PIPELINE, RELEASE, Section, contradiction, key


class QualityControl(Section):
    """Which genes, cells and perturbations are kept. null switches a filter off."""

    min_cells_per_gene: int | None = key(
        20,
        "Genes with counts in fewer cells are removed.",
        source=f"{METHODS} (20)",
        unit="cells",
        ge=1,
    )
    min_genes_per_cell: int | None = key(
        200,
        "Cells with counts of fewer genes are removed.",
        source=f"{METHODS} (200)",
        unit="genes",
        ge=1,
    )
    min_cells_per_perturbation: int | None = key(
        100,
        "Perturbations with fewer cells are removed.",
        source=f"{METHODS} (100)",
        unit="cells",
        ge=1,
    )
    mitochondrial_prefix: str = key(
        "MT-",
        "How the names of mitochondrial genes begin.",
        source="HGNC symbols",
        min_length=1,
    )
    max_mitochondrial_percent: float | None = key(
        None,
        "Cells with a larger share of mitochondrial counts are removed. Published: Norman 15, "
        "Wessels 20.",
        source=RELEASE,
        unit="percent",
        ge=0,
        le=100,
    )
    min_counts: int | None = key(
        None,
        "Cells with fewer counts are removed. Published: Norman 7,500, Wessels 3,000.",
        source=RELEASE,
        unit="counts",
        ge=1,
    )
    max_counts: int | None = key(
        None,
        "Cells with more counts are removed. Published: Wessels 40,000.",
        source=RELEASE,
        unit="counts",
        ge=1,
    )
    min_genes: int | None = key(
        None,
        "Cells with counts of fewer genes are removed as outliers. Published: Wessels 1,500.",
        source=RELEASE,
        unit="genes",
        ge=1,
    )
    max_genes: int | None = key(
        None,
        "Cells with counts of more genes are removed as outliers. Published: Norman 6,000, "
        "Wessels 6,500.",
        source=RELEASE,
        unit="genes",
        ge=1,
    )

    size_factors: str = key(
        "total",
        "What makes cells comparable in differential expression and gene selection: `total`, all "
        "counts of a cell; `leave_dominant_out`, all but those of genes above "
        "`dominant_percent`; `median_ratio`, the total, corrected for each perturbation by the "
        "median over genes of its pooled counts' ratio to the control's (DESeq2 on pools, Anders "
        "& Huber 2010; Lun et al. 2016); `obs:` and a column of `obs` with size factors. Take "
        "another than `total` where one gene holds much of all counts, as in targeted panels.",
        source=PIPELINE,
        pattern=r"^(total|leave_dominant_out|median_ratio|obs:.+)$",
    )
    dominant_percent: float = key(
        20.0,
        "Share of all counts of a perturbation, or of the control, above which one gene is warned "
        "about, and left out by `size_factors: leave_dominant_out`.",
        source=PIPELINE,
        unit="percent",
        gt=0,
        le=100,
    )

    @model_validator(mode="after")
    def _bounds_leave_something(self) -> "QualityControl":
        for low, high in (
            ("min_counts", "max_counts"),
            ("min_genes", "max_genes"),
            ("min_genes_per_cell", "max_genes"),
        ):
            lower, upper = getattr(self, low), getattr(self, high)
            if lower is not None and upper is not None and lower > upper:
                raise contradiction(
                    f"quality_control.{low}",
                    f"no cell can pass: {low} is above {high}",
                    f"{low} {lower}, {high} {upper}",
                    f"lower {low} or raise {high}",
                )
        return self
