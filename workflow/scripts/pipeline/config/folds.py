"""Section `folds`."""

from typing import Literal

from pydantic import (
    model_validator,
)

from pipeline.config.schema import METHODS, PIPELINE, Section, contradiction, key


class Folds(Section):
    """Which combinations are held out. Control and singles are always in training."""

    count: int = key(
        10,
        "Folds of held-out doubles; each double that is tested is held out once. At least 1 where "
        "`analyses` name the `benchmark`.",
        source=f"{METHODS} (10)",
        unit="folds",
        ge=0,
    )
    tuning_doubles: int = key(
        0,
        "Doubles reserved for choosing hyperparameters: half of them are held out in a fold of its "
        "own named `tuning`, and all are in training in the other folds. Published: 20; 0 here, "
        "since settings are not tuned by default.",
        source=f"{METHODS} (20)",
        unit="doubles",
        ge=0,
        multiple_of=2,
    )
    unmeasured_singles: Literal["refuse", "train", "test"] = key(
        "refuse",
        "What becomes of a double with a target that was never perturbed singly: `refuse` the "
        "screen, keep it in `train`ing, or allow it as a `test`.",
        source=PIPELINE,
    )
    max_test_doubles: int | None = key(
        None,
        "At most this many doubles are held out over all folds together, drawn with the seed; the "
        "others stay in training. null holds out all.",
        source=PIPELINE,
        unit="doubles",
        ge=1,
    )

    @model_validator(mode="after")
    def _folds_can_be_filled(self) -> "Folds":
        if self.max_test_doubles is not None and self.max_test_doubles < self.count:
            raise contradiction(
                "folds.max_test_doubles",
                "fewer doubles than folds",
                f"{self.max_test_doubles} doubles, {self.count} folds",
                "raise folds.max_test_doubles or lower folds.count",
            )
        return self
