"""Download one collection of gene sets from MSigDB."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

from gseapy import Msigdb

from lcd_core.atomic import atomic
from lcd_core.errors import InputError
from pipeline.gene_sets import read_gmt

BY_HAND = "or download the GMT file by hand from the website of MSigDB and name it as gene set file"


def main(*, gene_sets: str, category: str, version: str) -> None:
    """Fetch gene sets with gene symbols and write them as a GMT file.

    Parameters
    ----------
    gene_sets
        GMT file to write; the description of each set is the version of MSigDB.
    category
        Name of the collection as MSigDB spells it, such as ``c5.go.bp``, ``c2.cp`` or ``h.all``.
    version
        Version and species, such as ``2024.1.Hs``.

    Raises
    ------
    InputError
        If there is no such collection, it cannot be fetched, or what came is no collection of
        gene sets; nothing is left under the name.
    """
    source = f"MSigDB {version}, {category}"
    sets = fetch(category, version, source)
    with atomic(gene_sets) as temporary:
        lines = ("\t".join([name, f"MSigDB {version}", *genes]) for name, genes in sets.items())
        temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="")
        try:
            read = read_gmt(temporary)
        except InputError as error:
            raise InputError(
                f"what came is no collection of gene sets: {error.what}",
                where=source,
                found=error.found or "nothing",
                remedy=f"run the same command again, {BY_HAND}",
            ) from error
    logging.info(
        "%s: %d gene sets with %d genes", source, len(read), len(frozenset().union(*read.values()))
    )


def fetch(category: str, version: str, source: str) -> dict[str, list[str]]:
    """Genes of each set of a collection; unknown names and failures become an InputError."""
    logging.info("downloading %s", source)
    try:
        sets: dict[str, list[str]] | None = Msigdb.get_gmt(category=category, dbver=version)
    except OSError as error:  # what requests raises is one
        raise InputError(
            "the download failed",
            where=source,
            found=str(error),
            remedy=f"check the connection and any proxy and run the same command again, {BY_HAND}",
        ) from error
    if sets is not None:
        return sets
    # The client says no more than that the server has not answered with a file.
    versions = listed(lambda: Msigdb.list_dbver().iloc[:, 0])
    if versions and version not in versions:
        raise unknown("version", source, version, versions)
    categories = listed(lambda: Msigdb.list_category(version))
    if categories and category not in categories:
        raise unknown("category", source, category, categories)
    raise InputError(
        "the server does not hand out this collection",
        where=source,
        found=f"version {version}, category {category}",
        remedy="write both as MSigDB does, such as 2024.1.Hs and c5.go.bp; if they are right, run "
        f"the same command again later, {BY_HAND}",
    )


def listed(names: Callable[[], Any]) -> list[str]:
    """Names that the client lists, sorted; none where it cannot.

    It reads the server's pages with an optional parser and without checks, so that anything can
    go wrong; the list only completes a message.
    """
    try:
        return sorted(str(name) for name in names())
    except Exception as error:
        logging.debug("MSigDB could not be listed: %s", error)
        return []


def unknown(kind: str, source: str, found: str, choices: Sequence[str]) -> InputError:
    """Error for a name that MSigDB does not have."""
    return InputError(
        f"MSigDB has no such {kind}",
        where=source,
        found=found,
        remedy=f"choose one of {', '.join(choices)}",
    )


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
