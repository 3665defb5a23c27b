"""Make a virtual environment from pinned requirements, for tools that the main one cannot hold."""

import json
import logging
import shutil
import subprocess
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from lcd_core.atomic import atomic
from lcd_core.errors import InputError

LINES_SHOWN = 5


def main(*, requirements: str, ready: str, python: str, known_to_work: str) -> None:
    """Make the environment beside ``ready``, and write there which interpreter is its own.

    Parameters
    ----------
    requirements
        File of pinned requirements; they are complete, so that none of their own requirements is
        asked for. torch comes first and brings those of the build that pip finds.
    ready
        JSON file to write at the end; the environment is the folder ``environment`` beside it.
    python
        Interpreter from which it is made.
    known_to_work
        Version of Python with which the requirements are known to work, for the message.

    Raises
    ------
    InputError
        If the interpreter is missing or pip fails.
    """
    folder = Path(ready).absolute().parent / "environment"
    shutil.rmtree(folder, ignore_errors=True)
    name = Path(requirements).name
    remedy = (
        f"see the lines above; {name} is known to work with Python {known_to_work}: name such an "
        "interpreter in environments.python, then run the same command again; packages come from "
        "pip's package index, which this machine must reach"
    )
    logging.info("making the environment of %s, some minutes", name)
    run([python, "-m", "venv", "--clear", str(folder)], "environments.python", remedy)
    own = folder / "bin" / "python"
    pip = [str(own), "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar=off"]
    pins = [line for line in Path(requirements).read_text(encoding="utf-8").splitlines() if line]
    for pin in pins:
        if pin.startswith("torch=="):
            run([*pip, pin], requirements, remedy)
    run([*pip, "--no-deps", "--requirement", requirements], requirements, remedy)
    with atomic(ready) as temporary:
        temporary.write_text(json.dumps({"python": str(own)}) + "\n", encoding="utf-8")


def run(command: Sequence[str], where: str, remedy: str) -> None:
    """Run a command with its output in the log; its last lines are told if it fails."""
    last: deque[str] = deque(maxlen=LINES_SHOWN)
    try:
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                logging.info("%s", line.rstrip())
                last.append(line.strip())
    except OSError as error:
        raise InputError(
            "this interpreter cannot be run", where=where, found=str(error), remedy=remedy
        ) from error
    if process.returncode:
        raise InputError(
            "the environment could not be made", where=where, found=" / ".join(last), remedy=remedy
        )


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
