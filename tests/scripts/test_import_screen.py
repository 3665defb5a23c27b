from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from lcd_core.errors import InputError
from pipeline.screen import CONTROL, read_screen
from screen import import_screen
from tests.scripts.screens import counts_and_labels, shared_data, user_file

DEFAULTS: dict[str, object] = {
    "counts": "X",
    "perturbation_column": "perturbation",
    "control_label": "control",
    "separator": ("+",),
    "keep": {},
    "gene_name_column": None,
    "ignore_labels": (),
    "drop_labels": (),
    "gene_symbols": None,
}


def imported(tmp_path: Path, raw: str, **settings: object) -> ad.AnnData:
    path = str(tmp_path / "out" / "screen.h5ad")
    import_screen.main(raw=raw, screen=path, **(DEFAULTS | settings))  # type: ignore[arg-type]
    return read_screen(path)


def refused(tmp_path: Path, raw: str, **settings: object) -> str:
    with pytest.raises(InputError) as error:
        imported(tmp_path, raw, **settings)
    assert raw in str(error.value), "the message names the file"
    assert error.value.remedy or "no cells" in error.value.what or "no genes" in error.value.what
    assert not (tmp_path / "out" / "screen.h5ad").exists()
    return str(error.value)


def labelled(tmp_path: Path, labels: list[str], **more: object) -> str:
    """Write a file with two cells of each label."""
    counts, column = counts_and_labels(tuple(labels), n_cells=2)
    return user_file(tmp_path / "raw.h5ad", counts, column, **more)  # type: ignore[arg-type]


# --- what is accepted -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix, sparse.csc_matrix])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint8, np.int16, np.uint16])
@pytest.mark.parametrize("in_layer", [False, True])
def test_every_storage_of_counts(
    tmp_path: Path, kind: type, dtype: type, in_layer: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_screen, "CHUNK", 50)  # several pieces even for small screens
    counts, labels = counts_and_labels()
    x = kind(counts.astype(dtype))
    if in_layer:
        raw = user_file(tmp_path / "raw.h5ad", np.log1p(counts), labels, layers={"counts": x})
    else:
        raw = user_file(tmp_path / "raw.h5ad", x, labels)
    screen = imported(tmp_path, raw, counts="counts" if in_layer else "X")
    assert screen.X.format == "csr"
    assert screen.X.dtype == np.int32
    assert screen.X.has_canonical_format
    np.testing.assert_array_equal(screen.X.toarray(), counts)
    np.testing.assert_array_equal(screen.obs["library_size"], counts.sum(axis=1))
    assert screen.obs["perturbation"].tolist() == labels.tolist()
    assert screen.obs["perturbation"].dtype == "category"


def test_half_precision(tmp_path: Path) -> None:
    counts, labels = counts_and_labels()
    raw = user_file(tmp_path / "raw.h5ad", counts.astype(np.float16), labels)
    np.testing.assert_array_equal(imported(tmp_path, raw).X.toarray(), counts)


def test_totals_exceed_the_type_of_the_counts(tmp_path: Path) -> None:
    labels = ["control"] * 3 + ["A"] * 3
    for dtype, value in ((np.uint8, 200), (np.int32, 2**30)):
        counts = np.full((6, 40), value, dtype=dtype)
        screen = imported(tmp_path, user_file(tmp_path / "raw.h5ad", counts, labels))
        assert screen.obs["library_size"].tolist() == [40.0 * value] * 6


def test_explicit_zeros_and_repeated_entries(tmp_path: Path) -> None:
    x = sparse.csr_matrix(
        (np.array([1, 2, 0, 5], dtype=np.uint8), np.array([1, 1, 1, 0]), np.array([0, 2, 4])),
        shape=(2, 2),
    )
    with h5py.File(user_file(tmp_path / "raw.h5ad", x, ["control", "A"]), "r+") as file:
        assert len(file["X/data"]) == 4  # the file has them as they are
    screen = imported(tmp_path, str(tmp_path / "raw.h5ad"))
    np.testing.assert_array_equal(screen.X.toarray(), [[0, 3], [5, 0]])
    assert screen.X.nnz == 2


