"""Writing files so that nothing partial ever stands under a final name."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

guards: list[Callable[[Path], None]] = []
"""Called with the final path before :func:`atomic` renames a file to it; one that raises keeps
the file that is there."""


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
        for guard in guards:
            guard(path)
        os.replace(temporary, path)
    except OSError as error:
        if error.filename is None or error.filename == name:
            error.filename = str(path)  # what the user knows; write(2) names no file
        raise
    finally:
        temporary.unlink(missing_ok=True)
