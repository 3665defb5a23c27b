"""Several jobs on a machine with several GPUs: each takes one that few others use."""

import fcntl
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

VISIBLE = "CUDA_VISIBLE_DEVICES"
JOBS_PER_GPU = 64  # more than anybody runs on one


def visible_gpus() -> list[str]:
    """Names of the GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` spells them.

    Needs no CUDA, which would fix the choice. Empty where there are none, or none is known of.
    """
    named = os.environ.get(VISIBLE)
    if named is not None:
        return [name.strip() for name in named.split(",") if name.strip()]
    try:
        done = subprocess.run(
            ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return done.stdout.split()


@contextmanager
def own_gpu(device: str, gpus: Sequence[str] | None = None) -> Iterator[str | None]:
    """Have one GPU to work on until the end, the one with the fewest jobs of this kind.

    Where a scheduler gives the job one GPU there is nothing to choose. Which one it is changes no
    result. Locks that end with the process, in the folder for temporary files of this machine,
    say who uses what.

    Parameters
    ----------
    device
        ``auto``, ``cuda`` or ``cpu``; the last one needs none.
    gpus
        Names of the GPUs; None: :func:`visible_gpus`.

    Yields
    ------
    gpu
        Its name, which alone is visible to CUDA from now on; None where there is no choice.
    """
    names = list(visible_gpus() if gpus is None else gpus) if device != "cpu" else []
    if len(names) < 2:
        yield None
        return
    folder = Path(tempfile.gettempdir()) / f"lcd-gpus-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    for number in range(JOBS_PER_GPU):
        for name in names:
            with open(folder / f"{name.replace('/', '_')}.{number}", "w") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                before = os.environ.get(VISIBLE)
                os.environ[VISIBLE] = name
                try:
                    yield name
                finally:
                    if before is None:
                        del os.environ[VISIBLE]
                    else:
                        os.environ[VISIBLE] = before
                return
    yield None
