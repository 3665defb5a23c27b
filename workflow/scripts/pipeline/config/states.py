"""Section `states`."""

from typing import Literal

from pipeline.config.schema import METHODS, PIPELINE, Section, key


class States(Section):
    """The coordinates in which the drift is learned; standardised in either case."""

    transform: Literal["identity", "log_rate"] = key(
        "identity",
        "`identity`: the states themselves (published, and needed for causal effects); "
        "`log_rate`: log(rate + pseudocount), which shortens the meaningless tails of genes with "
        "few counts.",
        source=f"{METHODS} (identity)",
    )
    pseudocount: float = key(
        0.1, "Added to the rate inside the logarithm.", source=PIPELINE, unit="counts", gt=0
    )
    scaling: Literal["standard_deviation", "covariance"] = key(
        "standard_deviation",
        "What states are divided by: `standard_deviation` of each gene (published), or the square "
        "root of their whole `covariance`, which makes every direction equally long.",
        source=f"{METHODS} (standard_deviation)",
    )
    shrinkage: float = key(
        0.0,
        "Shrinks the covariance towards its diagonal: 0 not at all, 1 would leave the variances. "
        "With scaling `covariance` only.",
        source=PIPELINE,
        ge=0,
        lt=1,
    )
