"""What a script does that runs in a tool's environment: NumPy is all that it may count on."""

import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path


def as_tool(main: Callable[..., None]) -> None:
    """Call ``main`` with the arguments of the file named on the command line.

    The process ends when its standard input closes, that is with the job that has started it.
    """

    def watch() -> None:
        os.read(0, 1)  # not sys.stdin, whose lock would be held when the interpreter ends
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    main(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
