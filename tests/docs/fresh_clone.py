"""A copy of the repository as a clone of it would be, with the environment of the tests."""

import shutil
import subprocess
import sys
from pathlib import Path

from tests.docs.markdown import ROOT, tracked


def fresh_clone(folder: Path) -> Path:
    """Copy what belongs to the repository, as it is in the working tree, and nothing else."""
    for name in tracked():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    return folder


def lend_environment(folder: Path) -> None:
    """Let `make env` find the environment of the tests in place of one that it would install.

    ``.venv`` says that the requirements are installed, and activating it puts the interpreter of
    the tests first.
    """
    requirements = b"".join(
        (folder / name).read_bytes() for name in ("requirements.txt", "requirements.lock")
    )
    summed = subprocess.run(["cksum"], input=requirements, capture_output=True, check=True)
    activate = folder / ".venv" / "bin" / "activate"
    activate.parent.mkdir(parents=True)
    activate.write_text(f'export PATH="{Path(sys.executable).parent}:$PATH"\n')
    (folder / ".venv" / f"installed-{summed.stdout.decode().split()[0]}").touch()
