"""Section `modules`."""

from typing import Literal

from pydantic import (
    model_validator,
)

from pipeline.config.schema import METHODS, PIPELINE, Names, Section, contradiction, key


class Modules(Section):
    """Gene modules: average linkage of distances between genes, cut into clusters."""

    distance: Literal["changes", "effects"] = key(
        "changes",
        "Distance between genes: `changes`, one minus the correlation of their changes under all "
        "perturbations; `effects`, shortest paths in the graph of direct effects, as published. On "
        "simulated screens the first finds the true modules far better (docs/clipr.md).",
        source=f"{PIPELINE}; effects in {METHODS}",
    )
    cut: Literal["auto", "markers", "height", "number", "none"] = key(
        "auto",
        "Where the tree is cut: `auto` into the number of clusters whose modules are most separate "
        "and, over several `effects.seeds`, stable (docs/clipr.md); `markers` at the lowest height "
        "that puts all `markers` into one cluster, as published; at a `height`; into a `number` of "
        "clusters; `none` makes no modules, and so no enrichment.",
        source=f"{PIPELINE}; markers in {METHODS}",
    )
    markers: Names = key(
        ("RPL*", "RPS*"),
        "Names of genes, or patterns, that belong together, for `cut: markers`; two of them must "
        "be among the modelled genes.",
        source=f"{METHODS} (ribosomal protein genes)",
    )
    height: float | None = key(
        None, "Height of the cut, in units of the distance.", source=PIPELINE, gt=0
    )
    number: int | None = key(
        None,
        "Clusters, counted before small ones are dropped.",
        source=PIPELINE,
        unit="clusters",
        ge=1,
    )
    min_size: int = key(
        5, "Clusters of fewer genes are dropped.", source=f"{METHODS} (5)", unit="genes", ge=1
    )

    @model_validator(mode="after")
    def _cut_is_given(self) -> "Modules":
        missing = {
            "markers": not self.markers,
            "height": self.height is None,
            "number": self.number is None,
        }
        if missing.get(self.cut, False):
            raise contradiction(
                f"modules.{self.cut}",
                f"modules.cut is {self.cut}, but modules.{self.cut} is not given",
                "null" if self.cut != "markers" else "[]",
                f"give modules.{self.cut}, or another modules.cut",
            )
        return self
