"""Where tensors live."""

import torch

from lcd_core.errors import InputError


def choose_device(name: str) -> torch.device:
    """``auto`` takes a GPU where there is one.

    Raises
    ------
    InputError
        If ``cuda`` is asked for and not there.
    """
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise InputError(
            "no CUDA device is visible",
            where="device",
            found="cuda",
            remedy="set device: auto or cpu, or run on a node with a GPU",
        )
    if name == "auto":
        return torch.device("cuda" if available else "cpu")
    return torch.device(name)
