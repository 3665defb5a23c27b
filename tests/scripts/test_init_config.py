"""A first configuration: what is guessed from labels, which sizes it has, and that it works."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import sparse

from folds import make_folds
from lcd_core.errors import InputError
from pipeline import sizes
from pipeline.config.config import load_config
from pipeline.guesses import guess_separators, meaning
from pipeline.plan import Plan
from pipeline.sizes import Machine, Panel
from screen import filter_screen, import_screen, init_config
from tests.scripts.screens import counts_and_labels, shared_data, user_file

HERE = Machine(cores=2, gpu=False, memory=2**34)
QUIET: dict[str, Any] = {
    "output": None, "column": None, "control": [], "separator": None, "cores": 2,
    "device": "cpu", "estimate": False,
}  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def made(path: str, **given: Any) -> dict[str, Any]:
    """Values of the configuration that is written for a file."""
    configuration = init_config.main(screen=path, **(QUIET | given))
    values: dict[str, Any] = yaml.safe_load(configuration.read_text(encoding="utf-8"))
    return values


# --- labels ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "controls", "separators", "ignored", "dropped"),
    [
        (["ctrl", "A+ctrl", "B+ctrl", "A+B"], ["ctrl"], ["+"], [], []),
        (["ctrl+ctrl", "A+ctrl", "A+B"], ["ctrl+ctrl"], ["+"], ["ctrl"], []),
        (["NT", "A", "B", "A_B", "NT_A"], ["NT"], ["_"], [], []),
        (["NegCtrl0_NegCtrl0", "A_NegCtrl0", "A_B"],
         ["NegCtrl0_NegCtrl0"], ["_"], ["NegCtrl0"], []),
        (["non-targeting", "A", "B", "A|B"], ["non-targeting"], ["|"], [], []),
        (["control", "A", "B", "nan", "unassigned"], ["control"], ["+"], [], ["nan", "unassigned"]),
        (["DMSO", "2i (LIF+X)", "Q1"], ["DMSO"], [], [], []),
        (["safe-targeting", "HLA-A", "HLA-B"], ["safe-targeting"], ["+"], [], []),
        (["non-targeting_1", "non-targeting_2", "A"], ["non-targeting_1", "non-targeting_2"],
         ["+"], [], []),
        (["NonTargeting_A", "NonTargeting_B", "A|NonTargeting_A", "A|B"],
         ["NonTargeting_A", "NonTargeting_B"], ["|"], [], []),
        (["ctrl guide 3", "a control of B", "A"], ["ctrl guide 3"], ["+"], [], []),
        (["A", "B"], [], ["+"], [], []),
    ],
)  # fmt: skip
def test_what_labels_mean(
    labels: list[str],
    controls: list[str],
    separators: list[str],
    ignored: list[str],
    dropped: list[str],
) -> None:
    number = Counter({label: 10 for label in labels})
    found = meaning("x", number, {"A", "B", "HLA-A", "HLA-B"})
    assert (found.controls, found.separators) == (controls, separators)
    assert (found.ignored, found.dropped) == (ignored, dropped)


def test_the_wording_of_most_cells_is_the_control() -> None:
    found = meaning("x", Counter({"DMSO": 90, "untreated": 10, "A": 5, "control": 1}), {"A"})
    assert found.controls == ["DMSO", "control"]  # no target can be called control
    assert found.other_controls == ["untreated"]


@settings(max_examples=30)
@given(st.lists(st.text(min_size=1, max_size=6), max_size=8, unique=True))
def test_separators_of_anything(labels: list[str]) -> None:
    assert len(guess_separators(labels, set())) <= 1


# --- files ----------------------------------------------------------------------------------------


def test_the_column_is_found_among_others() -> None:
    counts, labels = counts_and_labels(n_cells=30)
    labels = np.array([{"control": "non-targeting"}.get(x, x) for x in labels])
    genes = ["A", "B", "C", *(f"G{i}" for i in range(9))]
    other = {
        "barcode": [f"c{i}" for i in range(len(labels))],
        "cluster": (["1", "2"] * len(labels))[: len(labels)],
        "n_counts": np.arange(len(labels)),
        "lane": (["x", "y"] * len(labels))[: len(labels)],
    }
    path = user_file(
        Path("odd name.h5ad"), counts, labels, column="Target gene", genes=genes, obs=other
    )
    values = made(path)
    assert values["screen"] == {
        "kind": "file", "path": path, "perturbation_column": "Target gene",
        "control_label": "non-targeting", "separator": ["+"],
    }  # fmt: skip
    assert values["run"] == "odd_name"
    assert values["analyses"] == ["benchmark", "effects"]
    assert values["folds"] == {"count": 3}
    text = Path("config/odd_name.yaml").read_text()
    assert "# batch_column: lane" in text


def test_counts_that_are_not_in_x_are_found() -> None:
    counts, labels = counts_and_labels(n_cells=20)
    layers = {"raw_counts": sparse.csr_matrix(counts), "scaled": counts - 0.5}
    path = user_file(Path("mine.h5ad"), np.log1p(counts), labels, layers=layers)
    assert made(path)["screen"]["counts"] == "raw_counts"


def test_symbols_are_found() -> None:
    counts, labels = counts_and_labels(n_cells=20)
    genes = [f"ENSG{i:03}" for i in range(12)]
    symbols = {"symbol": ["A", "B", "C", *(f"G{i}" for i in range(9))], "biotype": ["x"] * 12}
    path = user_file(Path("mine.h5ad"), counts, labels, genes=genes, var=symbols)
    assert made(path)["screen"]["gene_symbols"] == "symbol"


def test_a_configuration_is_not_replaced() -> None:
    path = user_file(Path("mine.h5ad"))
    made(path)
    before = Path("config/mine.yaml").read_bytes()
    with pytest.raises(InputError, match="there is such a configuration already"):
        made(path)
    assert Path("config/mine.yaml").read_bytes() == before
    assert made(path, output="config/other.yaml")["run"] == "other"


@pytest.mark.parametrize(
    ("labels", "given", "words"),
    [
        (["x", "A", "B", "C", "A+B"], {}, "(?s)no label reads like the control.*CONTROL="),
        (None, {"control": ["Control"]}, "no cell has the label 'Control'"),
        (None, {"column": "guide"}, "there is no column 'guide'"),
        (["control", "A"], {}, "too few perturbations"),
    ],
)  # fmt: skip
def test_what_cannot_be_guessed_is_told_at_once(
    labels: list[str] | None, given: dict[str, Any], words: str
) -> None:
    counts, own = counts_and_labels(tuple(labels or ["control", "A", "B", "C", "A+B"]), n_cells=20)
    path = user_file(Path("mine.h5ad"), counts, own)
    with pytest.raises(InputError, match=words):
        made(path, **given)
    assert not Path("config").exists()


def test_labels_that_cannot_be_split_are_taken_as_whole() -> None:
    counts, labels = counts_and_labels(("control", "A+A", "B", "C"), n_cells=20)
    assert made(user_file(Path("mine.h5ad"), counts, labels))["screen"]["separator"] == []


def test_normalised_values_are_refused() -> None:
    counts, labels = counts_and_labels(n_cells=20)
    with pytest.raises(InputError, match="no matrix of the file holds raw counts"):
        made(user_file(Path("mine.h5ad"), np.log1p(counts), labels))


def test_no_column_of_labels_is_told_with_the_columns() -> None:
    path = user_file(Path("mine.h5ad"), column="cluster", labels=["1", "2"] * 28)
    with pytest.raises(InputError, match=r"(?s)no column looks as if.*cluster \(2 values"):
        made(path)


names = st.sampled_from(["A", "B", "C", "D", "GENE 1", "yes", "1e3", "é", "null", "x: y", "#q"])
combinations = st.lists(names, min_size=1, max_size=3, unique=True).map("+".join)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    labels=st.lists(
        combinations, min_size=1, max_size=9, unique_by=lambda x: frozenset(x.split("+"))
    ),
    cells=st.lists(st.integers(1, 40), min_size=10, max_size=10),
    control=st.integers(3, 50),
    genes=st.integers(2, 40),
    encoding=st.sampled_from(["csr", "csc", "dense"]),
    gpu=st.booleans(),
    seed=st.integers(0, 9),
)
def test_what_is_written_is_imported_filtered_and_folded(
    tmp_path: Path, labels: list[str], cells: list[int], control: int, genes: int, encoding: str,
    gpu: bool, seed: int,
) -> None:  # fmt: skip
    """Of small screens of any kind: an InputError that says why not, or a run that can begin."""
    rng = np.random.default_rng(seed)
    numbers = [control, *cells[: len(labels)]]
    own = np.repeat(np.array(["non-targeting", *labels], dtype=object), numbers)
    counts = rng.poisson(rng.gamma(0.5, 3.0, genes) + 0.05, (len(own), genes))
    kinds = {"csr": sparse.csr_matrix, "csc": sparse.csc_matrix, "dense": np.asarray}
    genes_names = [*"ABCD", "GENE 1", *(f"G{i}" for i in range(genes))][:genes]
    data = ad.AnnData(
        kinds[encoding](counts.astype(np.float32)),
        obs=pd.DataFrame({"condition": own}, index=[f"c{i}" for i in range(len(own))]),
        var=pd.DataFrame(index=genes_names),
    )
    path = tmp_path / "any.h5ad"
    data.write_h5ad(path)
    output = tmp_path / "any.yaml"
    output.unlink(missing_ok=True)
    device = "cuda" if gpu else "cpu"
    try:
        init_config.main(**(QUIET | {"screen": str(path), "output": str(output), "device": device}))
    except InputError as error:
        assert error.remedy  # noqa: PT017
        assert not output.exists()
        return
    config = load_config(yaml.safe_load(output.read_text(encoding="utf-8")), str(output))
    begin(config, str(path), tmp_path)


def begin(config: Any, path: str, folder: Path) -> None:
    """Import, filter and fold a screen as the rules do."""
    plan = Plan(config, "any.yaml")
    screen = config.screen.model_dump(mode="json")
    for key in ("kind", "path", "url", "size", "md5", "sha256"):
        del screen[key]
    imported, filtered = str(folder / "imported.h5ad"), str(folder / "filtered.h5ad")
    conditions = str(folder / "conditions.tsv")
    import_screen.main(raw=path, screen=imported, **screen)
    try:
        filter_screen.main(
            screen=imported, filtered=filtered, table=str(folder / "q.tsv"), conditions=conditions,
            removed_genes=str(folder / "g.tsv"), **config.quality_control.model_dump(mode="json"),
        )  # fmt: skip
    except InputError as error:
        assert "constant" in str(error)  # noqa: PT017
        return
    in_benchmark = "benchmark" in config.analyses
    folds = config.folds.model_dump(mode="json")
    count = folds.pop("count") if in_benchmark else folds.pop("count") * 0
    make_folds.main(
        conditions=conditions, folds=str(folder / "folds.tsv"),
        names=[str(n + 1) for n in range(count)], tuning_name="tuning",
        fewest_cells=plan.fewest_test_cells if in_benchmark else 1,
        means_of_combinations=plan.named("mean_combination") if in_benchmark else [], seed=1,
        **folds,
    )  # fmt: skip


# --- sizes ----------------------------------------------------------------------------------------


def panel(singles: int, doubles: int, cells: int = 100, genes: int = 1000) -> Panel:
    targets = [f"T{i}" for i in range(singles)]
    pairs = [f"{a}+{b}" for i, a in enumerate(targets) for b in targets[i + 1 :]][:doubles]
    return Panel(dict.fromkeys(["control", *targets, *pairs], cells), genes, min(singles, genes))


@given(
    singles=st.integers(0, 400), doubles=st.integers(0, 60), genes=st.integers(2, 30_000),
    cores=st.integers(1, 200), gpu=st.booleans(), memory=st.integers(2**28, 2**42),
)  # fmt: skip
def test_sizes_are_valid_for_any_screen_and_machine(
    singles: int, doubles: int, genes: int, cores: int, gpu: bool, memory: int
) -> None:
    machine, own = Machine(cores, gpu, memory), panel(singles, doubles, genes=genes)
    wanted = sizes.modelled_genes(own, machine)
    modelled = genes if wanted is None else wanted
    lcd = {
        "prior": sizes.prior(own, modelled, machine),
        "drift": sizes.drift(own, modelled, machine),
    }
    folds, effects = sizes.folds(own, machine), sizes.effects(own, own.measured, machine)
    values: dict[str, Any] = {
        "genes": {"count": wanted}, "methods": {"lcd": lcd}, "analyses": ["linear_systems"],
        "evaluation": {"top_genes": min(20, modelled)},
    } | ({"folds": folds} if folds else {}) | ({"effects": effects} if effects else {})  # fmt: skip
    load_config(values, "any")
    assert modelled <= genes
    assert lcd["drift"]["embedding_dimensions"] >= own.targets
    assert folds is None or 2 <= folds["count"] <= len(own.combinations)
    assert effects is None or effects["held_out_folds"] <= own.measured


def test_sizes_of_published_screens_on_a_gpu_are_the_published_ones() -> None:
    machine = Machine(cores=32, gpu=True, memory=2**38)
    norman = panel(98, 110, cells=300, genes=12_000)
    assert sizes.modelled_genes(norman, machine) == 1000
    assert sizes.prior(norman, 1000, machine) | {"temperature": 20, "steps": 250_000} == {
        "steps": 250_000, "warmup_steps": 5000, "learning_rate": 0.0003,
        "monte_carlo_states": 20_000, "temperature": 20,
    }  # fmt: skip
    assert sizes.drift(norman, 1000, machine) == {
        "hidden": 1024, "embedding_dimensions": 1024, "samples": 10_000, "steps": 50_000,
        "batch_states": 8192,
    }  # fmt: skip
    assert sizes.folds(norman, machine) == {"count": 10, "unmeasured_singles": "refuse"}


def test_states_fit_into_memory() -> None:
    small = Machine(cores=2, gpu=True, memory=2**33)
    own = panel(400, 60)
    samples = sizes.drift(own, 1000, small)["samples"]
    assert samples * 4 * 1000 * own.conditions <= 0.25 * small.memory


@pytest.mark.parametrize(
    ("cells", "bound"),
    [([300] * 9, 100), ([300] * 8 + [99, 98], 50), ([12] * 9, 10), ([1, 2, 3], 100)],
)
def test_few_perturbations_are_lost(cells: Sequence[int], bound: int) -> None:
    numbers = {f"T{i}": n for i, n in enumerate(cells)} | {"control": 500}
    assert sizes.cells_per_perturbation(numbers) == bound
    assert sizes.cells_per_perturbation(numbers | {"control": 11}) == min(bound, 10)


# --- real screens ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected", "analyses"),
    [
        ("norman2019_33perts_250genes_counts.h5ad",
         {"perturbation_column": "perturbation", "control_label": "control", "separator": ["+"]},
         ["benchmark", "effects"]),
        ("papalexi2021_thp1_299genes_counts.h5ad",
         {"perturbation_column": "condition", "control_label": "control", "separator": ["+"]},
         ["effects"]),
    ],
)  # fmt: skip
def test_real_extracts(name: str, expected: dict[str, Any], analyses: list[str]) -> None:
    values = made(os.path.relpath(shared_data(name)), output="config/mine.yaml")
    assert {key: values["screen"][key] for key in expected} == expected
    assert values["analyses"] == analyses
