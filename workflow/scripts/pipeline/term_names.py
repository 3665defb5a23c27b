"""Names of gene sets as a reader wants to see them."""

import textwrap

# Prefixes of MSigDB's names are read as the source of a term.
SOURCES = {
    "GOBP_": "GO BP", "GOCC_": "GO CC", "GOMF_": "GO MF", "REACTOME_": "Reactome",
    "KEGG_MEDICUS_": "KEGG Medicus", "KEGG_": "KEGG", "WP_": "WikiPathways", "PID_": "PID",
    "BIOCARTA_": "BioCarta", "HALLMARK_": "Hallmark",
}  # fmt: skip
ACRONYMS = [
    "ATPase", "cAMP", "cGMP", "CREB", "GTPase", "lncRNA", "MAPK", "miRNA", "mRNA", "mTOR", "NADH",
    "NADPH", "ncRNA", "Ras", "Rho", "RNAs", "rRNA", "SARS", "snoRNA", "snRNA", "SREBP", "tRNA",
]  # fmt: skip
SHORT_WORDS = {
    "A", "AGE", "ALL", "AN", "AND", "ARM", "AS", "AT", "BY", "DUE", "END", "EYE", "FAT", "FOR",
    "GAP", "IN", "ITS", "KEY", "LOW", "NEW", "NON", "NOT", "OF", "OFF", "ON", "ONE", "OR", "OUT",
    "PER", "PRE", "SUB", "TAU", "THE", "TO", "TWO", "UP", "USE", "VIA",
}  # fmt: skip
NO_BREAK = "\u00a0"


def readable(
    term: str,
    collection: str,
    symbols: frozenset[str] = frozenset(),
    letters: int = 58,
    lines: int = 2,
) -> str:
    """Name of a term as a phrase with its source, wrapped and, if it must be, shortened.

    Names in MSigDB's capitals are put into lower case but for ``symbols`` of genes and what looks
    like one or like an acronym: words with digits, without vowels, or of up to three letters.
    """
    source, words = collection, term
    for prefix, own in SOURCES.items():
        if term.startswith(prefix) and len(term) > len(prefix):
            source, words = own, term.removeprefix(prefix)
            break
    parts = words.replace("_", " ").split()
    if words.isupper():
        parts = [word if word in symbols else cased(word) for word in parts]
        if parts[0].islower():
            parts[0] = parts[0].capitalize()
    source = source.replace(" ", NO_BREAK)
    phrase = " ".join(parts)
    wrapped = textwrap.wrap(f"{phrase} ({source})", letters)
    room = lines * letters - len(source) - 3
    while len(wrapped) > lines and room > 10:
        # one word longer than the room would leave nothing but the dots
        shorter = textwrap.shorten(phrase, room, placeholder=" …")
        shorter = shorter if len(shorter) > 2 else phrase[:room] + "…"
        wrapped = textwrap.wrap(f"{shorter} ({source})", letters)
        room -= 4
    return "\n".join(wrapped)


def cased(word: str) -> str:
    """Case of a word that is written in capitals."""
    symbol = any(map(str.isdigit, word)) or not set("AEIOUY") & set(word) or len(word) <= 3
    lower = word.lower() if word in SHORT_WORDS or not symbol else word
    return next((own for own in ACRONYMS if own.upper() == word), lower)
