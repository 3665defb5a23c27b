"""The page with every held-out perturbation, by choice."""

import gzip
import json
import re
from base64 import b64decode
from html.parser import HTMLParser
from xml.etree import ElementTree

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from benchmark import write_held_out_html
from pipeline.looks import looks_of
from pipeline.methods import method_looks
from pipeline.predictions import labels_of
from pipeline.screen import CONTROL, lognorm, read_screen
from pipeline.tables import read_tsv, write_tsv
from tests.scripts.predictions_fixture import HELD_OUT
from tests.scripts.test_figures import write_results

LOOKS = looks_of(method_looks())


def write_page(results, folds, page, **changes):
    """Write the page of a run as far as it is read; return its text."""
    methods = changes.pop("shown_methods", ["salt", "lcd"])
    own = pd.DataFrame(
        {
            "target": ["A", "B"], "perturbation": ["A+B", "A+B"], "gene": ["G0", "G1"],
            "log2_fold_change": [1.5, np.nan], "status": ["moved", "not measured"],
        }
    )  # fmt: skip
    write_tsv(own, results / "targets.tsv")

    def of_folds(name):
        return [str(results / "folds" / fold / name) for fold in folds]

    arguments = {
        "metrics": str(results / "benchmark" / "metrics.tsv"),
        "targets": str(results / "targets.tsv"),
        "train": of_folds("train.h5ad"),
        "test": of_folds("test.h5ad"),
        "differential_expression": of_folds("test_differential_expression.tsv"),
        "predictions": [
            str(results / "folds" / fold / "predictions" / f"{method}.h5ad")
            for fold in folds
            for method in methods
        ],
        "folds": folds,
        "shown_methods": methods,
        "values": [None for _ in methods],
        "looks": method_looks(),
        "reference": "lcd",
        "alpha": 0.05,
    }
    write_held_out_html.main(held_out_page=str(page), **(arguments | changes))
    return page.read_text(encoding="utf-8")


def articles(text):
    """Parts of the page, by the name of the perturbation."""
    packed = re.search(r'id="parts">([^<]+)</script>', text)[1]
    parts = json.loads(gzip.decompress(b64decode(packed)))
    return {re.match("<h2>(.*?)</h2>", part)[1]: part for part in parts}


def cells(part, heading):
    """Rows of the table under a heading, as text."""
    body = part[part.index(heading) :]
    body = body[body.index("<tbody>") : body.index("</tbody>")]
    return [
        [re.sub("<[^>]+>", "", cell) for cell in re.findall(r"<td>(.*?)</td>", row)]
        for row in re.findall(r"<tr>(.*?)</tr>", body)
    ]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    results = tmp_path_factory.mktemp("results")
    folds = write_results(results)
    return results, write_page(results, folds, results / "held_out.html")


def test_every_held_out_perturbation_can_be_chosen(page):
    parts = articles(page[1])
    expected = sorted(f"{name} (fold {fold})" for fold in ("1", "2") for name in HELD_OUT)
    assert list(parts) == expected
    assert re.findall(r"<option>(.*?)</option>", page[1]) == expected
    assert "own genes: G0 log2 fold change +1.50, moved; G1 not measured" in parts["A+B (fold 1)"]
    assert "own genes" not in parts["A+X (fold 1)"]


def test_changes_and_correlations_are_those_of_the_cells(page):
    results, text = page
    folder = results / "folds" / "2"
    trained, held_out = read_screen(folder / "train.h5ad"), read_screen(folder / "test.h5ad")
    predicted = ad.read_h5ad(folder / "predictions" / "salt.h5ad")
    control = lognorm(trained.X[labels_of(trained) == CONTROL]).mean(axis=0)
    observed = lognorm(held_out.X[labels_of(held_out) == "A+B"]).mean(axis=0) - control
    rows = predicted.obs["perturbation"].to_numpy(str) == "A+B"
    salt = np.asarray(predicted.X[rows].mean(axis=0)).ravel() - control
    part = articles(text)["A+B (fold 2)"]
    r = np.corrcoef(observed, salt)[0, 1]
    assert f"SALT, r = {r:.2f}" in part.replace("−", "-")
    genes = list(trained.var_names)
    for gene, own, of_salt, *_ in cells(part, "Change of mean expression, first"):
        at = genes.index(gene)
        assert float(own.replace("−", "-")) == pytest.approx(observed[at], abs=6e-4)
        assert float(of_salt.replace("−", "-")) == pytest.approx(salt[at], abs=6e-4)


