"""Section `tuning`."""

from pipeline.config.schema import METHODS, PIPELINE, Names, Section, key


class Tuning(Section):
    """Choosing settings on combinations of the fold `tuning` (`folds.tuning_doubles`)."""

    methods: Names = key(
        (),
        "Methods to tune: each point of a method's grid is fitted and scored on the fold `tuning`, "
        "and the best becomes the variant `tuned`.",
        source=PIPELINE,
    )
    metric: str = key(
        "mmd_top_de",
        "The point with the best median of this metric wins; it is one of `evaluation.metrics`.",
        source=f"{METHODS} (median MMD, top DE genes)",
    )
