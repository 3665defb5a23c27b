"""Other people's methods up to their doors: what they get, what is dropped, what comes back."""

import itertools
import json
import logging
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from environments import make_environment
from external import compare_scores, export_cells, run_scperteval
from lcd_core.errors import InputError
from methods.cpa import prepare as cpa_prepare
from methods.gears import prepare as gears_prepare
from pipeline import tools
from pipeline.exchange import Outputs, per_ten_thousand, read_inputs, save
from pipeline.predictions import labels_of, prediction_writer, read_prediction
from pipeline.screen import CONTROL, lognorm, read_screen
from pipeline.tables import read_tsv
from pipeline.third_party import write_prediction
from tests.scripts.predictions_fixture import GENES, HELD_OUT, write_fold

FOLDS = {"A": "a t1", "B": "t1 t2", "C": "t3", "G0": "t1", "G5": "t2 t4"}
"""Terms of targets and genes; X, and the other genes, have none."""


@pytest.fixture(scope="module")
def fold(tmp_path_factory):
    return write_fold(tmp_path_factory.mktemp("fold"))


@pytest.fixture
def gmt(tmp_path):
    path = tmp_path / "sets.gmt"
    terms = sorted({term for own in FOLDS.values() for term in own.split()})
    lines = [
        "\t".join([term, "-", *(gene for gene, own in FOLDS.items() if term in own.split())])
        for term in terms
    ]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def prepared(module, fold, folder, **more):
    paths = {"inputs": str(folder / "inputs.npz"), "dropped": str(folder / "dropped.tsv")}
    module.main(train=fold.train, test_perturbations=fold.test_perturbations, **paths, **more)
    return read_inputs(paths["inputs"]), read_tsv(paths["dropped"], dtype=str)


class TestInputs:
    def test_cells_are_the_training_cells(self, fold, tmp_path):
        inputs, _ = prepared(cpa_prepare, fold, tmp_path)
        train = read_screen(fold.train)
        shape = (len(inputs.indptr) - 1, len(inputs.genes))
        matrix = sparse.csr_matrix((inputs.data, inputs.indices, inputs.indptr), shape=shape)
        np.testing.assert_allclose(matrix.toarray(), lognorm(train.X), rtol=1e-6)
        names = {"A": "t0", "B": "t1", "C": "t2"}
        expected = [
            "" if label == CONTROL else "+".join(names[t] for t in label.split("+"))
            for label in labels_of(train)
        ]
        assert inputs.conditions[inputs.condition].tolist() == expected

    def test_cells_for_gears_are_scaled_to_their_median(self, fold, gmt, tmp_path):
        inputs, _ = prepared(gears_prepare, fold, tmp_path, gene_sets=[gmt])
        train = read_screen(fold.train)
        totals = np.asarray(train.X.sum(axis=1)).ravel()
        assert float(inputs.total) == np.median(totals)
        shape = (len(inputs.indptr) - 1, len(inputs.genes))
        matrix = sparse.csr_matrix((inputs.data, inputs.indices, inputs.indptr), shape=shape)
        np.testing.assert_allclose(np.expm1(matrix.toarray()).sum(1), np.median(totals), rtol=1e-4)
        back = per_ten_thousand(matrix.toarray(), float(inputs.total))
        np.testing.assert_allclose(back, lognorm(train.X), rtol=1e-4)
        assert (per_ten_thousand(np.array([-1.0], np.float32), 50.0) == 0).all()

    def test_cpa_leaves_out_what_no_training_cell_has_taught_it(self, fold, tmp_path):
        inputs, dropped = prepared(cpa_prepare, fold, tmp_path)
        assert inputs.wanted.tolist() == ["t0+t1", "t0+t1+t2"]
        assert dropped.to_numpy().tolist() == [
            ["A+X", "to predict", "X is in no training perturbation"]
        ]

    def test_gears_leaves_out_targets_without_terms(self, fold, gmt, tmp_path, caplog):
        inputs, dropped = prepared(gears_prepare, fold, tmp_path, gene_sets=[gmt])
        assert inputs.wanted.tolist() == ["t0+t1", "t0+t1+t2"]
        assert dropped["reason"].tolist() == ["X is in no gene set"]
        assert "GEARS leaves out 1 of 3 (to predict)" in caplog.text
        text = Path(gmt).read_text().replace("\tC", "")
        Path(gmt).write_text("\n".join(line for line in text.splitlines() if line.count("\t") > 1))
        inputs, dropped = prepared(gears_prepare, fold, tmp_path, gene_sets=[gmt])
        assert inputs.wanted.tolist() == ["t0+t1"]
        roles = dropped.groupby("role")["perturbation"].apply(list).to_dict()
        assert roles == {"training": ["A+C", "B+C", "C"], "to predict": ["A+B+C", "A+X"]}
        assert len(inputs.condition) == 3 * 30  # control, A and B

    def test_the_graph_joins_targets_and_genes_of_shared_terms(self, fold, gmt, tmp_path):
        inputs, _ = prepared(gears_prepare, fold, tmp_path, gene_sets=gmt)
        assert inputs.nodes.tolist() == ["t0", "t1", "t2", "g0", "g5"]
        edges = {
            (str(inputs.nodes[i]), str(inputs.nodes[j])): w
            for i, j, w in zip(inputs.source, inputs.target, inputs.importance, strict=True)
        }
        assert edges["t0", "t1"] == pytest.approx(1 / 3)
        assert edges["t1", "g5"] == pytest.approx(1 / 3)
        assert edges["t2", "t2"] == 1
        assert ("t2", "t0") not in edges

    def test_nothing_to_predict_is_an_error_with_the_gene_sets(self, fold, tmp_path):
        (tmp_path / "other.gmt").write_text("set\t-\tZ1\tZ2\n")
        with pytest.raises(InputError, match="GEARS can handle none") as error:
            prepared(gears_prepare, fold, tmp_path, gene_sets=[str(tmp_path / "other.gmt")])
        assert "methods.gears.gene_sets" in str(error.value)
        assert not list(tmp_path.glob("*.npz"))

    def test_without_gene_sets_it_is_said_which_to_name(self, fold, tmp_path):
        with pytest.raises(InputError, match="downloads/msigdb"):
            prepared(gears_prepare, fold, tmp_path, gene_sets=[])


