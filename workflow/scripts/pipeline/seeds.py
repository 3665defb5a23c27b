"""One root seed, and a derived one for every job."""

from hashlib import blake2b


def derive_seed(root: int, *labels: object) -> int:
    """Return a 31-bit seed that depends on the root seed and the labels only, on every machine."""
    text = "\x1f".join([str(root), *map(str, labels)])
    return int.from_bytes(blake2b(text.encode(), digest_size=4).digest(), "big") >> 1
