"""Section `predictions`."""

from typing import Literal

from pydantic import model_validator

from lcd_core.settings import PRESETS
from pipeline.combinations import combination
from pipeline.config.schema import PIPELINE, Names, Section, contradiction, key


class Predictions(Section):
    """Combinations that nobody measured, predicted by models of all conditions of a screen.

    Where no panel is given (`combinations`, `file`, `targets`), it is all pairs of the targets that
    were measured alone.
    """

    combinations: Names = key(
        (), "Combinations to predict, targets joined by `+`, such as `[A+B, A+B+C]`.",
        source=PIPELINE,
    )  # fmt: skip
    file: str | None = key(
        None,
        "File of combinations to predict: one a line, or a TSV with the column `perturbation`.",
        source=PIPELINE,
        min_length=1,
    )
    all_pairs: bool = key(
        False,
        "Whether all pairs of the targets that were measured alone are predicted, besides what "
        "else is named.",
        source=PIPELINE,
    )
    targets: Names = key(
        (), "Targets of which all sets of two up to `up_to` are predicted.", source=PIPELINE
    )
    up_to: int = key(2, "Largest number of `targets` in a set.", source=PIPELINE, ge=2)
    max_combinations: int = key(
        20_000,
        "A panel with more combinations is refused.",
        source=PIPELINE,
        unit="combinations",
        ge=1,
    )
    variant: str = key(
        "default",
        "Variant of the settings of LCD (`methods.lcd.variants`) whose fits to all conditions "
        "predict.",
        source=PIPELINE,
    )
    seeds: int = key(
        3,
        "Fits (prior and drift) with different seeds; predictions are their mean, and their spread "
        "is the uncertainty.",
        source=PIPELINE,
        unit="fits",
        ge=1,
    )
    states: int = key(
        50,
        "States drawn for each combination and fit, from random numbers that all combinations "
        "share; expression is averaged over them without drawing counts.",
        source=PIPELINE,
        unit="states",
        ge=2,
        multiple_of=2,
    )
    sampler: Literal["default", "fast", "fine", "released", "flow"] = key(
        "default",
        "How states are drawn: by the annealed sampler with a preset of `methods.lcd.sampling` ("
        + ", ".join(f"`{name}`, {own.steps_per_level}" for name, own in PRESETS.items())
        + " evaluations of the drift at each noise level), or along the probability flow (`flow`), "
        "with one at each level: a tenth of the time of `default`, and several times its error "
        "(docs/measurements.md, All pairs).",
        source=PIPELINE,
    )
    parts: int = key(
        1,
        "Parts into which the panel is split: jobs that run side by side, each a file that a rerun "
        "does not repeat.",
        source=PIPELINE,
        unit="parts",
        ge=1,
    )
    cells_of: Names = key(
        (),
        "Combinations of which cells are written too, besides their means and variances; they are "
        "predicted in any case.",
        source=PIPELINE,
    )
    cells: int = key(
        1000, "Cells of each of these, drawn from the first fit.",
        source=PIPELINE, unit="cells", ge=2,
    )  # fmt: skip
    wanted_signature: str | None = key(
        None,
        "Change that is wanted, as a TSV with the columns `gene` and `change`, such as log fold "
        "changes: combinations are ranked by how near they come to it.",
        source=PIPELINE,
        min_length=1,
    )
    wanted_condition: str | None = key(
        None,
        "Perturbation of the screen whose change is wanted, instead of a signature.",
        source=PIPELINE,
        min_length=1,
    )
    nearest_by: Literal["cosine", "distance"] = key(
        "cosine",
        "How near a predicted change is to the wanted one: `cosine` of the angle, for signatures "
        "of any unit, or Euclidean `distance`, for changes of log1p(counts per 10,000).",
        source=PIPELINE,
    )
    interaction_genes: int = key(
        200,
        "Most genes by which types of interaction are measured: those with the largest observed "
        "changes of the genes with enough counts (`interactions.min_count`). The time of a pair "
        "grows with their square.",
        source=PIPELINE,
        unit="genes",
        ge=3,
    )
    top_genes: int = key(
        10,
        "Strongest genes that are listed of each combination, by change and by non-additivity.",
        source=PIPELINE,
        unit="genes",
        ge=1,
    )
    listed: int = key(
        50,
        "Combinations that the table of what to measure next lists for each reason.",
        source=PIPELINE,
        unit="combinations",
        ge=1,
    )

    @model_validator(mode="after")
    def _sets_of_targets(self) -> "Predictions":
        for name in ("combinations", "cells_of"):
            texts = getattr(self, name)
            seen: dict[tuple[str, ...], str] = {}
            for text in texts:
                try:
                    own = combination(text)
                except ValueError as error:
                    raise contradiction(
                        f"predictions.{name}",
                        f"this is no combination of targets: {error}",
                        text,
                        "name two targets or more, each once, joined by +",
                    ) from None
                if own in seen:
                    raise contradiction(
                        f"predictions.{name}",
                        "two names of one combination",
                        f"{seen[own]}, {text}",
                        "leave one of them out",
                    )
                seen[own] = text
        if self.targets and len(self.targets) < 2:
            raise contradiction(
                "predictions.targets",
                "sets of two targets or more need two targets",
                self.targets[0],
                "name more targets",
            )
        if not self.targets and self.up_to > 2:
            raise contradiction(
                "predictions.up_to",
                "up_to without targets, whose sets it would be",
                f"up_to {self.up_to}, no targets",
                "name predictions.targets, or leave predictions.up_to out",
            )
        if self.targets and self.up_to > len(self.targets):
            raise contradiction(
                "predictions.up_to",
                "sets larger than the list of targets",
                f"up_to {self.up_to}, {len(self.targets)} targets",
                "lower predictions.up_to or name more targets",
            )
        variant, seed, _ = self.variant.partition(".seed")
        if seed:
            raise contradiction(
                "predictions.variant",
                "a variant is wanted here, not one of its seeds",
                self.variant,
                f"name the variant alone, {variant or 'default'}; predictions.seeds is the number "
                "of fits with seeds of their own",
            )
        if self.wanted_signature is not None and self.wanted_condition is not None:
            raise contradiction(
                "predictions.wanted_condition",
                "two changes are wanted at once",
                f"{self.wanted_signature}, {self.wanted_condition}",
                "give a signature or a condition",
            )
        return self
