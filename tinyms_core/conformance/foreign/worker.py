"""The other side of `process`: ``python -m tinyms_core.conformance.foreign.worker``, with a request as its argument.

It writes one line of JSON for each case, to the file descriptor that it is given: MindSpore writes what it likes to
the standard output.
"""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import replace
from typing import Any, Final

# MindSpore's errors end in stacks of its own and of Python, under headings that are framed with dashes.
_STACK: Final = re.compile(r"- (C\+\+|The Function).*|(# \d+ )?In file .*", re.DOTALL)
_FRAME: Final = re.compile(r"-{8,}")


def without_stack(reason: str) -> str:
    """A reason without the stack that MindSpore adds to its errors, which names the machine's folders.

    Example:
        >>> without_stack("RuntimeError: -------- - Kernel select failed: -------- No op. -------- - C++ Call Stack: x")
        'RuntimeError: - Kernel select failed: No op.'
    """
    return " ".join(_FRAME.sub(" ", _STACK.sub("", reason)).split())


def work(request: dict[str, Any]) -> None:
    """Run the cases of a request.

    Arguments:
        request: ``optimizer`` (the name of ours), ``options`` (what to begin with in place of the defaults),
            ``failed`` (names of probes), ``cases`` (check, mode and dtype of each) and ``descriptor`` (where to write
            the results).
    """
    from tinyms_core.conformance.foreign.cases import ForeignCases, from_request
    from tinyms_core.conformance.runner import run_case

    every: ForeignCases = from_request(request)
    known = {(case.check.name, case.mode, case.dtype): case for case in every.all(request["failed"])}
    with os.fdopen(request["descriptor"], "w", encoding="utf-8") as results:
        for identity in request["cases"]:
            case = known[tuple(identity)]
            spec = every.spec_for(case, request["failed"])
            result, _ = run_case(spec, case, make_subject=every.subject_maker(request["failed"]))
            named = replace(result, optimizer=every.peer.label, reason=without_stack(result.reason))
            results.write(json.dumps(named.to_dict()) + "\n")
            results.flush()


if __name__ == "__main__":
    work(json.loads(sys.argv[1]))