@given(
    st.dictionaries(
        st.text("abcdef", min_size=1, max_size=2),
        st.sets(st.integers(0, 8), min_size=1),
        min_size=1,
        max_size=9,
    )
)
def test_similarity_is_the_jaccard_index_above_a_tenth(terms):
    named = {gene: {str(term) for term in own} for gene, own in terms.items()}
    source, target, importance = gears_prepare.similar(named)
    found = dict(zip(zip(source, target, strict=True), importance, strict=True))
    sets = list(named.values())
    expected = {
        (i, j): len(sets[i] & sets[j]) / len(sets[i] | sets[j])
        for i, j in itertools.product(range(len(sets)), repeat=2)
    }
    assert found == pytest.approx({pair: w for pair, w in expected.items() if w > 0.1})


class TestPrediction:
    def written(self, fold, folder, cells, shifts, own=None, keep="cells"):
        prepared(cpa_prepare, fold, folder)
        kept = np.zeros((0, 0, 0), np.float32) if own is None else own
        save(folder / "outputs.npz", Outputs(shifts, kept))
        write_prediction(
            str(folder / "p.h5ad"),
            outputs=str(folder / "outputs.npz"),
            dropped=str(folder / "dropped.tsv"),
            train=fold.train,
            test_perturbations=fold.test_perturbations,
            cells=cells,
            n_cells=10,
            keep=keep,
            seed=4,
        )
        return read_prediction(folder / "p.h5ad", GENES, HELD_OUT)

    def test_control_cells_are_shifted_and_what_is_missing_is_named(self, fold, tmp_path):
        shifts = np.stack([np.full(12, 0.25), np.linspace(-0.1, 0.1, 12)]).astype(np.float32)
        found = self.written(fold, tmp_path, "shifted", shifts)
        assert found.not_predicted == ("A+X",)
        assert found.predicted(HELD_OUT) == ["A+B", "A+B+C"]
        train = read_screen(fold.train)
        rows = found.rows("A+B")
        assert len(rows) == 10
        sources = [str(name).partition(":")[2] for name in found.names[rows]]
        expected = np.maximum(lognorm(train[sources].X) + 0.25, 0)
        np.testing.assert_allclose(found.lognorm(rows), expected, rtol=1e-5)

    def test_the_tools_own_cells(self, fold, tmp_path):
        own = np.random.default_rng(1).normal(1, 1, (2, 10, 12)).astype(np.float32)
        found = self.written(fold, tmp_path, "predicted", np.zeros((2, 12), np.float32), own)
        for name, cells in zip(["A+B", "A+B+C"], own, strict=True):
            kept = found.lognorm(found.rows(name))
            np.testing.assert_allclose(np.sort(kept, 0), np.sort(np.maximum(cells, 0), 0))

    def test_profiles_say_what_is_missing_too(self, fold, tmp_path):
        found = self.written(
            fold, tmp_path, "shifted", np.zeros((2, 12), np.float32), keep="profiles"
        )
        assert not found.has_cells
        assert found.not_predicted == ("A+X",)

    @pytest.mark.parametrize("bad", [np.full((2, 12), np.nan), np.zeros((1, 12))])
    def test_nonsense_is_refused(self, fold, tmp_path, bad):
        with pytest.raises(InputError, match="no finite prediction"):
            self.written(fold, tmp_path, "shifted", bad.astype(np.float32))
        assert not (tmp_path / "p.h5ad").exists()


