"""Folders that files are written into; how files are written is :mod:`lcd_core.atomic`."""

import os
from pathlib import Path

from lcd_core.errors import InputError


def require_writable(folder: str | Path) -> None:
    """Check that files can be written into ``folder``, which need not exist yet.

    Raises
    ------
    InputError
        If it, or the nearest of its parents that exists, is no folder or takes no files.
    """
    nearest = Path(folder).absolute()
    while not nearest.exists():
        nearest = nearest.parent
    if not nearest.is_dir():
        raise InputError(
            "a folder is needed here, but a file of this name exists",
            where=str(nearest),
            remedy="move the file away or run in another folder",
        )
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise InputError(
            "no permission to write into this folder",
            where=str(nearest),
            remedy="change the permissions or run in a folder of your own",
        )


def require_plain(folder: str | Path) -> None:
    """Check that Snakemake and Python can work in a folder of this name, or with the code in it.

    Blanks, quotes and characters of any language do no harm; braces are Snakemake's, and a list of
    folders is divided by the character that Python and the shell divide it by.

    Raises
    ------
    InputError
        If its path has one of these characters, or one that ends a line.
    """
    path = str(Path(folder).absolute())
    bad = sorted({c for c in path if c in f"{{}}{os.pathsep}" or not c.isprintable()})
    if bad:
        raise InputError(
            "the pipeline cannot work in a folder with such characters in its path",
            where=repr(path),
            found=", ".join(map(repr, bad)),
            remedy="rename the folder, or move the pipeline into another",
        )
