"""Names from the data as names of files."""

from hashlib import blake2b

SAFE = "+-_.,@() "
LONGEST = 200
"""Bytes of a name of a file, which with ending and mark of its owner may have 255."""


def file_name(name: str) -> str:
    """Name of a file, without its ending, that stands for a name from the data.

    Letters and digits of any language, blanks and ``+-_.,@()`` stay as they are. All else is
    written as in addresses (``A/B`` is ``A%2FB``), and so are a first dot, hyphen or blank and a
    last blank, so that a name is no path, no option and no hidden file. What would be too long is
    cut, and ends with a hash of the whole. Different names have different files.
    """
    letters = []
    for place, letter in enumerate(name):
        plain = letter.isalnum() or letter in SAFE
        if place == 0:
            plain = plain and letter not in ".- "
        if place == len(name) - 1:
            plain = plain and letter != " "
        letters.append(letter if plain else "".join(f"%{b:02X}" for b in letter.encode()))
    whole = "".join(letters)
    if len(whole.encode()) <= LONGEST:
        return whole or "%"
    digest = blake2b(name.encode(), digest_size=8).hexdigest()
    cut = whole.encode()[: LONGEST - len(digest) - 1].decode(errors="ignore")
    return f"{cut}~{digest}"