class TestRunning:
    def script(self, tmp_path, body):
        path = tmp_path / "tool.py"
        path.write_text(
            "from pipeline.as_tool import as_tool\n"
            f"def main(**given):\n{textwrap.indent(textwrap.dedent(body), '    ')}\n"
            "as_tool(main)\n"
        )
        return str(path)

    @pytest.fixture(autouse=True)
    def path_to_the_code(self, monkeypatch):
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))

    def test_arguments_and_lines_pass(self, tmp_path, caplog):
        caplog.set_level(logging.INFO)
        script = self.script(tmp_path, "print(given['a'] + 1); print(' 50%|###|'); print('end')")
        tools.run_module(script, [], a=2)
        assert [record.message for record in caplog.records] == ["3", "end"]

    def test_another_interpreter_is_read_from_the_environments_file(self, tmp_path):
        ready = tmp_path / "ready.json"
        ready.write_text(json.dumps({"python": "/somewhere/bin/python"}))
        assert tools.interpreter(str(ready)) == "/somewhere/bin/python"
        assert tools.interpreter([]) == tools.interpreter(None) == sys.executable

    def test_a_failure_is_told_with_the_tools_last_lines(self, tmp_path):
        with pytest.raises(InputError, match="ZeroDivisionError") as error:
            tools.run_module(self.script(tmp_path, "1 / 0"), None)
        assert "the tool failed" in str(error.value)

    def test_a_tool_that_is_killed_is_told_so(self, tmp_path):
        body = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
        with pytest.raises(InputError, match="ended by signal 9"):
            tools.run_module(self.script(tmp_path, body), None)

    def test_it_ends_with_the_job_that_has_started_it(self, tmp_path):
        started = tmp_path / "pid"
        body = f"""
        import os, time
        open({str(started)!r} + '.new', 'w').write(str(os.getpid()))
        os.rename({str(started)!r} + '.new', {str(started)!r})
        time.sleep(60)
        """
        code = (
            f"from pipeline import tools; tools.run_module({self.script(tmp_path, body)!r}, None)"
        )
        job = subprocess.Popen([sys.executable, "-c", code])
        deadline = time.monotonic() + 30
        while not started.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        tool = psutil.Process(int(started.read_text()))
        job.send_signal(signal.SIGKILL)
        job.wait()
        gone, _ = psutil.wait_procs([tool], timeout=10)
        assert gone


