"""Write the part of the settings that tuning chose which one program reads."""

from pipeline.settings import read_settings, write_settings


def main(*, winner: str, settings: str, sections: list[str] | None) -> None:
    """Write the settings as JSON.

    Parameters
    ----------
    winner
        All settings of the method that won.
    settings
        File to write.
    sections
        Sections that the program reads; None for all.
    """
    chosen = read_settings(winner)
    names = chosen if sections is None else sections
    write_settings({name: chosen[name] for name in names}, settings)


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
