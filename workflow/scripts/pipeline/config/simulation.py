"""Section `simulation`."""

from typing import Literal

from pydantic import (
    model_validator,
)

from pipeline.config.schema import PIPELINE, Section, contradiction, key


class Simulation(Section):
    """The simulated screen; read only where `screen.kind` is `simulated`."""

    genes: int = key(80, "Genes.", source=PIPELINE, unit="genes", ge=36, le=256)
    targets: int = key(
        12,
        "Genes that are perturbed singly: regulators first, then others.",
        source=PIPELINE,
        unit="genes",
        ge=1,
    )
    doubles: int = key(
        18,
        "Pairs of these that are perturbed together; pairs of regulators as long as there are any.",
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
