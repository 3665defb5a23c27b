"""Gene sets: reading, refusal of foreign identifiers, and Fisher's exact test."""

import gseapy
import numpy as np
import pytest
from scipy.stats import binom, fisher_exact
from statsmodels.stats.multitest import multipletests

from lcd_core.errors import InputError
from pipeline.gene_sets import (
    check_overlap,
    enrich,
    read_gene_sets,
    read_gmt,
    strongest_terms,
)

UNIVERSE = [f"GENE{i}" for i in range(120)]


@pytest.fixture
def msigdb(shared_data):
    """Folder of real gene sets."""
    folder = shared_data / "msigdb"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    return folder


def write(path, text, **kwargs):
    path.write_bytes(text.encode(**kwargs))
    return path


def random_sets(n_terms, seed, universe=UNIVERSE):
    """Sets of 2 to 25 genes, a few of them outside the universe."""
    rng = np.random.default_rng(seed)
    names = np.array([*universe, *(f"OTHER{i}" for i in range(10))])
    return {
        ("c", f"TERM_{t}"): frozenset(
            rng.choice(names, rng.integers(2, 26), replace=False).tolist()
        )
        for t in range(n_terms)
    }


def test_gmt_is_read_whatever_its_line_ends(tmp_path):
    text = "A\turl\tG1\tG2\tG2\t\nB\t\tG3\t G1\n\n"
    expected = {"A": {"G1", "G2"}, "B": {"G1", "G3"}}
    assert read_gmt(write(tmp_path / "unix.gmt", text)) == expected
    assert read_gmt(write(tmp_path / "windows.gmt", text.replace("\n", "\r\n"))) == expected
    assert read_gmt(write(tmp_path / "old_mac.gmt", text.replace("\n", "\r"))) == expected
    assert read_gmt(write(tmp_path / "bom.gmt", text, encoding="utf-8-sig")) == expected
    odd = text.replace("url", "a description\x0bof two lines\u2028or three")
    assert read_gmt(write(tmp_path / "odd.gmt", odd)) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A\turl\tG1\nB\turl\n", "line 2"),
        ("A url G1 G2\n", "separated by tabs"),
        ("A\turl\tG1\nA\turl\tG2\n", "line 2.*named twice"),
        ("\n", "no gene sets"),
    ],
)
def test_broken_gmt_is_refused(tmp_path, text, message):
    with pytest.raises(InputError, match=f"(?s)x.gmt.*{message}"):
        read_gmt(write(tmp_path / "x.gmt", text))


def test_binary_file_is_refused(tmp_path):
    (tmp_path / "x.gmt").write_bytes(b"\x1f\x8b\xff\xfe\x00")
    with pytest.raises(InputError, match="not a text file"):
        read_gmt(tmp_path / "x.gmt")


def test_missing_file_and_folder_are_refused(tmp_path):
    for path in (tmp_path / "missing.gmt", tmp_path):
        with pytest.raises(InputError, match=f"(?s){path}.*no such file.*check the path"):
            read_gmt(path)


@pytest.mark.parametrize(
    ("genes", "message"),
    [
        ({"1017", "7157"}, r"Entrez.*modelled genes GENE0.*gene sets 1017.*symbols"),
        ({"gene1", "gene2"}, r"case is ignored.*modelled genes GENE1, GENE2.*gene1, gene2"),
        ({"gene1", "gene2", "GENE3"}, r"2 genes agree .*case is ignored"),
        ({"FOO", "BAR"}, r"no modelled gene.*modelled genes GENE0.*gene sets BAR, FOO"),
    ],
)
def test_foreign_identifiers_are_refused_with_examples_of_both_sides(genes, message):
    with pytest.raises(InputError, match=f"(?s)x.gmt.*{message}"):
        check_overlap({"T": frozenset(genes)}, UNIVERSE, "x.gmt")


def test_overlap_counts_genes_as_written():
    sets = {"S": frozenset({"GENE1", "GENE2"}), "T": frozenset({"GENE2", "GENE3", "gene9", "X"})}
    assert check_overlap(sets, UNIVERSE, "x.gmt") == 3


def test_files_are_collections(tmp_path):
    first = write(tmp_path / "go.gmt", "A\tu\tGENE1\n")
    second = write(tmp_path / "cp.v1.gmt", "A\tu\tGENE2\n")
    assert read_gene_sets([first, second], UNIVERSE) == {
        ("go", "A"): {"GENE1"},
        ("cp.v1", "A"): {"GENE2"},
    }
    (tmp_path / "d").mkdir()
    with pytest.raises(InputError, match="same name"):
        read_gene_sets([first, write(tmp_path / "d/go.gmt", "B\tu\tGENE1\n")], UNIVERSE)
    with pytest.raises(InputError, match="no gene set files"):
        read_gene_sets([], UNIVERSE)


def test_every_table_is_fishers_test_and_all_tests_are_adjusted_together():
    modules = {1: UNIVERSE[:8], 2: UNIVERSE[8:40], 5: UNIVERSE[115:]}
    sets = random_sets(30, 0)
    sets["c", "OUTSIDE"] = frozenset({"OTHER1", "OTHER2"})
    sets["c", "MODULE_1"] = frozenset(modules[1])
    table = enrich(modules, sets, UNIVERSE)
    assert len(table) == 3 * 32  # every module and term, overlap or not
    assert (table["overlap"] == 0).any()
    for row in table.itertuples():
        module, term = set(modules[row.module]), sets[row.collection, row.term] & set(UNIVERSE)
        both = module & term
        counts = [
            [len(both), len(module - term)],
            [len(term - module), len(set(UNIVERSE) - module - term)],
        ]
        expected = fisher_exact(counts, alternative="greater")
        assert row.p_value == pytest.approx(expected.pvalue, rel=1e-9)
        assert row.odds_ratio == pytest.approx(expected.statistic, nan_ok=True)
        assert (row.module_size, row.term_size, row.overlap) == (
            len(module), len(term), len(both)
        )  # fmt: skip
        assert row.genes == ";".join(sorted(both))
    adjusted = multipletests(table["p_value"], method="fdr_bh")[1]
    np.testing.assert_allclose(table["p_adjusted"], adjusted, rtol=1e-12)


