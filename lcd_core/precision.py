"""Which products of matrices a GPU may round, and where: the networks', never the likelihood's.

A GPU multiplies in TF32 several times faster than in float32: factors have 10 bits after the
leading one instead of 23, sums and results stay float32. The likelihood multiplies counts in the
thousands by logarithms and takes exponentials of what comes out, which does not survive that.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

FLOAT32, TF32 = "float32", "tf32"
"""Names of settings."""


def allowed_precision() -> str:
    """What a GPU may multiply float32 matrices with now, by its name."""
    now = getattr(torch.backends.cuda.matmul, _name())
    return TF32 if now in (True, "tf32") else FLOAT32


@contextmanager
def matmul_precision(precision: str) -> Iterator[None]:
    """Let a GPU multiply float32 matrices with this precision inside, ``"float32"`` or ``"tf32"``.

    What is set around it does not count, and is set again afterwards. It holds for all threads of
    the process, like everything that torch has for this; nothing changes on a CPU.
    """
    matmul, name = torch.backends.cuda.matmul, _name()
    values = {FLOAT32: "ieee", TF32: "tf32"} if name == "fp32_precision" else {TF32: True}
    before = getattr(matmul, name)
    setattr(matmul, name, values.get(precision, False))
    try:
        yield
    finally:
        setattr(matmul, name, before)


def _name() -> str:
    """Of the attribute of torch, which from 2.9 on warns of the older one."""
    new = "fp32_precision"
    return new if hasattr(torch.backends.cuda.matmul, new) else "allow_tf32"
