"""What is given from Python: every mistake ends in one message, before anything is fitted."""

import numpy as np
import pytest
import torch
from scipy import sparse

from lcd_core.counts import checked_counts, checked_genes, checked_sets, target_sets
from lcd_core.errors import InputError
from lcd_core.fit import fit
from lcd_core.gene_effects import effects_from_counts

CELLS = np.arange(12).reshape(4, 3)
FORMS = {
    "list": CELLS.tolist(),
    "unsigned": CELLS.astype(np.uint16),
    "other byte order": CELLS.astype(">i4"),
    "half precision": CELLS.astype(np.float16),
    "columns first": np.asfortranarray(CELLS),
    "view": CELLS[:, ::-1][:, ::-1],
    "sparse": sparse.csc_matrix(CELLS),
    "tensor": torch.from_numpy(CELLS),
    "sparse tensor": torch.from_numpy(CELLS).to_sparse(),
    "bfloat16": torch.from_numpy(CELLS).to(torch.bfloat16),
    "gradient": torch.from_numpy(CELLS).float().requires_grad_(),
}


@pytest.mark.parametrize("form", FORMS)
def test_counts_of_any_form(form):
    found = checked_counts({"control": FORMS[form]}, 3)["control"]
    np.testing.assert_array_equal(found, CELLS)
    assert found.dtype.isnative
    torch.from_numpy(found)


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ({"A": CELLS}, "the control is missing"),
        ({"control": CELLS, 3: CELLS}, "names of conditions are texts"),
        ({"control": CELLS[0]}, r"condition control.*shape \(3,\), 3 genes"),
        ({"control": CELLS[:0]}, r"shape \(0, 3\)"),
        ({"control": CELLS, "A": CELLS[:, :2]}, r"condition A.*shape \(4, 2\), 3 genes"),
        ({"control": CELLS, "A": np.log1p(CELLS)}, "condition A.*other numbers"),
        ({"control": CELLS - 1}, "nonnegative integers"),
        ({"control": np.where(CELLS == 5, np.nan, CELLS)}, "nonnegative integers"),
        ({"control": CELLS.astype(str)}, "<U"),
    ],
)
def test_counts_that_are_none(counts, words):
    for call in (
        lambda: checked_counts(counts, 3),
        lambda: fit(counts, list("xyz"), seed=1),
        lambda: effects_from_counts(counts, list("xyz"), seed=1),
    ):
        with pytest.raises(InputError, match=f"(?s){words}"):
            call()


@pytest.mark.parametrize(
    ("genes", "words"), [(["x", "y", "x"], "distinct.*x"), ([], "none"), ("xyz", "sequence")]
)
def test_names_of_genes(genes, words):
    assert checked_genes(np.array(["x", "y"])) == ["x", "y"]
    for call in (
        lambda: checked_genes(genes),
        lambda: fit({"control": CELLS}, genes, seed=1),
        lambda: effects_from_counts({"control": CELLS}, genes, seed=1),
    ):
        with pytest.raises(InputError, match=f"(?s){words}"):
            call()


@pytest.mark.parametrize(
    ("conditions", "given", "words"),
    [
        (["control", "A"], {"B": ["x"]}, "no cells of these conditions.*B"),
        (["control", "A"], {"A": "drug"}, r"sequence of names.*pass \['drug'\]"),
        (["control", "A"], {"A": []}, r"condition 'A'.*\(\)"),
        (["control", "A"], {"control": ["A"]}, "the control has no targets"),
        (["control", "A+"], None, r"condition 'A\+'"),
        (["control", "A+control"], None, "control"),
        (["control", "A+A"], None, r"condition 'A\+A'"),
        (["control", "A+B", "B+A"], None, r"same targets.*'A\+B' and 'B\+A'"),
    ],
)
def test_targets_that_are_none(conditions, given, words):
    with pytest.raises(InputError, match=f"(?s){words}"):
        target_sets(conditions, given)
    if (given and "B" in given) or given == {"A": "drug"}:
        with pytest.raises(InputError, match=r"hits"):
            checked_sets(given, conditions, "hits")


def test_targets_are_those_given_or_in_the_name():
    found = target_sets(["control", "A+B", "drug"], {"drug": ["JAK1", "JAK2"]})
    assert found == {"control": (), "A+B": ("A", "B"), "drug": ("JAK1", "JAK2")}


def test_errors_of_means_need_two_cells():
    with pytest.raises(InputError, match=r"(?s)of 2 cells or more.*shape \(1, 3\)"):
        effects_from_counts({"control": CELLS, "x": CELLS[:1]}, list("xyz"), seed=1)
