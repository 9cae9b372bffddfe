"""Measuring in a process of its own, whose memory and caches nobody else has touched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, Final

from tinyms_core.cli.errors import CommandError

_SECONDS: Final = 900


def ask_child(module: str, task: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Run a module in a new process, and read what it answers.

    Args:
        module: A module that reads a JSON object from its standard input, and prints another as its last line.
        task: What it is given.
        environment: Variables beside those of this process.

    Returns:
        The answer.

    Raises:
        CommandError: If the process fails; the message has its last words.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-m", module],
            input=json.dumps(task),
            env={**os.environ, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CommandError(f"{module}: a process of its own took longer than {_SECONDS} seconds") from error
    if done.returncode:
        words = done.stderr.strip().splitlines() or ["no message"]
        raise CommandError(f"{module}: a process of its own ended with {done.returncode}: {words[-1]}")
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer
