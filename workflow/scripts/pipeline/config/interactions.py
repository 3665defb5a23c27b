"""Section `interactions`."""

from typing import Literal

from pydantic import Field, model_validator

from pipeline.config.schema import METHODS, PIPELINE, Section, contradiction, key

TABLE = f"{METHODS}, Table S3"


class Thresholds(Section):
    """Where the types of genetic interaction begin; additivity lies between the first two."""

    suppression: float = key(
        0.97, "Suppressive pairs have a smaller magnitude.", source=f"{TABLE} (0.97)", gt=0
    )
    synergy: float = key(
        1.34, "Synergistic pairs have a larger magnitude.", source=f"{TABLE} (1.34)", gt=0
    )
    epistasis: float = key(
        0.37, "Epistatic pairs have a smaller equality.", source=f"{TABLE} (0.37)", gt=0
    )
    redundancy: float = key(
        0.92, "Redundant pairs have a larger similarity.", source=f"{TABLE} (0.92)", gt=0
    )
    neomorphism: float = key(
        0.86, "Neomorphic pairs have a smaller fit.", source=f"{TABLE} (0.86)", gt=0
    )

    @model_validator(mode="after")
    def _apart(self) -> "Thresholds":
        if self.suppression >= self.synergy:
            raise contradiction(
                "interactions.thresholds.suppression",
                "pairs would be suppressive and synergistic at once",
                f"suppression {self.suppression}, synergy {self.synergy}",
                "set suppression below synergy",
            )
        return self


class Interactions(Section):
    """Genetic interactions of held-out pairs, observed and predicted; part of the benchmark."""

    measure: bool = key(
        True,
        "Whether interactions are measured, of pairs both of whose targets were measured alone.",
        source=PIPELINE,
    )
    min_count: float = key(
        0.5,
        "Genes with a smaller mean count over the training cells are left out.",
        source=f"{METHODS} (0.5)",
        unit="counts per cell",
        ge=0,
    )
    scale: Literal["none", "control_sd"] = key(
        "none",
        "What changes are divided by: nothing, as the paper's text says, or the standard deviation "
        "of a gene over the control cells, as its released code does.",
        source=f"{METHODS} (none)",
    )
    thresholds: Thresholds = Field(default_factory=Thresholds)
    annotations: str | None = key(
        None,
        "Pairs of known type, by which the thresholds are calibrated: a JSON file with lists of "
        "pairs by type, or a TSV with the columns `perturbation` and `type`. null: the thresholds "
        "above.",
        source=PIPELINE,
    )
    versus: str | None = key(
        None,
        "Method that `evaluation.reference` is compared with by type, one of those that run; null: "
        "`salt` if it runs, else the one that stands before the reference.",
        source=f"{METHODS} (SALT)",
        min_length=1,
    )
    metric: str | None = key(
        None,
        "Metric by which they are compared, one of `evaluation.metrics`; null: the first of these.",
        source=f"{METHODS} (MMD on the top DE genes)",
        min_length=1,
    )
