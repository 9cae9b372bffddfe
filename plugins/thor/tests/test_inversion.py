"""Inverses of factors: right, the same with any number of threads, and in threads at once."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from threadpoolctl import threadpool_info
from tinyms_thor import blas
from tinyms_thor.inversion import damped_inverses
from tinyms_thor.lapack import invert

from tinyms_core.kernels.threads import thread_limit


def factor(rows, blocks=1):
    drawn = np.random.default_rng(rows).normal(size=(blocks, rows, rows + 3)).astype(np.float32)
    return np.matmul(drawn, drawn.swapaxes(1, 2)) / np.float32(rows)


FACTORS = [(factor(rows, blocks), 0.01 * rows) for rows, blocks in ((1, 1), (64, 5), (65, 1), (200, 2), (333, 1))]


def test_inverses_are_right_and_symmetric():
    for (blocks, damping), (inverses, helped) in zip(FACTORS, damped_inverses(FACTORS), strict=True):
        assert not helped
        for block, inverse in zip(blocks, inverses, strict=True):
            expected = np.linalg.inv(block.astype(np.float64) + damping * np.eye(len(block)))
            np.testing.assert_allclose(inverse, expected, rtol=0, atol=2e-5 * np.abs(expected).max())
            assert np.array_equal(inverse, inverse.T)


def test_a_diagonal_is_inverted_element_by_element():
    diagonal = np.array([0.0, 0.5, 2.0], np.float32)
    ((inverse, helped),) = damped_inverses([(diagonal, 0.5)])
    np.testing.assert_allclose(inverse, [2.0, 1.0, 0.4], rtol=1e-6)
    assert not helped
    ((inverse, helped),) = damped_inverses([(diagonal, 0.0)])
    assert np.isfinite(inverse).all()
    assert helped


@pytest.mark.parametrize("threads", [2, 3, 16])
def test_the_number_of_threads_changes_no_digit(threads):
    with thread_limit(1):
        expected = damped_inverses(FACTORS)
    with thread_limit(threads):
        found = damped_inverses(FACTORS)
    for (one, _), (other, _) in zip(found, expected, strict=True):
        assert np.array_equal(one, other)


def test_threads_of_blas_are_as_many_as_before():
    def counts():
        return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]

    before = counts()
    with blas.one_thread():
        assert set(counts()) == {1}
        with blas.one_thread():
            pass
        assert set(counts()) == {1}
    assert counts() == before
    with pytest.raises(RuntimeError, match="inside"), blas.one_thread():
        raise RuntimeError("inside")
    assert counts() == before


def test_several_threads_may_invert_at_once():
    expected, found = damped_inverses(FACTORS), []
    callers = [threading.Thread(target=lambda: found.append(damped_inverses(FACTORS))) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(found) == 4
    assert all(np.array_equal(a, b) for one in found for (a, _), (b, _) in zip(one, expected, strict=True))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_inverts_while_a_thread_of_its_parent_did():
    entered, leave = threading.Event(), threading.Event()

    def hold():
        with blas.one_thread():
            entered.set()
            leave.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    entered.wait()
    child = os.fork()
    if child == 0:
        os._exit(0 if len(damped_inverses(FACTORS)) == len(FACTORS) else 1)
    leave.set()
    holder.join()
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


@pytest.mark.parametrize("least", [-1.0, 0.0])
def test_what_is_not_positive_definite_gets_more_damping(least):
    values = np.array([3.0, 1.0, least], np.float32)
    block = np.diag(values)[None]
    good = np.eye(2, dtype=np.float32)[None]
    (one, helped), (other, not_helped) = damped_inverses([(block, 0.0), (good, 1.0)])
    assert (helped, not_helped) == (True, False)
    assert np.isfinite(one).all()
    np.testing.assert_allclose(other[0], 0.5 * np.eye(2), rtol=1e-6)
    assert not invert(block[0].copy())


def test_numbers_that_overflow_are_said_not_to_be_inverted():
    matrix = np.diag(np.array([1.0, 1e-42], np.float32))
    assert not invert(matrix)


def test_a_process_that_loads_nothing_else_limits_the_library_that_inverts():
    program = (
        "from tinyms_thor import blas, inversion\n"
        "from threadpoolctl import threadpool_info\n"
        "with blas.one_thread():\n"
        "    found = [x for x in threadpool_info() if x['user_api'] == 'blas']\n"
        "assert found and {x['num_threads'] for x in found} == {1}, found\n"
        "before = len(found)\n"
        "import numpy\n"
        "inversion.damped_inverses([(numpy.eye(3, dtype='float32')[None], 1.0)])\n"
        "assert len([x for x in threadpool_info() if x['user_api'] == 'blas']) == before\n"
    )
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
