"""A job ends with the Snakemake that started it, and replaces no file that another job has claimed.

Killed outright, Snakemake leaves its jobs running. Such an orphan would go on for hours, and what
it writes at its end, made with settings of the past, would replace what a second run has made
since. Two independent measures prevent that: :func:`end_with` ends an orphan within seconds, and
:func:`claim` makes one that was asleep meanwhile, stopped or on a machine that hung, fail instead
of writing.
"""

import logging
import os
import signal
import threading
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from lcd_core import atomic

logger = logging.getLogger(__name__)

POLL = 1.0
"""Seconds between two looks at the processes that a job must not outlive."""

GRACE = 30.0
"""Seconds for an orphan to save a checkpoint and to tidy up before it is ended by force."""


class ClaimLost(Exception):
    """A file is now another job's to write."""


def _token(path: Path) -> Path:
    return path.with_name(f".{path.name}.owner")


def _key(path: str | Path) -> Path:
    return Path(os.path.abspath(path))


@contextmanager
def claim(paths: Iterable[str]) -> Iterator[None]:
    """Make this process the only one whose atomic writing may replace ``paths``.

    A claim is a hidden file beside the one it is about. A later job writes its own over it, and
    removes it at its end: to find another claim, or none, means not to be the owner any more.

    Raises
    ------
    ClaimLost
        From :func:`lcd_core.atomic.atomic`, instead of replacing a file.
    """
    own = uuid.uuid4().hex
    claimed = {_key(path) for path in paths}

    def holds(path: Path) -> bool:
        try:
            return _token(path).read_text() == own
        except OSError:
            return False

    def guard(path: Path) -> None:
        path = _key(path)
        if path in claimed and not holds(path):
            raise ClaimLost(f"{path}: not written, another job makes this file, or has made it")

    guards = atomic.guards
    try:
        for path in claimed:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                _token(path).write_text(own)
            except OSError as error:
                error.filename = str(path)  # what the user knows
                raise
        guards.append(guard)
        yield
    finally:
        if guard in guards:
            guards.remove(guard)
        for path in claimed:
            if holds(path):
                _token(path).unlink(missing_ok=True)


def is_snakemake(command: list[str]) -> bool:
    """Whether a command line is one of Snakemake's: the program itself, or a Python running it."""
    if not command:
        return False
    if Path(command[0]).name == "snakemake":
        return True
    if not Path(command[0]).name.startswith("python"):
        return False
    arguments = iter(command[1:])
    for argument in arguments:
        if argument == "-m":
            return next(arguments, "") == "snakemake"
        if argument in ("-W", "-X"):
            next(arguments, "")
            continue
        if not argument.startswith("-"):
            return Path(argument).name == "snakemake"
    return False


def ancestors_up_to_snakemake() -> list[psutil.Process]:
    """Processes from this one's parent up to the outermost Snakemake; empty if none is above."""
    chain, found = [], 0
    for parent in psutil.Process().parents():
        chain.append(parent)
        try:
            if is_snakemake(parent.cmdline()):
                found = len(chain)
        except psutil.Error:
            continue
    return chain[:found]


def is_alive(process: psutil.Process) -> bool:
    """Whether a process still runs; one that has ended and was not waited for does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _end(exit_code: int, orphans: list[psutil.Process]) -> None:
    logger.error("Snakemake, which started this job, is gone; the job ends")
    for process in orphans:
        # A Snakemake between the two takes the job's end for a failure and removes its files,
        # which may be those of a second run by then.
        with suppress(psutil.Error):
            process.kill()
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(GRACE)
    os._exit(exit_code)


def end_with(chain: list[psutil.Process], exit_code: int) -> threading.Event:
    """Have this process end itself once one of the processes of ``chain`` is gone.

    It sends itself SIGTERM, on which a fit saves a checkpoint, and ends by force after
    :data:`GRACE` seconds. A job that was started by hand has no chain and is left alone.

    Returns
    -------
    threading.Event
        Ends the watch when set.
    """
    done = threading.Event()

    def watch() -> None:
        while not done.wait(POLL):
            if not all(is_alive(process) for process in chain):
                _end(exit_code, [process for process in chain if is_alive(process)])

    if chain:
        threading.Thread(target=watch, name="watch for Snakemake", daemon=True).start()
    return done