def test_scores_are_those_of_the_table_and_the_best_is_named(page):
    results, text = page
    table = read_tsv(results / "benchmark" / "metrics.tsv", dtype={"fold": str})
    own = table[(table["fold"] == "1") & (table["perturbation"] == "A+X")]
    wide = own.pivot(index="metric", columns="method", values="value")
    part = articles(text)["A+X (fold 1)"]
    rows = {row[0]: row[1:] for row in cells(part, "Scores")}
    assert len(rows) == len(wide)
    control, salt, lcd, ceiling, best = rows["MMD (top DE genes) ↓"]
    values = wide.loc["mmd_top_de"]
    shown = {"control": control, "salt": salt, "lcd": lcd, "ceiling": ceiling}
    for method, value in shown.items():
        assert float(value.replace("−", "-")) == pytest.approx(values[method], rel=1e-3)
    assert best == LOOKS.flat_label(values.drop("ceiling").idxmin())


def test_drawings_are_well_formed_and_hold_every_gene(page):
    for part in articles(page[1]).values():
        drawings = re.findall(r"<svg.*?</svg>", part, flags=re.S)
        assert len(drawings) == 2
        boxes, panels = map(ElementTree.fromstring, drawings)
        words = [
            "".join(text.itertext()) for text in boxes.iter("{http://www.w3.org/2000/svg}text")
        ]
        assert {"Control cells", "SALT", "LCD", "Observed"} <= set(words)
        assert {f"G{i}" for i in range(12)} <= set(words)
        dots = [p.get("d") for p in panels.iter("{http://www.w3.org/2000/svg}path")]
        assert sum(d.count("a2 2") for d in dots if d) == 2 * 2 * 12  # two arcs a dot, two panels


def test_of_many_perturbations_some_are_shown_evenly_by_distance(monkeypatch, tmp_path):
    monkeypatch.setattr(write_held_out_html, "MOST", 3)
    rng = np.random.default_rng(1)
    index = pd.MultiIndex.from_tuples([("1", f"p{i}") for i in range(9)])
    wide = pd.DataFrame({"lcd": rng.permutation(9).astype(float)}, index=index)
    chosen = write_held_out_html.evenly(wide, "lcd")
    assert [wide.at[own, "lcd"] for own in chosen] == [0, 4, 8]
    assert len(write_held_out_html.evenly(wide.drop(columns="lcd"), "lcd")) == 3


def test_fewer_are_shown_where_they_would_not_fit_on_a_page(monkeypatch):
    rng = np.random.default_rng(1)
    articles = [(f"p{i}", rng.bytes(300).hex()) for i in range(8)]  # 300 bytes, 400 letters packed
    rows = [{"lcd": float(value)} for value in rng.permutation(8)]
    assert len(write_held_out_html.that_fit(articles, rows, "lcd")) == 8
    monkeypatch.setattr(write_held_out_html, "LARGEST", 1800)
    kept = write_held_out_html.that_fit(articles, rows, "lcd")
    assert 3 <= len(kept) <= 4
    values = [rows[i]["lcd"] for i in kept]
    assert values[0] == 0
    assert values[-1] == 7
    assert len(write_held_out_html.that_fit(articles, [{} for _ in rows], "lcd")) == len(kept)


class Balance(HTMLParser):
    """Counts what is opened and closed."""

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attributes):
        if tag not in {"meta", "input", "br", "rect", "path", "circle"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in {"rect", "path", "circle"}:
            assert self.open.pop() == tag


def test_every_element_of_the_page_is_closed(page):
    parser = Balance()
    for text in (page[1], *articles(page[1]).values()):
        parser.feed(text)
        assert parser.open == []
    assert len(page[1]) < 2**20  # of 6; as addresses of data, Chromium shows 1.5 MiB at most
