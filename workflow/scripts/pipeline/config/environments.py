"""Section `environments`."""

from pipeline.config.schema import PIPELINE, Section, key


class Environments(Section):
    """Virtual environments of other people's tools, made from `envs/*.txt` where they are needed.

    They lie under `environments/` in the working directory and are made once. With `--sdm conda`
    Snakemake makes its own, from `envs/*.yaml`.
    """

    python: str | None = key(
        None,
        "Interpreter from which they are made, such as `python3.11`; null: the one that runs the "
        "workflow.",
        source=PIPELINE,
    )
