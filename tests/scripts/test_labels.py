"""What labels stand for, and what is said about labels that look like mistakes."""

import logging
from collections import Counter
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from lcd_core.errors import InputError
from pipeline.labels import balanced, canonical_names, folded, report_labels, suggestion
from pipeline.screen import CONTROL
from tests.scripts.test_import_screen import imported, labelled, refused

DRUGS = ["DMSO", "2i (LIF+GENE0)", "2i (LIF+GENE1)", "2i (LIF)"]


def warnings_of(
    caplog: pytest.LogCaptureFixture,
    labels: list[str],
    control: str | list[str] = "ctrl",
    separator: tuple[str, ...] = ("+",),
    ignored: tuple[str, ...] = (),
    known: tuple[str, ...] = (),
) -> list[str]:
    """Warnings about labels that have a cell each."""
    caplog.clear()
    with caplog.at_level(logging.INFO):
        names = canonical_names(labels, control, separator, ignored, known, "here")
        report_labels(Counter(labels), names, control, separator, ignored, known, "condition")
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


# --- controls and labels left out -----------------------------------------------------------------


def test_several_control_labels(tmp_path: Path) -> None:
    raw = labelled(tmp_path, ["NT_1", "NT_2", "A", "NT_2+B"])
    screen = imported(tmp_path, raw, control_label=["NT_1", "NT_2"])
    assert screen.obs["perturbation"].value_counts().to_dict() == {CONTROL: 4, "A": 2, "B": 2}


def test_each_control_label_must_be_there(tmp_path: Path) -> None:
    raw = labelled(tmp_path, ["NT_1", "NT_2", "A"])
    text = refused(tmp_path, raw, control_label=["NT_1", "nt_2"])
    assert "no cell has the control label 'nt_2' (did you mean 'NT_2'" in text