def test_orders_of_targets_merge(tmp_path: Path) -> None:
    screen = imported(tmp_path, labelled(tmp_path, ["control", "B+A", "A+B", "C+A+B", "HLA-A"]))
    assert set(screen.obs["perturbation"]) == {CONTROL, "A+B", "A+B+C", "HLA-A"}
    assert (screen.obs["perturbation"] == "A+B").sum() == 4


@given(
    st.lists(
        st.sets(st.sampled_from(["A", "B1", "NKX2-1", "RP11.2", "drug x"]), min_size=1),
        min_size=1,
        max_size=6,
    ),
    st.sampled_from(["+", "_", " & ", ";"]),
    st.randoms(),
)
def test_labels_stand_for_sets(sets: list[set[str]], separator: str, random: object) -> None:
    labels = {}
    for targets in sets:
        shuffled = sorted(targets)
        random.shuffle(shuffled)  # type: ignore[attr-defined]
        labels[separator.join(shuffled)] = "+".join(sorted(targets))
    names = import_screen.canonical_names(["ctrl", *labels], "ctrl", separator, (), (), "here")
    assert names == {"ctrl": CONTROL, **labels}


def test_labels_without_targets(tmp_path: Path) -> None:
    raw = labelled(tmp_path, ["NT_NT", "NT_MYC", "MYC_NT", "MYC_JUN", "ctrl_JUN", "NT"])
    screen = imported(
        tmp_path, raw, control_label="NT_NT", separator="_", ignore_labels=("NT", "ctrl")
    )
    assert screen.obs["perturbation"].value_counts().to_dict() == {
        CONTROL: 4,
        "MYC": 4,
        "JUN+MYC": 2,
        "JUN": 2,
    }


def test_control_label_beside_a_target_is_no_target(tmp_path: Path) -> None:
    screen = imported(tmp_path, labelled(tmp_path, ["ctrl", "A+ctrl", "A+B"]), control_label="ctrl")
    assert set(screen.obs["perturbation"]) == {CONTROL, "A", "A+B"}


def test_several_separators(tmp_path: Path) -> None:
    raw = labelled(tmp_path, ["control", "A+B", "A_C", "B", "A"])
    screen = imported(tmp_path, raw, separator=["+", "_"])
    assert set(screen.obs["perturbation"]) == {CONTROL, "A+B", "A+C", "A", "B"}


def test_kept_cells_and_columns(tmp_path: Path) -> None:
    counts, labels = counts_and_labels()
    n = len(labels)
    raw = user_file(
        tmp_path / "raw.h5ad",
        sparse.csr_matrix(counts),
        labels,
        obs={
            "confident": np.arange(n) % 2 == 0,
            "replicate": [f"r{i % 3}" for i in range(n)],
            "umi": np.arange(n),
            "when": pd.date_range("2020-01-01", periods=n).astype("int64"),
        },
    )
    screen = imported(tmp_path, raw, keep={"confident": (True,), "replicate": ["r0", "r1"]})
    kept = (np.arange(n) % 2 == 0) & (np.arange(n) % 3 != 2)
    assert screen.obs["umi"].tolist() == np.flatnonzero(kept).tolist()
    assert screen.obs_names.tolist() == [f"cell{i}" for i in np.flatnonzero(kept)]
    np.testing.assert_array_equal(screen.X.toarray(), counts[kept])


def test_kept_cells_of_a_dense_matrix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_screen, "CHUNK", 50)
    counts, labels = counts_and_labels()
    raw = user_file(tmp_path / "raw.h5ad", counts, labels, obs={"good": labels != "B"})
    screen = imported(tmp_path, raw, keep={"good": True})
    np.testing.assert_array_equal(screen.X.toarray(), counts[labels != "B"])


def test_gene_names_from_a_column(tmp_path: Path) -> None:
    raw = user_file(tmp_path / "raw.h5ad", var={"symbol": [f"S{j}" for j in range(12)]})
    screen = imported(tmp_path, raw, gene_name_column="symbol")
    assert screen.var_names.tolist() == [f"S{j}" for j in range(12)]


