"""Which products of matrices may be rounded, and where: the networks', never the likelihood's.

A GPU multiplies in TF32 several times faster than in float32: factors have 10 bits after the
leading one instead of 23, sums and results stay float32. The likelihood multiplies counts in the
thousands by logarithms and takes exponentials of what comes out, which does not survive that.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

PRECISIONS = {"float32": "highest", "tf32": "high"}
"""Names of settings, and what torch calls them."""


@contextmanager
def products(precision: str) -> Iterator[None]:
    """Multiply float32 matrices with this precision, ``"float32"`` or ``"tf32"``, inside.

    What is set around it does not count, and is set again afterwards. Processors that have no
    TF32 multiply in float32 in either case.
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(PRECISIONS[precision])
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
