"""Writing files so that nothing partial ever stands under a final name."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lcd_core.errors import InputError


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that is renamed to it on success.

    The temporary name keeps the suffix of ``path``, since some writers choose the format by it.
    If the body raises, the temporary file is removed and ``path`` is left as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{path.stem}."
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=prefix, suffix=path.suffix)
    except OSError as error:
        error.filename = str(path)
        raise
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp makes files private; results are for sharing
        os.replace(temporary, path)
    except OSError as error:
        if error.filename is None or error.filename == name:
            error.filename = str(path)  # what the user knows; write(2) names no file
        raise
    finally:
        temporary.unlink(missing_ok=True)


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
