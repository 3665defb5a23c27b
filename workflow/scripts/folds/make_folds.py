"""Assign combinations to test folds; control and singles are always in training."""

import logging

import numpy as np
import pandas as pd

from lcd_core.errors import InputError
from pipeline.tables import read_tsv, write_tsv


def main(
    *,
    conditions: str,
    folds: str,
    names: list[str],
    tuning_name: str,
    tuning_doubles: int,
    unmeasured_singles: str,
    max_test_doubles: int | None,
    fewest_cells: int,
    means_of_combinations: list[str],
    seed: int,
) -> None:
    """Write which perturbations each fold trains on and which it tests.

    Combinations are drawn at random into disjoint folds of equal size (to within one). Half of
    the tuning combinations are tested in the fold for tuning, which never sees the combinations
    tested in the other folds; those train on all tuning combinations.

    Parameters
    ----------
    conditions
        Table of conditions: perturbation, n_targets, n_cells, singles_measured.
    folds
        TSV to write: fold, perturbation, role (train or test).
    names
        Names of the test folds; with none, and no combinations for tuning, the table is empty.
    tuning_name
        Name of the fold in which settings are chosen.
    tuning_doubles
        Combinations reserved for tuning, an even number.
    unmeasured_singles
        What becomes of a combination with a target that was not measured as a single:
        ``"refuse"`` the screen, always ``"train"``, or ``"test"`` it like the others.
    max_test_doubles
        At most so many combinations are tested over all folds, the others always train; None
        for all.
    fewest_cells
        Cells of a combination without which it could not be evaluated, were it tested.
    means_of_combinations
        Methods that need a combination to train on in every test fold.
    seed
        Decides the draw.

    Raises
    ------
    InputError
        If there are too few combinations, some have unmeasured singles and are refused, those
        to test have too few cells, or a method would have no combination to train on.
    """
    if tuning_doubles % 2:
        raise InputError(
            "combinations for tuning are half for training, half for evaluation",
            where="folds.tuning_doubles",
            found=str(tuning_doubles),
            remedy="give an even number",
        )
    n_folds = len(names)
    table = read_tsv(conditions, dtype={"perturbation": str})
    if n_folds or tuning_doubles:
        candidates = testable(table, unmeasured_singles, conditions)
        check_enough(len(candidates), n_folds, tuning_doubles, table, conditions)
        if max_test_doubles is not None and max_test_doubles < n_folds:
            raise InputError(
                "fewer combinations are to be tested than there are folds",
                where="folds.max_test_doubles",
                found=f"{max_test_doubles} for {n_folds} folds",
                remedy="raise folds.max_test_doubles or lower folds.count",
            )
    else:
        candidates = []
    drawn = list(np.random.default_rng(seed).permutation(sorted(candidates)))
    tuning, others = drawn[:tuning_doubles], drawn[tuning_doubles:]
    tested = others[:max_test_doubles] if n_folds else []

    check_cells(table, [*tested, *tuning[tuning_doubles // 2 :]], fewest_cells, conditions)
    combinations = set(table.loc[table["n_targets"] > 1, "perturbation"])
    for number, fold in enumerate(names if means_of_combinations else ()):
        if combinations <= set(tested[number::n_folds]):
            raise InputError(
                f"fold {fold} would hold out all combinations, and there are methods that need "
                "some to train on",
                where=f"{conditions}; prediction.methods",
                found=f"{', '.join(means_of_combinations)}; combinations "
                f"{', '.join(sorted(combinations))}",
                remedy="lower folds.max_test_doubles, raise folds.count, or leave these methods "
                "out (methods.<name>.run: false)",
            )

    rows: list[tuple[str, str, str]] = []
    perturbations = table["perturbation"].tolist()
    for number, fold in enumerate(names):
        held_out = set(tested[number::n_folds])
        rows += [(fold, name, role(name, held_out)) for name in perturbations]
    if tuning:
        held_out = set(tuning[tuning_doubles // 2 :])
        unseen = set(tested)
        rows += [
            (tuning_name, name, role(name, held_out))
            for name in perturbations
            if name not in unseen
        ]
    logging.info(
        "%d combinations tested in %d folds, %d reserved for tuning, %d always in training",
        len(tested),
        n_folds,
        len(tuning),
        int((table["n_targets"] > 1).sum()) - len(tested) - len(tuning),
    )
    write_tsv(pd.DataFrame(rows, columns=["fold", "perturbation", "role"]), folds)


def check_cells(table: pd.DataFrame, tested: list[str], fewest: int, where: str) -> None:
    """Refuse to test perturbations of too few cells, which no evaluation could compare."""
    n_cells = table.set_index("perturbation")["n_cells"]
    few = sorted(name for name in tested if n_cells[name] < fewest)
    if few:
        raise InputError(
            f"combinations to hold out have fewer than {fewest} cells, and cannot be evaluated",
            where=where,
            found=(f"{name}: {n_cells[name]} cells" for name in few),
            remedy=f"set quality_control.min_cells_per_perturbation to {fewest} or more",
        )


def role(name: str, held_out: set[str]) -> str:
    """Return the role of a perturbation in a fold."""
    return "test" if name in held_out else "train"


def testable(table: pd.DataFrame, unmeasured_singles: str, where: str) -> list[str]:
    """Return the combinations that may be held out."""
    combinations = table[table["n_targets"] > 1]
    unmeasured = combinations["singles_measured"] < combinations["n_targets"]
    if unmeasured_singles not in ("refuse", "train", "test"):
        raise InputError(
            "there is no such choice",
            where="folds.unmeasured_singles",
            found=unmeasured_singles,
            remedy="give refuse, train or test",
        )
    if unmeasured_singles == "refuse" and unmeasured.any():
        raise InputError(
            "combinations have targets that were not measured as singles (or whose singles did "
            "not pass quality control)",
            where=where,
            found=combinations.loc[unmeasured, "perturbation"],
            remedy="set folds.unmeasured_singles to train (they always train) or to test (they "
            "are tested like the others)",
        )
    if unmeasured_singles == "train":
        combinations = combinations[~unmeasured]
    return combinations["perturbation"].tolist()


def check_enough(
    n_testable: int, n_folds: int, tuning_doubles: int, table: pd.DataFrame, where: str
) -> None:
    """Refuse fewer combinations than folds and tuning need."""
    n_combinations = int((table["n_targets"] > 1).sum())
    if n_testable < tuning_doubles + n_folds:
        raise InputError(
            "there are fewer combinations that can be held out than folds",
            where=where,
            found=f"{n_testable} of {n_combinations} combinations can be held out; "
            f"{tuning_doubles} are reserved for tuning, and {n_folds} folds need one each",
            remedy="lower folds.count or folds.tuning_doubles, set folds.unmeasured_singles to "
            "test, or loosen quality_control.min_cells_per_perturbation",
        )


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
