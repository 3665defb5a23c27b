"""Section `cluster`."""

from pipeline.config.schema import PIPELINE, Section, key


class Cluster(Section):
    """Runs on SLURM. What its partitions are like is said in `slurm/config.yaml`."""

    check: bool = key(
        True,
        "Ask SLURM before the first job whether every job can start, and report jobs that wait in "
        "vain; false where its answers mislead. Changing this reruns nothing.",
        source=PIPELINE,
    )
