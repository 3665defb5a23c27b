"""Running other people's tools, each with an interpreter of its own."""

import json
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lcd_core.atomic import atomic
from lcd_core.errors import InputError

LINES_SHOWN = 5


def interpreter(environment: str | Sequence[str] | None) -> str:
    """Python of an environment made by the rule for it, or the one that runs this job.

    Under Snakemake's own deployment (``--sdm conda``) the job runs in the tool's environment
    already, and the rule has no such input.
    """
    if not environment:
        return sys.executable
    found = json.loads(Path(str(environment)).read_text(encoding="utf-8"))
    return str(found["python"])


def run_module(script: str, environment: str | Sequence[str] | None, **arguments: Any) -> None:
    """Run a script that ends with :func:`pipeline.as_tool.as_tool` in a tool's environment.

    Parameters
    ----------
    script
        Its path.
    environment
        See :func:`interpreter`.
    arguments
        What its ``main`` gets; numbers, texts, and lists and mappings of these.

    Raises
    ------
    InputError
        If it fails.
    """
    with tempfile.TemporaryDirectory(prefix="tool_") as folder:
        given = Path(folder) / "arguments.json"
        given.write_text(json.dumps(arguments), encoding="utf-8")
        run_command(
            [interpreter(environment), "-P", script, str(given)],
            folder,
            name=Path(script).parent.name,
        )


def run_command(
    command: Sequence[str],
    folder: str,
    *,
    name: str,
    extra: Mapping[str, str] | None = None,
) -> list[str]:
    """Run a command in a folder of its own, its output in the log line by line; return the lines.

    It ends with this process: it is killed where this one ends in any orderly way, and scripts
    of :func:`run_module` notice when it disappears, since their standard input closes.

    Parameters
    ----------
    command, folder
        Program with its arguments, and where it runs.
    name
        What it is called in messages.
    extra
        Variables of the environment.

    Raises
    ------
    InputError
        If it fails.
    """
    environment = os.environ | {
        "PYTHONNOUSERSITE": "1",
        "PYTHONUNBUFFERED": "1",
        "MPLBACKEND": "Agg",
        "MPLCONFIGDIR": folder,
    }
    last: deque[str] = deque(maxlen=LINES_SHOWN)
    lines = []
    with subprocess.Popen(
        list(command),
        cwd=folder,
        env=environment | dict(extra or {}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:  # universal newlines: a progress bar is a line each time
                text = line.rstrip()
                if text and not re.match(r".*\d+%\|", text):
                    logging.info("%s", text)
                    last.append(text.strip())
                    lines.append(text)
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise InputError(
            "the tool failed; this is its message, more is in the log"
            if process.returncode > 0
            else f"the tool was ended by signal {-process.returncode}, of which 9 mostly means "
            "that memory ran out",
            where=name,
            found=" / ".join(last),
        )
    return lines


def copy_result(folder: Path, pattern: str, name: str, path: str) -> None:
    """Copy the one file that a tool has written under a name of this pattern.

    Raises
    ------
    InputError
        If there is none, or more than one.
    """
    written = sorted(folder.glob(pattern))
    if len(written) != 1:
        raise InputError(
            f"the tool ended without an error, and with {len(written)} results; its messages are "
            "in the log",
            where=name,
            found=(file.name for file in sorted(folder.glob("*")))
            if folder.exists()
            else "no files",
            remedy=f"it should write one file {pattern}",
        )
    with atomic(path) as temporary:
        shutil.copyfile(written[0], temporary)
