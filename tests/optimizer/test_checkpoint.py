"""Saving never destroys the checkpoint that was there before."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import mindspore
import pytest

import tinyms_core
from tinyms_core.examples import SignDescent, parameter, tensor


def build(value=1.0):
    return SignDescent([parameter("w", [value, 2.0])], learning_rate=0.5)


@pytest.mark.parametrize("ending", ["ckpt", "safetensors"])
def test_what_is_saved_can_be_loaded(tmp_path, ending):
    path = tmp_path / f"last.{ending}"
    optimizer = build()
    for _ in range(2):
        optimizer((tensor([1.0, -1.0]),))
        tinyms_core.save_checkpoint(optimizer, path)
    other = build(7.0)
    missing, surplus = mindspore.load_param_into_net(other, mindspore.load_checkpoint(str(path), format=ending))
    assert (missing, surplus) == ([], [])
    assert other.parameters[0].asnumpy().tolist() == optimizer.parameters[0].asnumpy().tolist() == [0.0, 3.0]
    assert other.global_step.asnumpy().tolist() == [2]
    assert os.listdir(tmp_path) == [path.name]


def test_more_values_are_saved_too(tmp_path):
    tinyms_core.save_checkpoint(build(), tmp_path / "last.ckpt", append_dict={"epoch": 3})
    assert int(mindspore.load_checkpoint(str(tmp_path / "last.ckpt"))["epoch"].asnumpy()) == 3


def test_an_error_while_writing_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "last.ckpt"
    tinyms_core.save_checkpoint(build(), path)
    before = path.read_bytes()

    def fail(save_obj, name, **options):
        Path(name).write_bytes(before[:10])
        raise OSError("no space left")

    monkeypatch.setattr(mindspore, "save_checkpoint", fail)
    with pytest.raises(OSError, match="no space left"):
        tinyms_core.save_checkpoint(build(5.0), path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["last.ckpt"]


SAVING = """
import sys
import numpy as np
from mindspore import Parameter, Tensor
import tinyms_core
from tinyms_core.examples import SignDescent
optimizer = SignDescent([Parameter(Tensor(np.ones((512, 1024), np.float32)), name="w")], learning_rate=0.5)
tinyms_core.save_checkpoint(optimizer, sys.argv[1])
print("saved", flush=True)
while True:
    tinyms_core.save_checkpoint(optimizer, sys.argv[1])
"""


def test_a_kill_leaves_a_whole_file(tmp_path):
    path = tmp_path / "last.safetensors"
    for moment in (0.0, 0.003, 0.01, 0.02):
        saving = subprocess.Popen([sys.executable, "-c", SAVING, str(path)], stdout=subprocess.PIPE, text=True)
        try:
            assert saving.stdout.readline().strip() == "saved"
            time.sleep(moment)
        finally:
            saving.send_signal(signal.SIGKILL)
            saving.wait()
            saving.stdout.close()
        loaded = mindspore.load_checkpoint(str(path), format="safetensors")
        assert loaded["w"].asnumpy().sum() == 512 * 1024


def test_a_wrong_path_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"'path' must end in one of \.ckpt, \.safetensors, got .*last\.bin"):
        tinyms_core.save_checkpoint(build(), tmp_path / "last.bin")
    with pytest.raises(FileNotFoundError, match="folder of 'path' does not exist"):
        tinyms_core.save_checkpoint(build(), tmp_path / "nowhere" / "last.ckpt")