def test_labels_to_drop(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    labels = ["ctrl", "A", "unassigned", "multiplet", "B", "A+unassigned"]
    raw = labelled(tmp_path, labels)
    with caplog.at_level(logging.INFO):
        screen = imported(
            tmp_path, raw, control_label="ctrl", drop_labels=["unassigned", "multiplet"]
        )
    assert screen.obs_names.tolist() == [f"cell{i}" for i in (0, 1, 2, 3, 8, 9, 10, 11)]
    assert set(screen.obs["perturbation"]) == {CONTROL, "A", "B", "A+unassigned"}
    text = "4 cells left out by screen.drop_labels: 'unassigned' (2), 'multiplet' (2)"
    assert text in caplog.messages
    source = ad.read_h5ad(raw)[screen.obs_names]
    np.testing.assert_array_equal(screen.X.toarray(), source.X)


def test_missing_labels_are_dropped_as_nan(tmp_path: Path) -> None:
    raw = labelled(tmp_path, ["control", "A", "B"])
    cells = ad.read_h5ad(raw)
    cells.obs["perturbation"] = cells.obs["perturbation"].astype(object)
    cells.obs.iloc[[1, 4], 0] = None
    cells.write_h5ad(raw)
    text = refused(tmp_path, raw)
    assert "2 of 6 cells have no perturbation label" in text
    assert "screen.drop_labels: ['nan']" in text, "the remedy can be followed as it is"
    assert imported(tmp_path, raw, drop_labels=["nan"]).obs_names.tolist() == [
        f"cell{i}" for i in (0, 2, 3, 5)
    ]


def test_labels_to_drop_that_are_not_there(tmp_path: Path) -> None:
    raw = labelled(tmp_path, ["control", "A", "unassigned"])
    text = refused(tmp_path, raw, drop_labels=["unasigned", "doublet"])
    assert "no cell has the label to drop 'unasigned' (did you mean 'unassigned'?)" in text
    assert "screen.drop_labels" in text
    assert "'doublet'" in text


def test_all_labels_dropped(tmp_path: Path) -> None:
    raw = labelled(tmp_path, ["x", "y"])
    assert "no cells are left" in refused(tmp_path, raw, drop_labels=["x", "y"])


def test_labels_of_cells_that_are_not_kept_may_be_dropped(tmp_path: Path) -> None:
    raw = labelled(tmp_path, ["control", "A", "bad"], obs={"good": np.arange(6) < 4})
    screen = imported(tmp_path, raw, keep={"good": True}, drop_labels=["bad"])
    assert screen.n_obs == 4


# --- whole labels, brackets, combinations ---------------------------------------------------------


def test_separators_within_brackets_are_refused(tmp_path: Path) -> None:
    text = refused(tmp_path, labelled(tmp_path, DRUGS), control_label="DMSO")
    assert "within brackets" in text
    assert "'2i (LIF+GENE0)'" in text
    assert "screen.separator to []" in text


def test_whole_labels(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    raw = labelled(tmp_path, [*DRUGS, "A+B", "A", "B"])
    with caplog.at_level(logging.INFO):
        screen = imported(tmp_path, raw, control_label="DMSO", separator=[])
    assert screen.obs["perturbation"].value_counts().to_dict() == {
        CONTROL: 2,
        "2i (LIF&GENE0)": 2,
        "2i (LIF&GENE1)": 2,
        "2i (LIF)": 2,
        "A&B": 2,
        "A": 2,
        "B": 2,
    }
    assert "'2i (LIF+GENE0)' is '2i (LIF&GENE0)'" in caplog.text
    assert "combinations" not in caplog.text


def test_genes_of_whole_labels_are_named_as_in_the_file(tmp_path: Path) -> None:
    table = tmp_path / "targets.tsv"
    table.write_text("target\tgene\n2i (LIF+GENE0)\tG3\n")
    raw = labelled(tmp_path, DRUGS)
    screen = imported(tmp_path, raw, control_label="DMSO", separator=[], target_genes=str(table))
    assert screen.uns["target_genes"].to_numpy().tolist() == [["2i (LIF&GENE0)", "G3"]]


def test_whole_labels_that_would_become_the_same(tmp_path: Path) -> None:
    raw = labelled(tmp_path, ["control", "A+B", "A&B"])
    text = refused(tmp_path, raw, separator=[])
    assert "'A+B'" in text
    assert "'A&B'" in text


def test_whole_labels_may_mean_no_target(tmp_path: Path) -> None:
    raw = labelled(tmp_path, ["control", "mock+mock", "A"])
    screen = imported(tmp_path, raw, separator=[], ignore_labels=["mock+mock"])
    assert screen.obs["perturbation"].value_counts().to_dict() == {CONTROL: 4, "A": 2}


@pytest.mark.parametrize(
    ("text", "is_balanced"),
    [("a", True), ("a(b)[c]", True), ("2i (LIF", False), ("GENE0)", False), ("([)]", False)],
)
def test_balanced_brackets(text: str, is_balanced: bool) -> None:
    assert balanced(text) == is_balanced


def test_an_unclosed_bracket_of_an_unsplit_label_is_a_name(tmp_path: Path) -> None:
    screen = imported(tmp_path, labelled(tmp_path, ["control", "A (1 uM", "B"]))
    assert "A (1 uM" in set(screen.obs["perturbation"])


def test_combinations_are_announced(caplog: pytest.LogCaptureFixture) -> None:
    labels = ["ctrl", "A", "B", "C", "A+B", "B+A", "A+C"]
    assert not warnings_of(caplog, labels)
    assert any(
        message.startswith("2 combinations of 3 targets, labels being split at '+'")
        for message in caplog.messages
    )


def test_targets_that_are_nothing_by_themselves(caplog: pytest.LogCaptureFixture) -> None:
    labels = ["ctrl", "A", "TGFb+high", "A+G1", "A+G2"]
    (text,) = warnings_of(caplog, labels, known=("G1",))
    assert "3 of these targets never occur alone" in text
    assert "'G2', 'TGFb', 'high'" in text
    assert "screen.separator; [] never splits" in text


# --- look-alikes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [
        "GENE0",
        "gene 0",
        "gene0 ",
        "gene\u200b0",
        "gene\xa00",
        "gene\uff10",
        "\ufeffgene0",
        "ge\xadne0",
    ],
)
def test_names_that_look_alike(other: str) -> None:
    assert folded("gene0") == folded(other)


@pytest.mark.parametrize("other", ["gene1", "gene-0", "gene_0", "genes0", "\u03b3ene0"])
def test_names_that_do_not(other: str) -> None:
    assert folded("gene0") != folded(other)


def test_dashes_look_alike() -> None:
    assert len({folded(f"HLA{dash}A") for dash in "-\u2010\u2013\u2014\u2212\ufe63"}) == 1


def test_look_alikes_of_the_control(caplog: pytest.LogCaptureFixture) -> None:
    (text,) = warnings_of(caplog, ["ctrl", "Ctrl", "CTRL", "CTRL", "A"])
    assert "'Ctrl' (1 cells), 'CTRL' (2 cells): looks like 'ctrl'" in text
    assert "set screen.control_label to ['ctrl', 'Ctrl', 'CTRL']" in text


