"""Section `threads`."""

from pipeline.config.schema import PIPELINE, Section, key


class Threads(Section):
    """Threads per job. They are part of the settings because results depend on them bit by bit."""

    fit: int = key(
        1,
        "Threads of one fit (prior, drift) and of its sampling, whatever `--cores` says.",
        source=PIPELINE,
        unit="threads",
        ge=1,
    )
