"""Write the settings of a variant that one program reads."""

from typing import Any

from pipeline.settings import write_settings


def main(*, settings: str, values: dict[str, Any]) -> None:
    """Write the settings as JSON.

    Parameters
    ----------
    settings
        File to write.
    values
        Section -> key -> value.
    """
    write_settings(values, settings)


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
