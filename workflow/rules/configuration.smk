"""The files of the configuration, checked before Snakemake reads them."""

import sys
from pathlib import Path

ROOT = Path(workflow.basedir)
sys.path[:0] = [str(ROOT / base) for base in ("", "workflow/scripts", "workflow")]

from lcd_core.errors import InputError
from pipeline.config.read import check_file, default_file
from pipeline.files import require_plain
from snakemake.exceptions import WorkflowError

try:
    for folder in (ROOT, Path.cwd()):
        require_plain(folder)
    for path in workflow.configfiles or [default_file(ROOT)]:
        check_file(path)
except InputError as error:
    raise WorkflowError(str(error)) from None


# A configuration named on the command line stands alone: nothing of the default run leaks into it.
if not workflow.configfiles:

    configfile: default_file(ROOT)