class TestEnvironment:
    def make(self, tmp_path, python=sys.executable, pins=""):
        (tmp_path / "none.txt").write_text(f"# nothing\n{pins}")
        ready = tmp_path / "none-1" / "ready.json"
        make_environment.main(
            requirements=str(tmp_path / "none.txt"),
            ready=str(ready),
            python=python,
            known_to_work="3.11",
        )
        return ready

    @pytest.mark.slow
    def test_it_is_made_and_found(self, tmp_path):
        ready = self.make(tmp_path)
        own = tools.interpreter(str(ready))
        prefix = subprocess.run(
            [own, "-c", "import sys; print(sys.prefix)"], capture_output=True, text=True, check=True
        )
        assert prefix.stdout.strip() == str(tmp_path / "none-1" / "environment")

    def test_an_interpreter_that_is_not_there_is_named_with_its_key(self, tmp_path):
        with pytest.raises(InputError, match=r"environments\.python") as error:
            self.make(tmp_path, python="python-of-nowhere")
        assert "Python 3.11" in str(error.value)

    @pytest.mark.slow
    def test_what_pip_says_is_told_and_nothing_is_ready(self, tmp_path):
        with pytest.raises(InputError, match="no-such-package-anywhere"):
            self.make(tmp_path, pins="no-such-package-anywhere==1.0\n")
        assert not (tmp_path / "none-1" / "ready.json").exists()


