"""Runs functions of a module in several processes that `msrun` starts, and leaves none of them behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
# In the environment of every process of a session, and of no other.
_MARK = "TINYMS_TEST_SESSION"


class Session:
    """Processes of one run.

    Arguments:
        module: the module of `tests.distributed` whose ``CHECKS`` run, or ``module:table`` for some of them.
        ranks: the number of processes.
        folder: an empty folder for results and logs; also what the checks are given.
        seconds: the hard limit for all of it.
        wait: how long a process waits for another in an exchange, in seconds.
        joined: whether `msrun` ends all processes when one fails; without it, they are on their own.
    """

    def __init__(
        self, module: str, ranks: int, folder: Path, *, seconds: float, wait: int = 120, joined: bool = True
    ) -> None:
        self.folder = folder
        self.ranks = ranks
        self.began = time.monotonic()
        self._end = self.began + seconds
        self._mark = uuid.uuid4().hex
        command = [
            str(Path(sys.executable).with_name("msrun")),
            f"--worker_num={ranks}",
            f"--local_worker_num={ranks}",
            f"--master_port={_free_port()}",
            f"--log_dir={folder / 'log'}",
            f"--join={joined}",
            str(Path(__file__).with_name("worker.py")),
            module,
            str(folder),
        ]
        environment = {
            **os.environ,
            "GLOG_v": "3",
            "PYTHONPATH": str(ROOT),
            "MS_CPU_COMM_OP_TIMEOUT": str(wait),
            "NUMBA_NUM_THREADS": "1",
            # msrun calls `python`, which has to be this one.
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
            _MARK: self._mark,
        }
        with open(folder / "msrun.txt", "w") as output:
            self._process = subprocess.Popen(
                command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )

    def results(self, *expected: int) -> list[dict[str, Any]]:
        """What the checks of these ranks gave, of all without an argument, as soon as they are done."""
        wanted = expected or tuple(range(self.ranks))
        paths = [self.folder / f"rank{rank}.json" for rank in wanted]
        while not all(path.exists() for path in paths):
            time.sleep(0.5)
            ended = not self.processes() and not all(path.exists() for path in paths)
            if ended or time.monotonic() > self._end:
                raise AssertionError(f"{'all processes have ended' if ended else 'out of time'}\n{self.logs()}")
        return [json.loads(path.read_text()) for path in paths]

    def logs(self) -> str:
        """The last lines that the processes wrote."""
        paths = [self.folder / "msrun.txt", *sorted(self.folder.glob("log/*.log"))]
        return "\n".join(f"== {path.name}\n{path.read_text(errors='replace')[-3000:]}" for path in paths)

    def wait(self) -> int:
        """Wait until `msrun` has ended, and return its exit status."""
        return self._process.wait(timeout=max(self._end - time.monotonic(), 0.1))

    def processes(self) -> list[int]:
        """The processes of the session that live."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and f"{_MARK}={self._mark}".encode() in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                # It has just ended, or is another user's.
                continue
        return found

    def close(self) -> None:
        """End what still lives, and see it end."""
        limit = time.monotonic() + 10
        while self.processes():
            for process in self.processes():
                try:
                    os.kill(process, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            assert time.monotonic() < limit, f"processes do not end: {self.processes()}"
            time.sleep(0.05)
        self._process.wait(timeout=10)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
