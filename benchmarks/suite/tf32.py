"""TF32 on processors that have none: what a GPU would do to the factors of a product."""

from collections import Counter
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from lcd_core.precision import TF32, allowed_precision

FACTORS = {"mm": 0, "bmm": 0, "addmm": 1, "addmm_": 1, "baddbmm": 1, "baddbmm_": 1}
"""Operations that multiply float32 matrices, and where in their arguments the two factors are."""
LOST_BITS = 13
"""Of the 23 bits of a float32 after the leading one, those that TF32 has not."""


def truncated(x: Tensor) -> Tensor:
    """The values with 10 bits after the leading one, the rest cut off.

    Cards round or cut off, by the kernel; cutting off loses twice as much, and always to one side.
    """
    return (x.contiguous().view(torch.int32) >> LOST_BITS << LOST_BITS).view(torch.float32)


class EmulatedTf32(TorchDispatchMode):
    """Cuts off factors wherever the code lets products be of TF32, and counts all products.

    Attributes
    ----------
    seen
        Number of products of float32 by the precision that they were allowed: ``float32`` or
        ``tf32``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run one operation."""
        first = FACTORS.get(func.overloadpacket.__name__)
        if first is not None and args[first].dtype == torch.float32:
            precision = allowed_precision()
            self.seen[precision] += 1
            if precision == TF32:
                factors = tuple(truncated(own) for own in args[first : first + 2])
                args = args[:first] + factors + args[first + 2 :]
        return func(*args, **(kwargs or {}))

    def __enter__(self) -> Self:
        """Begin."""
        super().__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End."""
        super().__exit__(kind, error, trace)