@pytest.mark.parametrize(
    ("name", "column", "keep", "n_conditions"),
    [
        ("norman2019_33perts_250genes_counts.h5ad", "perturbation", {}, 34),
        ("papalexi2021_thp1_299genes_counts.h5ad", "condition", {"confident": (True,)}, 26),
    ],
)
def test_real_screens(
    tmp_path: Path, name: str, column: str, keep: dict, n_conditions: int
) -> None:
    path = shared_data(name)
    screen = imported(tmp_path, path, perturbation_column=column, keep=keep)
    source = ad.read_h5ad(path)
    if keep:
        source = source[source.obs["confident"].to_numpy()]
    assert screen.obs_names.tolist() == source.obs_names.tolist()
    assert screen.obs["perturbation"].nunique() == n_conditions
    assert (screen.X != source.X).nnz == 0
    for own, label in zip(screen.obs["perturbation"], source.obs[column], strict=True):
        assert own.split("+") == sorted(label.split("+"))


# --- bad counts -----------------------------------------------------------------------------------


def with_value(value: float, dtype: type = np.float64) -> tuple[np.ndarray, np.ndarray]:
    counts, labels = counts_and_labels()
    counts = counts.astype(dtype)
    counts[5, 7] = value
    return counts, labels


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix, sparse.csc_matrix])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0.5, "not whole numbers"),
        (-1, "negative"),
        (np.nan, "not finite"),
        (np.inf, "not finite"),
        (2.0**31, "too large"),
    ],
)
def test_values_that_are_no_counts(
    tmp_path: Path, kind: type, value: float, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_screen, "CHUNK", 7)
    counts, labels = with_value(value)
    raw = user_file(tmp_path / "raw.h5ad", kind(counts), labels, layers={"raw_umi": counts})
    text = refused(tmp_path, raw)
    assert message in text
    assert "X" in text
    assert "cell5" in text
    assert "G7" in text
    assert "raw_umi" in text, "other layers are offered"


def test_bad_values_are_counted_over_all_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_screen, "CHUNK", 7)
    counts, labels = counts_and_labels()
    n_positive = int((counts > 0).sum())
    text = refused(tmp_path, user_file(tmp_path / "raw.h5ad", counts + 0.25, labels))
    assert f"{counts.size} of {counts.size} values" in text
    text = refused(tmp_path, user_file(tmp_path / "raw.h5ad", np.log1p(counts), labels))
    assert f"{n_positive} of {n_positive} values" in text


def test_values_of_removed_cells_do_not_matter(tmp_path: Path) -> None:
    counts, labels = with_value(np.nan)
    raw = user_file(tmp_path / "raw.h5ad", counts, labels, obs={"n": np.arange(len(labels)) != 5})
    assert imported(tmp_path, raw, keep={"n": True}).n_obs == len(labels) - 1


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        (np.uint8, 255),
        (np.int8, 127),
        (np.uint16, 65535),
        (np.int16, 32767),
        (np.float16, 2048),
    ],
)
def test_small_types_at_their_limit(tmp_path: Path, dtype: type, value: int) -> None:
    counts, labels = counts_and_labels()
    counts = np.minimum(counts, 100).astype(dtype)
    counts[5, 7] = value
    text = refused(tmp_path, user_file(tmp_path / "raw.h5ad", counts, labels))
    assert np.dtype(dtype).name in text
    assert "overflowed" in text
    counts[5, 7] = value - 1
    assert imported(tmp_path, user_file(tmp_path / "raw.h5ad", counts, labels)).X.max() == value - 1


@pytest.mark.parametrize("dtype", [np.int8, np.int16])
def test_small_types_that_wrapped(tmp_path: Path, dtype: type) -> None:
    counts, labels = counts_and_labels()
    counts[5, 7] = np.iinfo(dtype).max + 20
    with np.errstate(over="ignore"):
        wrapped = counts.astype(dtype)
    text = refused(tmp_path, user_file(tmp_path / "raw.h5ad", wrapped, labels))
    assert "overflowed" in text
    assert "cell5" in text


