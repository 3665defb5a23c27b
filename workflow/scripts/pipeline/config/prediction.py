"""Section `prediction`."""

from typing import Literal

from pipeline.config.schema import METHODS, PIPELINE, Names, Section, key


class Prediction(Section):
    """What predicts the held-out combinations."""

    methods: Names | None = key(
        None,
        "Methods to run, each by its name, with a variant or a seed after a slash: `lcd`, "
        "`lcd/wide`, `lcd/default.seed2`. A name alone is the variant `tuned` of a method that is "
        "tuned, else `default`. null: the default methods and all that `methods` names.",
        source=f"{METHODS}; {PIPELINE}",
        min_length=1,
    )
    cells: int = key(
        1000,
        "Cells that a method predicts for each perturbation.",
        source=f"{METHODS} (1,000)",
        unit="cells",
        ge=2,
    )
    keep: Literal["cells", "profiles"] = key(
        "cells",
        "What the files of predictions hold: `cells`, or `profiles` (mean, variance and number of "
        "cells of each perturbation), which is all that a large panel has room for; metrics that "
        "compare distributions are then left out.",
        source=PIPELINE,
    )
