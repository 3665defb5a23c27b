"""Section `checkpoints`."""

from lcd_core.settings import CHECKPOINT_INTERVAL
from pipeline.config.schema import PIPELINE, Section, key


class Checkpoints(Section):
    """Progress of fits on disk: an interrupted one goes on from there, to the same bits."""

    interval: float = key(
        CHECKPOINT_INTERVAL,
        "Time between two checkpoints of a fit. They lie beside it in a hidden file until it is "
        "done. Changing this reruns nothing.",
        source=PIPELINE,
        unit="seconds",
        gt=0,
    )
