"""A real SLURM of three virtual nodes on this one machine, for as long as a command runs.

    python tests/slurm/mini_cluster.py --install -- snakemake --profile slurm all

Two nodes of the partition ``cpu`` (the default) and one with a GPU that is none (``/dev/null``) of
the partition ``gpu``, each with one processor and 8 GB, all on the loopback device, without a
database of accounting. It needs Debian or Ubuntu and root: SLURM reads ``/etc/slurm/slurm.conf``,
which is written here and removed at the end. Where that file is somebody else's, nothing is done.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

ETC = Path("/etc/slurm")
MARK = "# Written by tests/slurm/mini_cluster.py, process "
PACKAGES = ("slurmctld", "slurmd", "slurm-client", "munge")
NODES = ("c1", "c2", "g1")
PATIENCE = 60.0  # seconds for daemons to come up, or to go
LAST_WORDS = 10.0  # seconds for the command and its jobs to end when they are told to
OF_COMMAND = "MINI_SLURM"  # variable in the environment of the command, and so of its jobs
MEMORY = 8000  # MB of each node
MINUTES = 120  # longest run time that the partitions allow

CONFIGURATION = """\
ClusterName=mini
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort=16817
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=10
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
ReturnToService=2
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd.%n.log
SlurmdParameters=config_overrides
SlurmctldTimeout=15
SlurmdTimeout=15
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=sched_interval=2,bf_interval=2
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/log/jobs.txt
MinJobAge=3600
KillWait=5
GresTypes=gpu
NodeName=c[1-2] NodeHostname={host} NodeAddr=127.0.0.1 Port=16818-16819 CPUs=1 RealMemory={memory}
NodeName=g[1-1] NodeHostname={host} NodeAddr=127.0.0.1 Port=16820-16820 CPUs=1 RealMemory={memory} \
Gres=gpu:1
PartitionName=cpu Nodes=c[1-2] Default=YES DefMemPerCPU=100 MaxTime={minutes}
PartitionName=gpu Nodes=g[1-1] DefMemPerCPU=100 MaxTime={minutes}
"""


class Refused(Exception):
    """This is no machine for it."""


class Cluster:
    """The running cluster.

    Attributes
    ----------
    folder
        Its state and logs.
    """

    def __init__(self, folder: Path, minutes: int = MINUTES, memory: int = MEMORY) -> None:
        self.folder, self.minutes, self.memory = folder, minutes, memory

    # ---------------------------------------------------------------------------------- daemons

    def write_configuration(self) -> None:
        """Write what all daemons and clients read."""
        host = subprocess.run(
            ["hostname", "-s"], capture_output=True, text=True, check=True
        ).stdout.strip()
        text = CONFIGURATION.format(
            host=host, folder=self.folder, memory=self.memory, minutes=self.minutes
        )
        ETC.mkdir(parents=True, exist_ok=True)
        (ETC / "slurm.conf").write_text(f"{MARK}{os.getpid()}\n{text}")
        # a GPU without a file leaves its node invalid
        gpu = "NodeName=g1 Name=gpu File=/dev/null"
        (ETC / "gres.conf").write_text(f"{MARK}{os.getpid()}\n{gpu}\n")

    def start(self) -> None:
        """Start munge, the controller and the nodes, and wait until all nodes are idle."""
        for name in ("munge", "state", "log", *(f"spool/{node}" for node in NODES)):
            (self.folder / name).mkdir(parents=True)
        for open_folder in (self.folder, self.folder / "munge"):
            open_folder.chmod(0o755)  # anybody must reach munge's socket; its key is private
        self.write_configuration()
        munge = self.folder / "munge"
        command("mungekey", "-c", "-k", munge / "key")
        command(
            "munged", f"--key-file={munge}/key", f"--socket={munge}/socket",
            f"--pid-file={munge}/pid", f"--log-file={munge}/log", f"--seed-file={munge}/seed",
        )  # fmt: skip
        self.start_controller()
        for node in NODES:
            self.start_node(node)
        self.wait_for({"idle": len(NODES)})

    def start_controller(self) -> None:
        """Start the controller; it takes up the jobs of one that has ended."""
        command("slurmctld")

    def start_node(self, node: str) -> None:
        """Start the daemon of a node."""
        command("slurmd", "-N", node)

    def stop_controller(self) -> None:
        """End the controller, not the nodes, as a crash would."""
        end(self.folder / "slurmctld.pid", signal.SIGKILL)

    def stop_node(self, node: str) -> None:
        """End a node with all that runs on it, as a loss of power would."""
        end(self.folder / f"slurmd.{node}.pid", signal.SIGKILL)
        running = processes_with("SLURMD_NODENAME", node)
        # What watches a step goes first, since it would report the end of the others.
        for pid in [*{parent_of(pid) for pid in running} - set(running), *running]:
            if pid > 1:
                with suppress(OSError):
                    os.kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        """Stop whatever was started, jobs first: their daemons would outlive the controller."""
        subprocess.run(["scancel", "--state=PENDING"], check=False, capture_output=True)
        subprocess.run(["scancel", "--state=RUNNING"], check=False, capture_output=True)
        end_all([pid for node in NODES for pid in processes_with("SLURMD_NODENAME", node)])
        subprocess.run(["scontrol", "shutdown"], check=False, capture_output=True, timeout=PATIENCE)
        for name in ("slurmctld", *(f"slurmd.{node}" for node in NODES)):
            end(self.folder / f"{name}.pid", signal.SIGTERM)
        end(self.folder / "munge" / "pid", signal.SIGTERM)
        for name in ("slurm.conf", "gres.conf"):
            (ETC / name).unlink(missing_ok=True)

    # -------------------------------------------------------------------------------- questions

    def states(self) -> dict[str, int]:
        """Number of nodes in each state."""
        done = subprocess.run(
            ["sinfo", "--noheader", "--Node", "--format=%T"], capture_output=True, text=True
        )
        found: dict[str, int] = {}
        for line in done.stdout.split():
            state = line.strip("*~#$@+")
            found[state] = found.get(state, 0) + 1
        return found

    def wait_for(self, wanted: dict[str, int]) -> None:
        """Wait until so many nodes are in these states."""
        deadline = time.monotonic() + PATIENCE
        while not wanted.items() <= self.states().items():
            if time.monotonic() > deadline:
                log = (self.folder / "log" / "slurmctld.log").read_text()[-2000:]
                raise Refused(f"the nodes are {self.states()}, not {wanted}\n{log}")
            time.sleep(0.2)

    def jobs(self) -> list[dict[str, str]]:
        """All jobs that the cluster knows of: identifier, name, comment, state, node, partition."""
        fields = {"id": "%A", "name": "%j", "comment": "%k", "state": "%T", "node": "%N",
                  "partition": "%P", "memory": "%m", "reason": "%r"}  # fmt: skip
        done = subprocess.run(
            ["squeue", "--noheader", "--states=all", f"--format={'|'.join(fields.values())}"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        rows = (line.split("|") for line in done.stdout.splitlines())
        return [dict(zip(fields, row, strict=True)) for row in rows]


def command(*words: object) -> None:
    """Run a command that must succeed."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    if done.returncode:
        raise Refused(f"{words[0]}: {done.stdout}{done.stderr}")