def test_large_integers(tmp_path: Path) -> None:
    counts, labels = with_value(2**31, np.int64)
    assert "too large" in refused(tmp_path, user_file(tmp_path / "raw.h5ad", counts, labels))
    counts, labels = with_value(2**31 - 1, np.int64)
    assert imported(tmp_path, user_file(tmp_path / "raw.h5ad", counts, labels)).X.max() == 2**31 - 1


def test_truth_values_are_no_counts(tmp_path: Path) -> None:
    counts, labels = counts_and_labels()
    assert "bool" in refused(tmp_path, user_file(tmp_path / "raw.h5ad", counts > 0, labels))


def test_zeros_only(tmp_path: Path) -> None:
    counts, labels = counts_and_labels()
    assert "zero" in refused(tmp_path, user_file(tmp_path / "raw.h5ad", 0 * counts, labels))


def test_missing_matrices(tmp_path: Path) -> None:
    counts, labels = counts_and_labels()
    raw = user_file(
        tmp_path / "raw.h5ad", counts, labels, layers={"counts": counts, "norm": 1.0 * counts}
    )
    text = refused(tmp_path, raw, counts="count")
    assert "did you mean 'counts'?" in text
    assert "norm" in text
    cells = ad.read_h5ad(raw)
    cells.X = None
    cells.write_h5ad(raw)
    assert "no matrix X" in refused(tmp_path, raw)


@pytest.mark.parametrize("shape", [(0, 12), (56, 0)])
def test_empty_screens(tmp_path: Path, shape: tuple[int, int]) -> None:
    labels = ["control"] * shape[0]
    raw = user_file(tmp_path / "raw.h5ad", np.zeros(shape), np.array(labels, dtype=object))
    assert "has no" in refused(tmp_path, raw)


# --- bad names ------------------------------------------------------------------------------------


def test_misspelt_column(tmp_path: Path) -> None:
    raw = user_file(tmp_path / "raw.h5ad", obs={"guide": "g"})
    text = refused(tmp_path, raw, perturbation_column="pertubation")
    assert "did you mean 'perturbation'?" in text
    assert "guide" in text
    assert "screen.perturbation_column" in text


def test_absent_control(tmp_path: Path) -> None:
    text = refused(tmp_path, user_file(tmp_path / "raw.h5ad"), control_label="Contrl")
    assert "'Contrl'" in text
    assert "did you mean 'control'?" in text
    assert "A+B (8)" in text


@pytest.mark.parametrize("labels", [["control"], ["control", "NT"]])
def test_one_condition(tmp_path: Path, labels: list[str]) -> None:
    text = refused(tmp_path, labelled(tmp_path, labels), ignore_labels=("NT",))
    assert "one condition" in text


def test_missing_labels(tmp_path: Path) -> None:
    for absent in (None, "", "nan"):
        labels = counts_and_labels()[1].astype(object)
        labels[[3, 9]] = absent
        text = refused(tmp_path, user_file(tmp_path / "raw.h5ad", labels=labels))
        assert "2 of 56 cells" in text
        assert "cell3" in text
        assert "cell9" in text


def test_duplicated_names(tmp_path: Path) -> None:
    cells, genes = [f"c{i}" for i in range(56)], [f"g{j}" for j in range(12)]
    cells[7], genes[4] = "c3", "g2"
    with pytest.warns(UserWarning, match="not unique"):
        raw = user_file(tmp_path / "a.h5ad", genes=genes)
    text = refused(tmp_path, raw)
    assert "gene names are duplicated" in text
    assert "g2" in text
    with pytest.warns(UserWarning, match="not unique"):
        raw = user_file(tmp_path / "b.h5ad", cells=cells)
    text = refused(tmp_path, raw)
    assert "cell names are duplicated" in text
    assert "c3" in text


def test_bad_columns_of_gene_names(tmp_path: Path) -> None:
    symbols: list[object] = [f"S{j}" for j in range(12)]
    raw = user_file(tmp_path / "raw.h5ad", var={"symbol": symbols})
    assert "did you mean 'symbol'?" in refused(tmp_path, raw, gene_name_column="symbols")
    symbols[3] = None
    raw = user_file(tmp_path / "raw.h5ad", var={"symbol": symbols})
    assert "gene number 4" in refused(tmp_path, raw, gene_name_column="symbol")


