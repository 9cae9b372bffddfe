"""Checkpoints that a crash cannot destroy."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import mindspore

_FORMATS = {".ckpt": "ckpt", ".safetensors": "safetensors"}


def save_checkpoint(save_obj: Any, path: str | os.PathLike[str], *, append_dict: dict[str, Any] | None = None) -> None:
    """Save a network or an optimizer so that an interruption leaves the previous file whole.

    `mindspore.save_checkpoint` removes an existing file before it writes the new one: what is interrupted in
    between loses both. Here the new file is written beside the old one, brought to the disk, and then put in its
    place in one step of the file system. After a kill the path holds the old checkpoint or the new one, never a
    part; a hidden folder ``.NAME.*`` may be left beside it, which can be deleted.

    Arguments:
        save_obj: a Cell, such as a network or an optimizer, or what else `mindspore.save_checkpoint` takes.
        path: the file; it ends in ``.ckpt`` or ``.safetensors``, which decides the format. Its folder must exist.
        append_dict: more values to save, such as ``{"epoch": 3}``.

    Raises:
        ValueError: the path has another ending.
        FileNotFoundError: the folder does not exist.

    Example:
        >>> import mindspore, os, tempfile, tinyms_core
        >>> from tinyms_core.examples import parameter, tensor
        >>> optimizer = tinyms_core.get_optimizer("momentum")([parameter("w", [1.0])], 0.1, 0.9)
        >>> _ = optimizer((tensor([2.0]),))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     tinyms_core.save_checkpoint(optimizer, os.path.join(folder, "last.ckpt"))
        ...     sorted(mindspore.load_checkpoint(os.path.join(folder, "last.ckpt")))
        ['global_step', 'learning_rate', 'moments.w', 'momentum', 'w']
    """
    target = Path(path)
    if target.suffix not in _FORMATS:
        raise ValueError(f"save_checkpoint: 'path' must end in one of {', '.join(_FORMATS)}, got {str(path)!r}")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"save_checkpoint: the folder of 'path' does not exist: {target.parent}")
    # In the same folder, since a file can be put in another's place only within one file system.
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as folder:
        written = Path(folder) / target.name
        mindspore.save_checkpoint(save_obj, str(written), append_dict=append_dict, format=_FORMATS[target.suffix])
        _flush(written)
        os.replace(written, target)
        _flush(target.parent)


def _flush(path: Path) -> None:
    """Bring a file, or the entries of a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
