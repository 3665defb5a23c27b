from itertools import combinations
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from folds import make_folds
from lcd_core.errors import InputError
from pipeline.tables import write_tsv

SINGLES = list("ABCDEF")
DOUBLES = ["+".join(pair) for pair in combinations(SINGLES, 2)]  # 15


def conditions(folder: Path, names: list[str]) -> str:
    singles = {name for name in names if "+" not in name}
    targets = [[] if name == "control" else name.split("+") for name in names]
    path = folder / "conditions.tsv"
    write_tsv(
        pd.DataFrame(
            {
                "perturbation": names,
                "n_targets": [len(own) for own in targets],
                "n_cells": 100,
                "singles_measured": [sum(t in singles for t in own) for own in targets],
            }
        ),
        path,
    )
    return str(path)


def run(folder: Path, names: list[str], **settings: object) -> pd.DataFrame:
    count = settings.pop("n_folds", 3)
    defaults: dict[str, object] = {
        "names": [str(number + 1) for number in range(count)],  # type: ignore[call-overload]
        "tuning_name": "tuning",
        "tuning_doubles": 0,
        "unmeasured_singles": "refuse",
        "max_test_doubles": None,
        "fewest_cells": 2,
        "means_of_combinations": [],
        "seed": 1,
    }
    path = folder / "folds.tsv"
    make_folds.main(conditions=conditions(folder, names), folds=str(path), **(defaults | settings))  # type: ignore[arg-type]
    return pd.read_csv(path, sep="\t", dtype=str)


def with_role(folds: pd.DataFrame, fold: str, role: str) -> set[str]:
    return set(folds.query("fold == @fold and role == @role")["perturbation"])


@settings(max_examples=60, deadline=None)
@given(
    n_doubles=st.integers(0, 15),
    n_folds=st.integers(0, 6),
    half_tuning=st.integers(0, 4),
    most=st.none() | st.integers(6, 12),
    seed=st.integers(0, 2**31 - 1),
)
def test_what_folds_promise(
    tmp_path_factory: pytest.TempPathFactory,
    n_doubles: int,
    n_folds: int,
    half_tuning: int,
    most: int | None,
    seed: int,
) -> None:
    folder = tmp_path_factory.mktemp("folds")
    doubles = DOUBLES[:n_doubles]
    names = ["control", *SINGLES, *doubles]
    chosen = {
        "n_folds": n_folds,
        "tuning_doubles": 2 * half_tuning,
        "max_test_doubles": most,
        "seed": seed,
    }
    if n_doubles < n_folds + 2 * half_tuning:
        with pytest.raises(InputError, match="fewer combinations"):
            run(folder, names, **chosen)
        assert not (folder / "folds.tsv").exists()
        return
    folds = run(folder, names, **chosen)
    numbered = [str(number + 1) for number in range(n_folds)]
    tuning = ["tuning"] if half_tuning else []
    assert list(folds["fold"].unique()) == numbered + tuning
    assert not folds.duplicated(["fold", "perturbation"]).any()

    tests = [with_role(folds, fold, "test") for fold in numbered]
    tested = set().union(*tests)
    assert sum(map(len, tests)) == len(tested), "test folds are disjoint"
    available = n_doubles - 2 * half_tuning
    assert len(tested) == (min(available, most or available) if n_folds else 0)
    if tests:
        assert max(map(len, tests)) - min(map(len, tests)) <= 1
        assert min(map(len, tests)) >= 1
    for fold, test in zip(numbered, tests, strict=True):
        assert with_role(folds, fold, "train") == set(names) - test
        assert test <= set(doubles)
    if tuning:
        test, train = (with_role(folds, "tuning", role) for role in ("test", "train"))
        assert len(test) == half_tuning
        assert test.isdisjoint(tested)
        assert train == set(names) - test - tested, "the benchmark's test folds are unseen"


def test_tuning_halves_and_benchmark(tmp_path: Path) -> None:
    names = ["control", *SINGLES, *DOUBLES]
    folds = run(tmp_path, names, n_folds=5, tuning_doubles=4)
    tested = set().union(*(with_role(folds, str(n), "test") for n in range(1, 6)))
    assert len(tested) == 11
    reserved = set(DOUBLES) - tested
    assert len(reserved & with_role(folds, "tuning", "test")) == 2
    assert len(reserved & with_role(folds, "tuning", "train")) == 2
    assert all(reserved <= with_role(folds, str(n), "train") for n in range(1, 6))


