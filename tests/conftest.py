"""What all tests share: one thread per process, and the real data that some of them read."""

import os
from pathlib import Path

import pytest
import torch
from hypothesis import settings

# How long a case takes on a busy machine is no property of the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_configure() -> None:
    """Tests run side by side, one process per core."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real screens; tests that need it are skipped where it is missing."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("LCD_SHARED_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there; LCD_SHARED_DATA names the folder of the real screens")
    return folder
