"""Steps of plain arrays whose gradients come as rows, beside the float64 oracle."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from tinyms_core.conformance.kernel_runs import KernelRun
from tinyms_core.conformance.rounding import rounded
from tinyms_core.conformance.rows import Rows
from tinyms_core.conformance.workload import Member

if TYPE_CHECKING:
    from tinyms_core.conformance.kernel_checks import KernelSubject


def require_rows(subject: KernelSubject, dtypes: tuple[str, ...], offload: bool = False) -> None:
    """Require that steps whose gradients come as rows follow the oracle.

    Arguments:
        subject: the optimizer.
        dtypes: dtypes of the arrays, as far as the optimizer declares them.
        offload: whether its state is in the host's memory.
    """
    table, other = Member("table", (30, 7)), Member("second", (4, 3))
    for dtype in dtypes:
        if dtype not in subject.spec.capabilities.dtypes:
            continue
        for centralize in (False, True):
            setting = subject.settings()[-1]
            run = subject.run(setting, dtype, members=(table, other), centralize=centralize, offload=offload)
            if centralize:
                # The group of the table is the one that is not centralized otherwise.
                first, second = run.workload.groups
                workload = replace(run.workload, groups=(replace(first, centralize=second.centralize), second))
                run = KernelRun(subject.spec, workload, subject.device, offload=offload)
            for rows in ((5, 29, 5, 0, 12, 5), (), (3,), tuple(range(29, -1, -1))):
                drawn = np.random.default_rng(len(rows)).standard_normal((len(rows), 7)) * run.workload.loss_scale
                given = {"table": Rows(rows, rounded(drawn, run.workload.places[0].member.gradient_dtype))}
                if rows:
                    given["second"] = Rows((2, 0), rounded(np.full((2, 3), 0.5), "bfloat16"))
                run.step(given)
                run.compare(f"{subject.name} in {dtype}, rows {rows}")
