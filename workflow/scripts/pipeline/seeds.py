"""One root seed, and a derived one for every job."""

from hashlib import blake2b


def derive_seed(root: int, **labels: object) -> int:
    """Return a 31-bit seed that depends on the root seed and the labels only, on every machine.

    Labels are told apart by their names, whatever their order: ``fold="1", seed=2`` and
    ``fold="2", seed=1`` are different seeds.
    """
    parts = [f"{name}={labels[name]}" for name in sorted(labels)]
    text = "\x1f".join([str(root), *parts])
    return int.from_bytes(blake2b(text.encode(), digest_size=4).digest(), "big") >> 1
