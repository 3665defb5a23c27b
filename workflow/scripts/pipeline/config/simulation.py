"""Section `simulation`."""

from typing import Literal

from pydantic import (
    model_validator,
)

from pipeline.config.schema import PIPELINE, Section, contradiction, key


class Simulation(Section):
    """The simulated screen; read only where `screen.kind` is `simulated`."""

    network: Literal["modules", "cascades"] = key(
        "modules",
        "`modules`: sets of genes that share their regulators; `cascades`: chains of up to three "
        "regulators and of genes below them, so that most effects are indirect.",
        source=PIPELINE,
    )
    genes: int = key(80, "Genes.", source=PIPELINE, unit="genes", ge=36, le=256)
    targets: int = key(12, "Genes that are perturbed singly.", source=PIPELINE, unit="genes", ge=1)
    targets_from: Literal["regulators", "anywhere"] = key(
        "regulators",
        "Which these are: `regulators`, and others only where there are not enough; `anywhere`, "
        "drawn from all genes alike.",
        source=PIPELINE,
    )
    doubles: int = key(
        18,
        "Pairs of targets that are perturbed together; where targets are taken from regulators, "
        "pairs of these as long as there are any.",
        source=PIPELINE,
        unit="pairs",
        ge=0,
    )
    cells_per_condition: int = key(
        120, "Cells of each perturbation.", source=PIPELINE, unit="cells", ge=2
    )
    control_cells: int = key(300, "Unperturbed cells.", source=PIPELINE, unit="cells", ge=2)
    kind: Literal["activation", "knockdown"] = key(
        "activation",
        "Whether a perturbation raises or lowers the transcription of its target (CRISPRa, "
        "CRISPRi).",
        source=PIPELINE,
    )
    failed_share: float = key(
        0.0,
        "Share of the targets whose perturbation does nothing, rounded to whole targets.",
        source=PIPELINE,
        ge=0,
        le=1,
    )
    confounding: float = key(
        0.0,
        "Strength of a hidden factor that differs between cells of every condition, and raises a "
        "sixth of the genes while it lowers another: standard deviation of the logarithm of "
        "their production.",
        source=PIPELINE,
        unit="log fold",
        ge=0,
        le=2,
    )
    depth: float = key(
        1.0,
        "Factor on the mean counts of all genes, which at 1 span 0.3 to 25 per cell.",
        source=PIPELINE,
        ge=0.001,
        le=1000,
    )
    dominant_gene: float | None = key(
        None,
        "Share of all counts of the control that one gene holds, the gene that a target regulates "
        "most; null for no such gene.",
        source=PIPELINE,
        ge=0.01,
        le=0.9,
    )

    @model_validator(mode="after")
    def _enough_genes_and_pairs(self) -> "Simulation":
        if self.targets > self.genes:
            raise contradiction(
                "simulation.targets",
                "more targets than genes",
                f"{self.targets} targets, {self.genes} genes",
                "lower simulation.targets or raise simulation.genes",
            )
        pairs = self.targets * (self.targets - 1) // 2
        if self.doubles > pairs:
            raise contradiction(
                "simulation.doubles",
                f"{self.targets} targets have only {pairs} pairs",
                f"{self.doubles} doubles",
                f"lower simulation.doubles to at most {pairs} or raise simulation.targets",
            )
        return self