def end(pid_file: Path, how: signal.Signals) -> None:
    """End the process that wrote its number into a file, and wait until it is gone."""
    try:
        pid = int(pid_file.read_text())
    except (OSError, ValueError):
        return
    deadline = time.monotonic() + PATIENCE
    with suppress(ProcessLookupError):
        os.kill(pid, how)
        while time.monotonic() < deadline:
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
            os.kill(pid, 0)
            time.sleep(0.05)
    pid_file.unlink(missing_ok=True)


def processes_with(name: str, value: object) -> list[int]:
    """Other processes that have a variable in their environment, such as the jobs of a node."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            variables = (process / "environ").read_text(errors="replace").split("\0")
            if f"{name}={value}" in variables and int(process.name) != os.getpid():
                found.append(int(process.name))
    return found


def end_all(processes: Sequence[int]) -> None:
    """Tell processes to end, wait for it, and end by force what is still there."""
    deadline = time.monotonic() + LAST_WORDS
    left = list(processes)
    for how in (signal.SIGTERM, signal.SIGKILL):
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, how)
        while left and time.monotonic() < deadline:
            time.sleep(0.1)
            left = [pid for pid in left if Path("/proc", str(pid)).exists()]


def parent_of(pid: int) -> int:
    """Parent of a process; 0 if it is gone."""
    with suppress(OSError):
        status = Path(f"/proc/{pid}/status").read_text()
        return int(re.findall(r"^PPid:\s+(\d+)", status, re.M)[0])
    return 0


# ------------------------------------------------------------------------------------ where and how


def refuse_elsewhere(install: bool) -> None:
    """Raise :class:`Refused` where there is a SLURM already, or none can be started."""
    configuration = ETC / "slurm.conf"
    if configuration.exists():
        first = configuration.read_text().partition("\n")[0]
        owner = re.fullmatch(re.escape(MARK) + r"(\d+)", first)
        if owner is None:
            raise Refused(f"{configuration} is there: a SLURM is configured on this machine")
        if Path("/proc", owner[1]).exists():
            raise Refused(f"a mini cluster runs already, started by process {owner[1]}")
        for name in ("slurm.conf", "gres.conf"):  # left behind by one that was killed
            (ETC / name).unlink(missing_ok=True)
    if os.geteuid() != 0:
        raise Refused("root is needed, since SLURM reads /etc/slurm/slurm.conf")
    needed = ("slurmctld", "slurmd", "munged", "squeue")
    missing = [name for name in needed if not shutil.which(name)]
    if missing and not install:
        raise Refused(f"{', '.join(missing)} are missing: apt-get install {' '.join(PACKAGES)}")
    if missing:
        quiet = {"env": os.environ | {"DEBIAN_FRONTEND": "noninteractive"}}
        subprocess.run(["apt-get", "update", "-qq"], check=True, **quiet)  # type: ignore[call-overload]
        subprocess.run(
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *PACKAGES],
            check=True, **quiet,
        )  # fmt: skip


@contextmanager
def mini_cluster(
    *, install: bool = False, minutes: int = MINUTES, memory: int = MEMORY
) -> Iterator[Cluster]:
    """Have a cluster; whatever was started is stopped at the end."""
    refuse_elsewhere(install)
    with tempfile.TemporaryDirectory(prefix="mini_slurm_") as folder:
        cluster = Cluster(Path(folder), minutes, memory)
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()


def main(arguments: Sequence[str]) -> int:
    """Run a command in a cluster and return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--install", action="store_true", help="install SLURM if it is not there")
    parser.add_argument("--minutes", type=int, default=MINUTES, help="time limit of a job")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    given = parser.parse_args(arguments)
    words = given.command[1:] if given.command[:1] == ["--"] else given.command
    if not words:
        parser.error("name a command after --")
    try:
        with mini_cluster(install=given.install, minutes=given.minutes) as cluster:
            folder = str(cluster.folder)
            try:
                own = os.environ | {OF_COMMAND: folder}
                return subprocess.run(words, check=False, env=own).returncode
            finally:
                end_all(processes_with(OF_COMMAND, folder))
    except Refused as refusal:
        print(refusal, file=sys.stderr)
        return 2


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    sys.exit(main(sys.argv[1:]))