def test_the_remedy_for_look_alikes_of_the_control_ends_them(
    caplog: pytest.LogCaptureFixture,
) -> None:
    labels = ["ctrl", "Ctrl", "CTRL", "A"]
    assert not warnings_of(caplog, labels, control=["ctrl", "Ctrl", "CTRL"])


def test_look_alikes_of_an_ignored_label(caplog: pytest.LogCaptureFixture) -> None:
    (text,) = warnings_of(caplog, ["ctrl", "nt", "A+NT", "A"], ignored=("NT",), known=("A",))
    assert "set screen.ignore_labels to ['NT', 'nt']" in text


def test_targets_that_look_alike(caplog: pytest.LogCaptureFixture) -> None:
    labels = ["ctrl", "GENE0", "gene0+ctrl", "GENE1", "GENE1+GENE0"]
    (text,) = warnings_of(caplog, labels, known=("GENE0", "GENE1"))[:1]
    assert "'GENE0' (2 cells), 'gene0' (1 cells)" in text
    assert "obs['condition']" in text
    assert "screen.drop_labels" in text


def test_invisible_characters_are_shown(caplog: pytest.LogCaptureFixture) -> None:
    texts = warnings_of(caplog, ["ctrl", "ctrl\u200b", "A\uff11", "A1", "B\u2013C", "B-C"])
    assert len(texts) == 3
    assert r"'ctrl\u200b' (1 cells)" in texts[0]
    assert r"'A\uff11' (1 cells), 'A1' (1 cells)" in texts[1]
    assert r"'B\u2013C'" in texts[2]
    assert all(text.isascii() for text in texts)


def test_targets_that_look_like_a_gene(caplog: pytest.LogCaptureFixture) -> None:
    texts = warnings_of(caplog, ["ctrl", "MYC", "JUN", "Fos", "x"], known=("Myc", "Jun", "Fos"))
    assert len(texts) == 1, "one line, however many there are"
    assert "2 targets are no measured genes, but look like some" in texts[0]
    assert "'MYC' (gene 'Myc'), 'JUN' (gene 'Jun')" in texts[0]
    assert "screen.target_genes" in texts[0]


def test_names_that_read_like_a_control(caplog: pytest.LogCaptureFixture) -> None:
    words = ["non-targeting", "NT", "neg1", "NegCtrl0", "Scrambled_2", "DMSO"]
    (text,) = warnings_of(caplog, ["ctrl", "A", *words])
    assert "reads like a control" in text
    assert all(repr(word) in text for word in words)
    assert "screen.control_label" in text


def test_names_that_read_like_unassigned_cells(caplog: pytest.LogCaptureFixture) -> None:
    (text,) = warnings_of(caplog, ["ctrl", "A", "unassigned", "Multiplet"])
    assert "'unassigned' (1 cells), 'Multiplet' (1 cells)" in text
    assert "screen.drop_labels" in text
    assert "screen.control_label" not in text


def test_genes_are_no_words(caplog: pytest.LogCaptureFixture) -> None:
    assert not warnings_of(caplog, ["ctrl", "NT5", "WT1", "A"], known=("NT5", "WT1"))
    assert not warnings_of(caplog, ["ctrl", "KLF1", "HLA-A", "HLA-B", "A", "A1"])


def test_the_import_warns(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    labels = ["ctrl", "Ctrl", "non-targeting", "G1", "g1+ctrl", "unassigned"]
    imported(tmp_path, labelled(tmp_path, labels), control_label="ctrl")
    warned = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert len(warned) == 4
    assert sum("'Ctrl' (2 cells)" in text for text in warned) == 1
    assert sum("'G1' (2 cells), 'g1' (2 cells)" in text for text in warned) == 1


def test_suggestions_show_blanks() -> None:
    assert suggestion("ctrl", ["ctrl ", "A"]) == " (did you mean 'ctrl '?)"
    assert suggestion("ctrl", ["Ctrl", "CTRL"]) == " (did you mean 'Ctrl' or 'CTRL'?)"
    assert suggestion("ctrl", ["zzz"]) == ""


def test_an_absent_control_beside_one_with_a_blank(tmp_path: Path) -> None:
    cells = pd.DataFrame({"label": ["ctrl ", "A"]})
    with pytest.raises(InputError) as error:
        canonical_names(cells["label"], "ctrl", "+", (), (), "here")
    assert "did you mean 'ctrl '?" in str(error.value)
    assert "'ctrl ' (1)" in str(error.value)