def test_seed_and_order_of_the_table(tmp_path: Path) -> None:
    names = ["control", *SINGLES, *DOUBLES]

    def tests(names: list[str], seed: int) -> list[set[str]]:
        folds = run(tmp_path, names, seed=seed)
        return [with_role(folds, str(number), "test") for number in (1, 2, 3)]

    assert tests(names, 5) == tests(names, 5)
    assert tests(names, 5) == tests(["control", *SINGLES, *reversed(DOUBLES)], 5)
    assert tests(names, 5) != tests(names, 6)


UNMEASURED = ["control", "A", "B", "C", "A+B", "A+C", "B+C", "A+X", "X+Y"]


def test_unmeasured_singles_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not measured as singles") as error:
        run(tmp_path, UNMEASURED)
    assert "A+X, X+Y" in str(error.value)
    assert "conditions.tsv" in str(error.value)
    assert "train" in error.value.remedy
    assert "test" in error.value.remedy
    assert not (tmp_path / "folds.tsv").exists()


def test_unmeasured_singles_train_or_test(tmp_path: Path) -> None:
    folds = run(tmp_path, UNMEASURED, unmeasured_singles="train")
    assert set(folds.query("role == 'test'")["perturbation"]) == {"A+B", "A+C", "B+C"}
    for fold in "123":
        assert {"A+X", "X+Y"} <= with_role(folds, fold, "train")
    folds = run(tmp_path, UNMEASURED, unmeasured_singles="test", n_folds=5)
    assert set(folds.query("role == 'test'")["perturbation"]) == set(UNMEASURED[4:])


def test_triples_are_combinations(tmp_path: Path) -> None:
    folds = run(tmp_path, ["control", "A", "B", "C", "A+B", "A+C", "A+B+C"])
    assert set(folds.query("role == 'test'")["perturbation"]) == {"A+B", "A+C", "A+B+C"}


def test_no_folds_for_a_screen_of_singles(tmp_path: Path) -> None:
    run(tmp_path, ["control", "A", "B", "X+Y"], n_folds=0)
    assert (tmp_path / "folds.tsv").read_text() == "fold\tperturbation\trole\n"


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"n_folds": 16}, "15 of 15 combinations"),
        ({"n_folds": 4, "tuning_doubles": 12}, "12 are reserved"),
        ({"tuning_doubles": 3}, "even number"),
        ({"max_test_doubles": 2}, "fewer"),
        ({"unmeasured_singles": "ignore"}, "refuse, train or test"),
    ],
)
def test_impossible_settings(tmp_path: Path, chosen: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(tmp_path, ["control", *SINGLES, *DOUBLES], **chosen)
    assert not (tmp_path / "folds.tsv").exists()


def test_combinations_that_could_not_be_evaluated_are_told_when_folds_are_made(tmp_path) -> None:
    names = ["control", *"ABC", "A+B", "A+C"]
    assert len(run(tmp_path, names, n_folds=1, fewest_cells=100))
    with pytest.raises(InputError) as caught:
        run(tmp_path, names, n_folds=1, fewest_cells=101)
    assert "A+B: 100 cells, A+C: 100 cells" in str(caught.value)
    assert "min_cells_per_perturbation to 101" in str(caught.value)
    # what always trains may be small
    assert len(run(tmp_path, names, n_folds=0, fewest_cells=101)) == 0


def test_methods_that_need_combinations_to_train_on_are_told_when_there_are_none(tmp_path) -> None:
    names, methods = ["control", *"ABC", "A+B", "A+C"], ["mean_combination"]
    run(tmp_path, names, n_folds=2, means_of_combinations=methods)
    run(tmp_path, names, n_folds=1, max_test_doubles=1, means_of_combinations=methods)
    run(tmp_path, names, n_folds=1, means_of_combinations=[])
    with pytest.raises(InputError, match=r"(?s)fold 1 .*mean_combination.*methods.<name>.run"):
        run(tmp_path, names, n_folds=1, means_of_combinations=methods)