@pytest.mark.parametrize("other", ["_", ",", ";", "|", "&", " ", " & "])
def test_unknown_separator(tmp_path: Path, other: str) -> None:
    text = refused(tmp_path, labelled(tmp_path, ["control", "A", "B", f"A{other}B"]))
    assert f"A{other}B" in text
    assert "screen.separator" in text


def test_unknown_separator_of_doubles_alone(tmp_path: Path) -> None:
    raw = labelled(tmp_path, ["control", "G1;G2", "G2;G3"])
    assert "';'" in refused(tmp_path, raw), "the parts are measured genes"


def test_plus_that_is_not_a_separator(tmp_path: Path) -> None:
    raw = labelled(tmp_path, ["control", "A", "B", "A+B"])
    assert "add '+' to screen.separator" in refused(tmp_path, raw, separator=("_",))


def test_names_with_separators_in_them_are_not_lists(tmp_path: Path) -> None:
    labels = ["control", "A_2", "HLA-A", "AC0.1", "Y_RNA", "Y", "RNA", "drug 5", "A", "B"]
    genes = ["Y_RNA", *(f"G{j}" for j in range(11))]
    screen = imported(tmp_path, labelled(tmp_path, labels, genes=genes))
    assert set(screen.obs["perturbation"]) == {CONTROL, *labels[1:]}


def test_separator_within_a_gene(tmp_path: Path) -> None:
    genes = ["Y_RNA", *(f"G{j}" for j in range(11))]
    raw = labelled(tmp_path, ["control", "Y_RNA", "G1"], genes=genes)
    assert "cut in two" in refused(tmp_path, raw, separator="_")


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("A+A", "same target twice"),
        ("A+B+A", "same target twice"),
        ("A+", "empty target"),
        ("A++B", "empty target"),
        ("A+ B", "white space"),
        ("A\tB", "tabs"),
        ("A+nan", "missing value"),
    ],
)
def test_malformed_combinations(tmp_path: Path, label: str, message: str) -> None:
    text = refused(tmp_path, labelled(tmp_path, ["control", "A", label]))
    assert message in text
    assert repr(label) in text


def test_canonical_control_name_used_otherwise(tmp_path: Path) -> None:
    raw = labelled(tmp_path, ["NT", "control", "A"])
    assert "canonical name of the control" in refused(tmp_path, raw, control_label="NT")


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        ({"confidnt": True}, "did you mean 'confident'?"),
        ({"batch": "z"}, "no cell has the required value 'z'"),
        ({"confident": "True"}, "no cell has the required value 'True'"),
        ({"confident": True, "batch": "x"}, "no cell has all"),
        ({"perturbation": ["A", "B"]}, "control label"),
    ],
)
def test_bad_choice_of_cells(tmp_path: Path, keep: dict, message: str) -> None:
    confident = np.arange(56) < 28
    raw = user_file(
        tmp_path / "raw.h5ad",
        obs={"confident": confident, "batch": np.where(confident, "y", "x")},
    )
    assert message in refused(tmp_path, raw, keep=keep)


# --- bad files ------------------------------------------------------------------------------------