class TestExports:
    @pytest.fixture
    def exported(self, fold, tmp_path):
        rng = np.random.default_rng(5)
        with prediction_writer(
            tmp_path / "p.h5ad", GENES[::-1], keep="cells", not_predicted=["A+X"]
        ) as writer:
            for name in ("A+B", "A+B+C"):
                writer.add_generated(name, rng.poisson(4.0, (20, 12)))
        paths = [str(tmp_path / "observed.h5ad"), str(tmp_path / "predicted.h5ad")]
        export_cells.main(
            train=fold.train,
            test=fold.test,
            test_perturbations=fold.test_perturbations,
            prediction=str(tmp_path / "p.h5ad"),
            observed_cells=paths[0],
            predicted_cells=paths[1],
            values=None,
        )
        return paths

    def test_both_files_have_the_same_labels_genes_and_control_cells(self, exported):
        observed, predicted = (ad.read_h5ad(path) for path in exported)
        assert list(observed.var_names) == list(predicted.var_names) == GENES
        for cells in (observed, predicted):
            assert cells.X.dtype == np.float32
            assert cells.X.data.min() >= 0
            assert cells.X.data.max() < 15
            assert (cells.X.data % 1 != 0).any()  # not taken for counts
            assert set(cells.obs["perturbation"]) == {CONTROL, "A+B", "A+B+C"}
        control = [
            c[(c.obs["perturbation"] == CONTROL).to_numpy()].X for c in (observed, predicted)
        ]
        np.testing.assert_array_equal(control[0].toarray(), control[1].toarray())
        totals = np.expm1(predicted.X.toarray().astype(float)).sum(axis=1)
        np.testing.assert_allclose(totals, 1e4, rtol=1e-4)

    def test_our_scores_are_those_by_hand(self, exported):
        found = compare_scores.our_scores(*exported).loc["A+B"]
        observed, predicted = (ad.read_h5ad(path) for path in exported)

        def cells(of, name):
            return of.X[(of.obs["perturbation"] == name).to_numpy()].toarray().astype(float)

        x, y, c = cells(predicted, "A+B"), cells(observed, "A+B"), cells(observed, CONTROL)
        mx, my, mc = x.mean(0), y.mean(0), c.mean(0)
        assert found["mse"] == pytest.approx(np.mean((mx - my) ** 2))
        assert found["pearson_delta"] == pytest.approx(np.corrcoef(mx - mc, my - mc)[0, 1])

        def distances(a, b):
            return np.linalg.norm(a[:, None] - b[None], axis=2)

        def within(a, function):
            values = function(distances(a, a))
            return values[~np.eye(len(a), dtype=bool)].mean()

        energy = 2 * distances(x, y).mean() - within(x, np.asarray) - within(y, np.asarray)
        assert found["energy_distance"] == pytest.approx(energy)
        pooled = distances(np.vstack([x, y]), np.vstack([x, y]))
        sigma = np.median(pooled[~np.eye(len(pooled), dtype=bool)])

        def kernel(d):
            return np.exp(-(d**2) / (2 * sigma**2))

        mmd = within(x, kernel) + within(y, kernel) - 2 * kernel(distances(x, y)).mean()
        assert found["mmd_median"] == pytest.approx(mmd)

    def test_the_table_sets_theirs_beside_ours(self, exported, tmp_path):
        ours = compare_scores.our_scores(*exported)
        cell_eval = pd.DataFrame({"perturbation": ours.index, "mse": 1.0, "pearson_delta": 0.5})
        cell_eval.to_csv(tmp_path / "cell_eval.csv", index=False)
        names = [name.format(genes=12) for name in compare_scores.SCPERTEVAL]
        rows = [(name, p, 2.0) for name in [*names, "other"] for p in ours.index]
        pd.DataFrame(rows, columns=["protocol", "perturbation", "score"]).to_csv(
            tmp_path / "scperteval.csv", index=False
        )
        compare_scores.main(
            observed_cells=[exported[0]] * 2,
            predicted_cells=[exported[1]] * 2,
            scores=[str(tmp_path / "cell_eval.csv"), str(tmp_path / "scperteval.csv")],
            evaluators=["cell_eval", "scperteval"],
            methods=["toy", "toy"],
            folds=["1", "1"],
            agreement=str(tmp_path / "agreement.tsv"),
        )
        table = read_tsv(tmp_path / "agreement.tsv")
        assert list(table.columns) == compare_scores.COLUMNS
        assert len(table) == 2 * (2 + 4)
        np.testing.assert_allclose(table["difference"], table["theirs"] - table["ours"], atol=1e-5)

    @pytest.mark.parametrize("label", ["7", "None"])
    def test_labels_that_look_like_numbers_or_gaps(self, label, exported, tmp_path, caplog):
        """And one perturbation of which the evaluator says nothing."""
        paths = []
        for exported_file in exported:
            cells = ad.read_h5ad(exported_file)
            names = cells.obs["perturbation"].cat.rename_categories({"A+B": label})
            cells.obs["perturbation"] = names
            paths.append([str(tmp_path / Path(exported_file).name)])
            cells.write_h5ad(paths[-1][0])
        own = pd.DataFrame({"perturbation": [label], "mse": [1.0], "pearson_delta": ["nan"]})
        own.to_csv(tmp_path / "cell_eval.csv", index=False)
        compare_scores.main(
            observed_cells=paths[0], predicted_cells=paths[1],
            scores=[str(tmp_path / "cell_eval.csv")], evaluators=["cell_eval"], methods=["toy"],
            folds=["1"], agreement=str(tmp_path / "agreement.tsv"),
        )  # fmt: skip
        table = read_tsv(tmp_path / "agreement.tsv", dtype={"perturbation": str})
        theirs = table.set_index(["perturbation", "score"])["theirs"]
        assert theirs[label, "mse"] == 1.0
        assert theirs.drop((label, "mse")).isna().all()
        assert "no scores of" in caplog.text

    def test_a_perturbation_without_others_has_no_scores_of_scperteval(
        self, exported, tmp_path, caplog
    ):
        cells = ad.read_h5ad(exported[0])
        cells = cells[cells.obs["perturbation"].isin([CONTROL, "A+B"])].copy()
        cells.obs["perturbation"] = cells.obs["perturbation"].cat.remove_unused_categories()
        cells.write_h5ad(tmp_path / "observed.h5ad")
        files = {"observed_cells": str(tmp_path / "observed.h5ad"), "predicted_cells": exported[1]}
        scores = str(tmp_path / "scores.csv")
        run_scperteval.main(**files, environment=[], scores=scores)
        assert "A+B is the only one" in caplog.text
        compare_scores.main(
            **{name: [path] for name, path in files.items()},
            scores=[scores],
            evaluators=["scperteval"],
            methods=["toy"],
            folds=["1"],
            agreement=str(tmp_path / "agreement.tsv"),
        )
        assert read_tsv(tmp_path / "agreement.tsv").empty

    def test_profiles_are_refused(self, fold, tmp_path):
        with prediction_writer(tmp_path / "p.h5ad", GENES, keep="profiles") as writer:
            for name in HELD_OUT:
                writer.add_generated(name, np.ones((3, 12), int))
        with pytest.raises(InputError, match=r"prediction\.keep"):
            export_cells.main(
                train=fold.train,
                test=fold.test,
                test_perturbations=fold.test_perturbations,
                prediction=str(tmp_path / "p.h5ad"),
                observed_cells=str(tmp_path / "o.h5ad"),
                predicted_cells=str(tmp_path / "q.h5ad"),
                values=None,
            )
