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
