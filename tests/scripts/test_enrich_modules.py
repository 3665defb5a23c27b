"""The script that names modules by gene sets."""

import pandas as pd
import pytest

from effects import enrich_modules
from lcd_core.errors import InputError
from pipeline.tables import read_tsv, write_tsv

GENES = [f"G{i}" for i in range(60)]


@pytest.fixture
def run(tmp_path):
    def run(modules, gmt, **settings):
        write_tsv(
            pd.DataFrame({"gene": GENES, "module": pd.array(modules, dtype="Int64")}),
            tmp_path / "membership.tsv",
        )
        (tmp_path / "sets.gmt").write_text(gmt)
        outputs = {name: str(tmp_path / f"{name}.tsv") for name in ("table", "top_table")}
        enrich_modules.main(
            membership=str(tmp_path / "membership.tsv"),
            gene_sets=[str(tmp_path / "sets.gmt")],
            **outputs,
            **({"alpha": 0.01, "top": 5} | settings),
        )
        return tuple(read_tsv(path) for path in outputs.values())

    return run


MODULES = [1] * 10 + [2] * 10 + [None] * 40
GMT = (
    "FIRST\tu\t" + "\t".join(GENES[:10]) + "\r\n"
    "MOSTLY_SECOND\tu\t" + "\t".join(GENES[11:23]) + "\r\n"
    "SPREAD\tu\t" + "\t".join(GENES[::7]) + "\r\n"
)


def test_planted_terms_are_found(run):
    table, top = run(MODULES, GMT)
    assert len(table) == 6
    assert list(zip(top["module"], top["term"], strict=True)) == [
        (1, "FIRST"),
        (2, "MOSTLY_SECOND"),
    ]
    assert (top["collection"] == "sets").all()
    assert top["genes"][0].split(";") == sorted(GENES[:10])
    assert table.columns.tolist() == top.columns.tolist()
    # The universe is the modelled genes, those without a module included: 60 choose 10.
    assert table["p_value"][0] == pytest.approx(1 / 75394027566, rel=1e-5)


def test_settings_limit_the_top_table(run):
    assert len(run(MODULES, GMT, top=0)[1]) == 0
    assert len(run(MODULES, GMT, alpha=1e-12)[1]) == 0


def test_no_modules_give_empty_tables_with_their_columns(run):
    table, top = run([None] * 60, GMT)
    assert len(table) == len(top) == 0
    assert "p_adjusted" in table.columns


def test_foreign_identifiers_are_refused(run):
    with pytest.raises(InputError, match=r"(?s)sets.gmt.*modelled genes G0.*gene sets 100, 200"):
        run(MODULES, "T\tu\t100\t200\n")