def test_unreadable_files(tmp_path: Path) -> None:
    raw = Path(user_file(tmp_path / "raw.h5ad"))
    whole = raw.read_bytes()
    raw.write_bytes(whole[: len(whole) // 2])
    assert "truncated" in refused(tmp_path, str(raw))
    raw.write_text("cell,gene\n")
    assert "not an HDF5 file" in refused(tmp_path, str(raw))
    raw.unlink()
    assert "does not exist" in refused(tmp_path, str(raw))


def test_hdf5_of_another_kind(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "raw.h5ad", "w") as file:
        file["matrix"] = np.ones((3, 3))
    text = refused(tmp_path, str(tmp_path / "raw.h5ad"))
    assert "table named obs" in text
    assert "matrix" in text


def test_parts_of_a_count_whose_sum_is_too_large(tmp_path: Path) -> None:
    """Entries that stand at the same place of a sparse matrix are added."""
    counts, labels = counts_and_labels()
    raw = user_file(tmp_path / "raw.h5ad", counts, labels)
    own = sparse.csr_matrix(counts.astype(np.int32))
    own.data[:2], own.indices[:2] = 2_000_000_000, 0
    with h5py.File(raw, "a") as file:
        del file["X"]
        ad.io.write_elem(file, "X", own)
    assert "4000000000" in refused(tmp_path, raw).replace(".0", "").replace("4e+09", "4000000000")


@pytest.mark.parametrize("name", ["G\r2", "G\n", "a\tb", "\x1b[0m"])
def test_control_characters_in_names_of_genes(tmp_path: Path, name: str) -> None:
    counts, labels = counts_and_labels()
    genes = [name, *(f"G{i}" for i in range(1, counts.shape[1]))]
    raw = user_file(tmp_path / "raw.h5ad", counts, labels, genes=genes)
    text = refused(tmp_path, raw)
    assert "control characters" in text
    assert repr(name) in text


def test_control_characters_in_labels(tmp_path: Path) -> None:
    assert "control characters" in refused(tmp_path, labelled(tmp_path, ["control", "A\x01", "B"]))


@pytest.mark.parametrize("column", [".", "_index"])
def test_columns_that_no_file_can_have(tmp_path: Path, column: str) -> None:
    counts, labels = counts_and_labels()
    raw = user_file(tmp_path / "raw.h5ad", counts, labels)
    rows = "".join(f"cell{i}\tx\n" for i in range(56))
    (tmp_path / "cells.tsv").write_text(f"cell\t{column}\n{rows}")
    screen = imported(tmp_path, raw, cells_table=str(tmp_path / "cells.tsv"))
    assert column not in screen.obs


def test_identifiers_that_a_column_with_gaps_holds_as_fractions(tmp_path: Path) -> None:
    counts, labels = counts_and_labels()
    raw = user_file(tmp_path / "raw.h5ad", counts, labels)
    cells = ad.read_h5ad(raw)
    cells.var["entrez"] = np.arange(7000.0, 7000.0 + cells.n_vars)
    cells.write_h5ad(raw)
    screen = imported(tmp_path, raw, gene_name_column="entrez")
    assert screen.var_names[:2].tolist() == ["7000", "7001"]


def test_batches_that_look_alike_or_like_nothing_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    counts, labels = counts_and_labels()
    raw = user_file(tmp_path / "raw.h5ad", counts, labels)
    cells = ad.read_h5ad(raw)
    cells.obs["lane"] = [["x", "X", "x ", "None"][i % 4] for i in range(cells.n_obs)]
    cells.write_h5ad(raw)
    screen = imported(tmp_path, raw, batch_column="lane")
    assert set(screen.obs["batch"]) == {"x", "X", "x ", "None"}
    assert "case or white space alone" in caplog.text
    assert "may stand for a missing value are taken for batches: 'None'" in caplog.text


def test_rows_of_the_table_of_targets_without_effect_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = tmp_path / "targets.tsv"
    table.write_text("target\tgene\nA\tG3\nelsewhere\tG4\n")
    imported(tmp_path, labelled(tmp_path, ["control", "A", "B"]), target_genes=str(table))
    assert "not perturbed in the screen, of no effect: elsewhere" in caplog.text


def test_targets_of_the_table_that_would_become_the_same(tmp_path: Path) -> None:
    table = tmp_path / "targets.tsv"
    table.write_text("target\tgene\nA+B\tG3\nA&B\tG4\n")
    raw = labelled(tmp_path, ["control", "A+B", "C"])
    with pytest.raises(InputError, match=r"(?s)the same name.*'A&B', 'A\+B'"):
        imported(tmp_path, raw, separator=[], target_genes=str(table))


def test_a_type_stored_in_a_file_is_no_damage(tmp_path: Path) -> None:
    counts, labels = counts_and_labels()
    raw = user_file(tmp_path / "raw.h5ad", counts, labels)
    with h5py.File(raw, "a") as file:
        file["uns"]["kind"] = np.dtype("f8")
    assert imported(tmp_path, raw).n_obs == 56
