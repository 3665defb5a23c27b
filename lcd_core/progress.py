"""Whether somebody watches: progress is then a bar, else lines of a log."""

import sys


def is_watched() -> bool:
    """Whether standard error is a terminal, or the output of a Jupyter notebook."""
    return sys.stderr.isatty() or "ipykernel" in sys.modules
