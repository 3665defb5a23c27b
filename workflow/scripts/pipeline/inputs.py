"""Files that the configuration names: found, and readable, before anything is computed."""

import re
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from lcd_core.errors import InputError
from pipeline.config.source import Source

LONGEST = 255
"""Bytes of a name that file systems hold."""
HDF5 = b"\x89HDF\r\n\x1a\n"
"""First bytes of the file, as those of HDF5 without a user block are."""
CORRECT = "correct the path, relative to the working directory"
OR_NULL = f"{CORRECT}, or set it to null"


class Inputs:
    """Checks of the files of one configuration.

    Parameters
    ----------
    source
        Where the configuration comes from, for messages.
    made
        Patterns of the files that the run makes itself, of those that a key may name.
    contents
        Whether files are read, too; jobs on a cluster do not repeat that.
    """

    def __init__(self, source: Source, *, made: Sequence[str], contents: bool) -> None:
        self.source, self.made, self.contents = source, made, contents

    def where(self, key: str) -> str:
        """A key with what it was read from."""
        return f"{self.source.of(key)}, {key}"

    def path(self, key: str, path: str) -> None:
        """Check a path as such: Snakemake fills in what stands in ``{}`` or ``<>``.

        Raises
        ------
        InputError
            If it has such characters.
        """
        if re.search(r"[{}]|<[^/]*>", path):
            raise InputError(
                "paths with {, }, < or > cannot be used",
                where=self.where(key),
                found=path,
                remedy="rename the file or folder, or name it by a link",
            )
        long = [part for part in Path(path).parts if len(part.encode()) > LONGEST]
        if long:
            raise InputError(
                f"names of files and folders have at most {LONGEST} bytes",
                where=self.where(key),
                found=(f"{part[:40]}..., {len(part.encode())} bytes" for part in long),
                remedy="correct the path, or give the file a shorter name",
            )

    def file(
        self,
        key: str,
        path: str,
        what: str,
        read: Callable[[str], object] | None = None,
        remedy: str = CORRECT,
    ) -> None:
        """Check that a file is there, unless the run makes it, and that it can be read.

        Parameters
        ----------
        key
            The key that names it.
        path
            The file.
        what
            What is wrong where it is missing.
        read
            Reads it, and raises InputError where that is impossible.
        remedy
            What to do where it is missing.

        Raises
        ------
        InputError
            If it is missing or unreadable, or Snakemake could not use its path.
        """
        self.path(key, path)
        if Path(path).is_file():
            if read is not None and self.contents:
                self._readable(key, path, read)
        elif not any(re.fullmatch(own, path) for own in self.made):
            raise InputError(what, where=self.where(key), found=path, remedy=remedy)

    def screen(self, key: str, path: str) -> None:
        """Check that the user's file is there; folders are told apart when they are read.

        Raises
        ------
        InputError
            If it is not.
        """
        if Path(path).exists():
            return
        inside = Path(path).absolute().parent
        raise InputError(
            "there is no such file",
            where=self.where(key),
            found=path if inside.exists() else f"{path}, and no folder {inside}",
            remedy=f"correct the path; a relative one starts at {Path.cwd()}",
        )

    def prediction(self, key: str, path: str, data: str, folds: Sequence[str]) -> None:
        """Check that a prediction made elsewhere is there and an HDF5 file, as h5ad files are.

        Parameters
        ----------
        key
            The key that names it.
        path
            The file.
        data
            Folder of the fold's training cells.
        folds
            What its placeholder stands for.

        Raises
        ------
        InputError
            If it is not.
        """
        file = Path(path)
        if file.is_file():
            try:
                with file.open("rb") as content:
                    if content.read(len(HDF5)) == HDF5:
                        return
            except OSError as error:
                raise self._unreadable(key, path, error) from None
        raise InputError(
            "this prediction is no h5ad file" if file.exists() else "there is no such prediction",
            where=self.where(key),
            found=path,
            remedy=f"make it from train.h5ad and test_perturbations.txt in {data}, which Snakemake "
            f"makes if they are its targets; {{fold}} stands for the folds {', '.join(folds)}",
        )

    def interpreter(self, key: str, name: str) -> None:
        """Check that there is an interpreter; raises InputError."""
        if shutil.which(name) is None:
            raise InputError(
                "there is no such interpreter",
                where=self.where(key),
                found=name or "an empty name",
                remedy="name one that can be called, such as python3.11, or its path; null is the "
                "one that runs the workflow",
            )

    def _readable(self, key: str, path: str, read: Callable[[str], object]) -> None:
        try:
            read(path)
        except InputError as error:
            raise InputError(
                error.what,
                where=f"{error.where} ({self.where(key)})",
                found=error.found,
                remedy=error.remedy,
            ) from None
        except OSError as error:
            raise self._unreadable(key, path, error) from None

    def _unreadable(self, key: str, path: str, error: OSError) -> InputError:
        found = f"{path}: {error.strerror}"
        return InputError("the file cannot be read", where=self.where(key), found=found)

    def table_of_targets(self, key: str, path: str) -> None:
        """Check the user's table of targets and genes; raises InputError."""
        from pipeline.targets import read_target_table  # takes seconds to import

        self.file(
            key,
            path,
            "there is no such table of targets",
            read_target_table,
            OR_NULL,
        )

    def annotations(self, key: str, path: str) -> None:
        """Check the user's pairs of known type; raises InputError."""
        from pipeline.annotations import read_annotations  # takes seconds to import

        self.file(
            key,
            path,
            "there are no such annotations",
            read_annotations,
            OR_NULL,
        )

    def combinations(self, key: str, path: str) -> None:
        """Check the user's file of combinations to predict; raises InputError."""
        from pipeline.panel import read_combinations  # takes seconds to import

        self.file(key, path, "there is no such file of combinations", read_combinations, OR_NULL)

    def signature(self, key: str, path: str) -> None:
        """Check the user's wanted change; raises InputError."""
        from pipeline.panel import read_signature  # takes seconds to import

        self.file(key, path, "there is no such signature", read_signature, OR_NULL)

    def gene_sets(self, key: str, paths: Iterable[str]) -> None:
        """Check GMT files, each by :func:`pipeline.gene_sets.read_gmt`.

        Raises
        ------
        InputError
            If one is missing or no GMT file, or two have one name.
        """
        from pipeline.gene_sets import collection_of, read_gmt  # pandas takes a second to import

        paths = list(paths)
        for path in paths:
            self.file(
                key,
                path,
                "there is no such file of gene sets",
                read_gmt,
                "correct the path, relative to the working directory, or name gene sets of MSigDB, "
                "such as downloads/msigdb/2024.1.Hs/c5.go.bp.gmt, which are then fetched",
            )
        self._distinct(key, paths, [collection_of(path) for path in paths])

    def _distinct(self, key: str, paths: Sequence[str], names: Sequence[str]) -> None:
        alike = [
            path for path, name in zip(paths, names, strict=True) if list(names).count(name) > 1
        ]
        if alike:
            raise InputError(
                "files of gene sets have the same name, by which tables tell them apart",
                where=self.where(key),
                found=alike,
                remedy="rename one of them",
            )