def test_p_values_equal_gseapys(tmp_path):
    sets = random_sets(40, 1)
    lines = ("\t".join([name, "url", *sorted(genes)]) for (_, name), genes in sets.items())
    gmt = write(tmp_path / "c.gmt", "\n".join(lines) + "\n")
    module = UNIVERSE[20:45]
    reference = gseapy.enrichr(
        gene_list=module, gene_sets=str(gmt), background=UNIVERSE, outdir=None
    ).results.set_index("Term")["P-value"]
    table = enrich({1: module}, read_gene_sets([gmt], UNIVERSE), UNIVERSE).set_index("term")
    assert len(reference) == (table["overlap"] > 0).sum() > 20
    np.testing.assert_allclose(table.loc[reference.index, "p_value"], reference, rtol=1e-9)


def test_strongest_terms_are_significant_and_ranked_by_odds_ratio():
    # Term a: the whole module and three more (odds ratio infinite); b: the module but for one;
    # c: half of it and little else; d: one gene.
    module = UNIVERSE[:12]
    sets = {
        ("c", "d"): frozenset(UNIVERSE[:1]),
        ("c", "c"): frozenset(UNIVERSE[6:13]),
        ("c", "b"): frozenset(UNIVERSE[1:40]),
        ("c", "a"): frozenset(UNIVERSE[:15]),
    }
    table = enrich({3: module}, sets, UNIVERSE)
    top = strongest_terms(table, alpha=0.01, top=5)
    assert top["term"].tolist() == ["a", "c", "b"]
    assert top["odds_ratio"].is_monotonic_decreasing
    assert np.isinf(top["odds_ratio"][0])
    assert strongest_terms(table, alpha=0.01, top=2)["term"].tolist() == ["a", "c"]


def smallest_p_values(sets, universe, modules, seed):
    """Smallest adjusted P value of each of 200 permutations of the genes' labels."""
    rng = np.random.default_rng(seed)
    smallest = []
    for _ in range(200):
        new = dict(zip(universe, rng.permutation(universe).tolist(), strict=True))
        permuted = {number: [new[gene] for gene in own] for number, own in modules.items()}
        smallest.append(enrich(permuted, sets, universe)["p_adjusted"].min())
    return np.array(smallest)


def assert_no_more_than_chance(smallest):
    # Where nothing is enriched, BH at alpha calls anything with probability alpha at most.
    for alpha in (0.01, 0.05, 0.2):
        assert (smallest < alpha).sum() <= binom.isf(0.001, len(smallest), alpha)


def test_permuted_labels_give_no_terms_beyond_chance():
    sets = random_sets(150, 3)
    edges = np.cumsum([0, 6, 10, 15, 25])
    modules = {m: UNIVERSE[edges[m - 1] : edges[m]] for m in range(1, 5)}
    sets["c", "PLANTED"] = frozenset([*modules[2], *UNIVERSE[60:64]])
    as_they_are = enrich(modules, sets, UNIVERSE)
    assert strongest_terms(as_they_are, alpha=0.01, top=5)["term"].tolist() == ["PLANTED"]
    assert_no_more_than_chance(smallest_p_values(sets, UNIVERSE, modules, 2))


def test_permuted_labels_give_no_real_terms_beyond_chance(msigdb):
    """Ribosomal genes as a module among others; permuting the labels loses their terms."""
    paths = sorted(msigdb.glob("*.gmt"))
    everything = frozenset().union(*(genes for path in paths for genes in read_gmt(path).values()))
    ribosomal = sorted(gene for gene in everything if gene.startswith(("RPL", "RPS")))[:30]
    universe = [*ribosomal, *sorted(everything - set(ribosomal))[::60]]
    sets = read_gene_sets(paths, universe)
    members = [frozenset(universe).intersection(genes) for genes in sets.values()]
    # Terms of a few modelled genes only would make tests conservative, and this one blind.
    large = [
        term for term, own in zip(sets, members, strict=True) if 10 <= len(own) <= len(universe) / 2
    ]
    sets = {term: sets[term] for term in large}
    assert len(sets) > 100
    modules = {1: ribosomal, 2: universe[30:60], 3: universe[60:80], 4: universe[80:90]}
    top = strongest_terms(enrich(modules, sets, universe), alpha=0.01, top=5)
    assert (top["module"] == 1).sum() == 5
    assert_no_more_than_chance(smallest_p_values(sets, universe, modules, 4))


def test_real_gene_sets_name_a_ribosomal_module(msigdb):
    path = msigdb / "c5.go.cc.v2024.1.Hs.symbols.gmt"
    ribosomal = [f"RPL{i}" for i in (3, 4, 5, 6, 7, 8, 9, 11, 12, 13)]
    sets = read_gmt(path)
    others = sorted(frozenset().union(*sets.values()) - set(ribosomal))[::50]
    universe = [*ribosomal, *others]
    table = enrich({1: ribosomal, 2: others[:30]}, read_gene_sets([path], universe), universe)
    top = strongest_terms(table, alpha=0.01, top=5)
    assert len(top) == 5
    assert (top["module"] == 1).all()
    assert top["term"].str.contains("RIBOSOM").all()
