"""Tables and lists that a user supplies: as text of every kind, and as bytes that are none."""

import json

import pandas as pd
from hypothesis import example, given
from hypothesis import strategies as st

from benchmark.aggregate_interactions import read_annotations
from evaluation.interaction_types import TYPES
from pipeline.gene_sets import read_gene_sets, read_gmt
from pipeline.predictions import read_test_perturbations
from pipeline.targets import genes_by_symbol, genes_of_targets, read_target_table
from tests.fuzz.harness import cases, folders, outcome, texts

names = st.sampled_from(["A", "B", "C", "G1", "G2", "target", "gene"]) | texts
HUGE = st.sampled_from(["x" * 200_000, '"' * 5, "\t" * 50, "#", '"A\tB', "'"])
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "latin-1", "cp1252")
GZIP = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03abc"


@st.composite
def tables(draw, columns):
    """A table as bytes: its columns, some missing, twice or more; rows of any length."""
    header = draw(
        st.just(list(columns))
        | st.permutations([*columns, "more"])
        | st.lists(st.sampled_from(columns) | names, max_size=4)
    )
    cells = names | HUGE if draw(st.integers(0, 9)) == 0 else names
    width = st.lists(cells, min_size=len(header), max_size=len(header))
    rows = draw(st.lists(width if draw(st.booleans()) else st.lists(cells, max_size=5), max_size=6))
    separator = draw(st.sampled_from(["\t", "\t", "\t", ",", ";", " "]))
    end = draw(st.sampled_from(["\n", "\n", "\r\n", "\r", "\n\n"]))
    text = end.join(separator.join(row) for row in [header, *rows]) + draw(
        st.sampled_from(["", end])
    )
    content = text.encode(draw(st.sampled_from(ENCODINGS)), errors="replace")
    return content + draw(st.sampled_from([b"", b"", b"\0", b"\xff\xfe", b'"']))


def contents(columns):
    """Of a file that should be such a table."""
    return (
        tables(columns) | st.binary(max_size=60) | st.sampled_from([b"", b"\n", GZIP, b"\x89HDF"])
    )


@cases(100)
@given(contents(["target", "gene"]), st.lists(names, max_size=4))
@example(b"target\tgene\nA\tG1\nA\tG2\n", ["A", "B"])
@example(b"target\ttarget\tgene\nA\tB\tC\n", ["A"])
@example(b'target\tgene\nA\t"G1\n', ["A"])
def test_genes_of_targets(content, targets):
    with folders() as (folder, _):
        path = folder / "targets.tsv"
        path.write_bytes(content)
        found = {}
        if outcome(lambda: found.update(read_target_table(str(path)))) is not None:
            return
        for target, genes in found.items():
            assert target == target.strip() != ""
            assert genes
            assert len(set(genes)) == len(genes)
            assert all(gene == gene.strip() != "" for gene in genes)
        mapped = genes_of_targets(targets, {"G1", "A"}, {"C": ("G1",)}, found)
        for target in targets:
            own = mapped.get(target, (target,))
            assert len(own) >= len({*found.get(target, ())} & {"G1", "A"})


@cases(60)
@given(st.lists(st.none() | names, min_size=1) | st.lists(st.floats(), min_size=1))
def test_symbols(symbols):
    genes = [f"E{i}" for i in range(len(symbols))]
    found = genes_by_symbol(pd.Series(symbols, dtype=object), genes)
    named = [s for s in symbols if not pd.isna(s)]
    assert found.keys() == {str(s) for s in named}
    assert sorted(gene for own in found.values() for gene in own) == sorted(
        gene for gene, s in zip(genes, symbols, strict=True) if not pd.isna(s)
    )


@cases(80)
@given(contents(["perturbation", "type"]), st.sampled_from(["pairs.tsv", "pairs.json", "pairs"]))
@example(b"perturbation\ttype\nA+B\tsynergistic\n", "pairs.tsv")
@example(b"perturbation\ttype\tperturbation\nA+B\tsynergy\tC\n", "pairs.tsv")
@example(b"[" * 100_000, "pairs.json")
@example(b'{"synergy": ["A+B"], "synergy ": []}', "pairs.json")
def test_pairs_of_known_type(content, name):
    with folders() as (folder, _):
        (folder / name).write_bytes(content)
        check_annotations(folder / name)


@cases(60)
@given(
    st.recursive(
        st.none() | st.integers() | names,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(TYPES) | names, inner, max_size=3)
        ),
        max_leaves=8,
    )
)
def test_pairs_of_known_type_in_json(given_pairs):
    with folders() as (folder, _):
        (folder / "pairs.json").write_text(json.dumps(given_pairs))
        check_annotations(folder / "pairs.json")


def check_annotations(path):
    found = {}
    if outcome(lambda: found.update(read_annotations(str(path)))) is not None:
        return
    assert found
    assert set(found) <= set(TYPES)
    assert all(pair == "+".join(sorted(pair.split("+"))) for own in found.values() for pair in own)


@st.composite
def gmt(draw):
    fields = st.lists(names, min_size=0, max_size=6).map("\t".join)
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    text = end.join(draw(st.lists(fields, max_size=5)))
    return text.encode(draw(st.sampled_from(ENCODINGS)), errors="replace")


@cases(80)
@given(gmt() | contents(["name"]), st.lists(names, min_size=1, max_size=4, unique=True))
@example(b"SET\tabout\tG1\tG2\n", ["G1"])
def test_gene_sets(content, universe):
    with folders() as (folder, _):
        path = folder / "sets.gmt"
        path.write_bytes(content)
        found = {}
        if outcome(lambda: found.update(read_gmt(path))) is not None:
            return
        assert all(name and genes and "" not in genes for name, genes in found.items())
        text = content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
        assert len(found) == len([line for line in text.split("\n") if line.strip()])
        outcome(lambda: read_gene_sets([path], universe))
        error = outcome(lambda: read_gene_sets([path, path], universe))
        assert error is not None, "two files of one name"


@cases(60)
@given(st.lists(names, max_size=6).map("\n".join).map(str.encode) | st.binary(max_size=40))
def test_lists_of_perturbations(content):
    with folders() as (folder, _):
        path = folder / "test_perturbations.txt"
        path.write_bytes(content)
        found = []
        if outcome(lambda: found.extend(read_test_perturbations(path))) is None:
            assert found
            assert len(set(found)) == len(found)


def test_what_is_no_file():
    with folders() as (folder, _):
        (folder / "loop").symlink_to(folder / "loop")
        for path in (folder, folder / "nowhere", folder / "loop", folder / "targets.tsv" / "x"):
            for read in (read_target_table, read_annotations, read_gmt, read_test_perturbations):
                error = outcome(lambda read=read, path=path: read(str(path)))
                assert error is not None
                assert str(path) in str(error)
