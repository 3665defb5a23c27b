"""What the fuzz tests share: how many cases, and the one property.

The property: whatever the user supplies, a script either runs, or ends in an ``InputError`` that
says where and what to do; it leaves no partial output in either case. A test adds what must hold
where it runs.

``LCD_FUZZ=nightly`` draws thousands of cases, new ones each time, and prints the failing one;
without it there are some hundred, always the same ones, in about a minute:

    LCD_FUZZ=nightly python -m pytest tests/fuzz tests/unit/test_untrusted_files.py
"""

import inspect
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from lcd_core.errors import InputError
from pipeline.config.config import load_config

NIGHTLY = os.environ.get("LCD_FUZZ") == "nightly"


def cases(normal: int, nightly: int = 2000) -> settings:
    """So many cases of a test."""
    return settings(
        max_examples=nightly if NIGHTLY else normal,
        derandomize=not NIGHTLY,
        database=None,
        deadline=None,
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
        print_blob=True,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )


@contextmanager
def folders() -> Iterator[tuple[Path, Path]]:
    """Folders of inputs and of outputs, gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("in", "out"):
            Path(folder, name).mkdir()
        yield Path(folder, "in"), Path(folder, "out")


def outcome(call: Callable[[], Any], out: Path | None = None) -> InputError | None:
    """None where a call runs, else the message in which it ended; checks the property.

    Parameters
    ----------
    call
        What to run; anything else that it raises is a failure.
    out
        Folder of its outputs, empty before: of nothing that failed, of a temporary file neither.
    """
    error = None
    try:
        call()
    except InputError as caught:
        error = caught
    files = sorted(own.name for own in out.rglob("*") if own.is_file()) if out is not None else []
    assert not [name for name in files if name.startswith(".")], f"temporary files: {files}"
    if error is None:
        assert out is None or files, "it ended without an output"
        return None
    assert not files, f"outputs of what failed: {files}"
    assert error.what
    assert error.where or "mistakes in" in error.what, f"says not where: {error}"
    assert error.remedy or "mistakes in" in error.what, f"says not what to do: {error}"
    assert len(str(error)) < 20_000, "floods the log"
    return error


def run(main: Callable[..., None], section: str, **given: Any) -> None:
    """Call a script; what is not given comes from the defaults of the configuration."""
    defaults = getattr(load_config({}, "x"), section)
    for name, parameter in inspect.signature(main).parameters.items():
        if name not in given and hasattr(defaults, name):
            given[name] = getattr(defaults, name)
        elif name not in given and parameter.default is not None:
            raise TypeError(f"{main.__module__} needs {name}")
    main(**given)


INVISIBLE = ("\u200b", "\ufeff", "\u00a0", "\u2060", "\u00ad", "\u200e")
ODD_WORDS = (
    "", " ", "nan", "NA", "None", "null", "control", "Control", "ctrl", "NT", "A", "a", "B", "C",
    "A+B", "B+A", "A_B", "A;B", "A B", "A++B", "A+", "+A", "A+A", " A", "A ", "A\t", "A\nB", "A\r",
    "A/B", "/", ".", "..", "A\u200b", "\ufeffA", "\u00a0", "e\u0301", "\u00e9", "\uff21", "\u0410",
    "\U0001d4d0", "\u202eA", "5", "1.5", "1e5", "-1", "True", "inf", "a" * 400, "{A}", "%s", "\\",
    "'", '"', "<b>", "=1+1", "control+A", "A+control+B", "\x07", "\x1b[0m", "_index", "X",
)  # fmt: skip
"""Labels, names and fields that have been seen to break programs."""

texts = st.sampled_from(ODD_WORDS) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6
)
"""Texts that a file can hold, odd ones first; HDF5 has no NUL."""
