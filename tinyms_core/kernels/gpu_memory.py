"""Loads and stores for generated GPU kernels: elements of a tensor, by address, in any storage type.

As on the CPU, storage and arithmetic are apart: a kernel computes in float32 or float64 and these functions
convert. Four neighbouring elements can be read or written at once, which is what a GPU's memory is fastest with.

numba's CUDA simulator runs a kernel as plain Python, where an intrinsic means nothing. There, and nowhere else in the
kernels, the simulator is told apart from a device: the same addresses are those of host memory, which the functions
below read through ctypes.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.extending import intrinsic

from tinyms_core.kernels.memory import COMPUTE_TYPES, IR_TYPES, bits_to_float, convert, float_to_bits
from tinyms_core.kernels.storage import WIDTHS

SIMULATED = bool(config.ENABLE_CUDASIM)
# Elements that a quad holds.
QUAD = 4
# Device memory at large; a pointer that says so is read without asking which kind of memory it points to.
_GLOBAL = 1
_CELLS: dict[str, Any] = {
    "float32": ctypes.c_float,
    "float64": ctypes.c_double,
    "float16": ctypes.c_uint16,
    "bfloat16": ctypes.c_uint16,
}

Function = Callable[..., Any]


def _element_type(storage: str) -> ir.Type:
    return ir.IntType(16) if storage == "bfloat16" else IR_TYPES[storage]


def _place(builder: ir.IRBuilder, pointee: ir.Type, address: Any, index: Any) -> Any:
    return builder.gep(builder.inttoptr(address, ir.PointerType(pointee, _GLOBAL)), [index])


def _quad_type(storage: str) -> ir.Type:
    return ir.VectorType(_element_type(storage), QUAD)


def _quad_place(builder: ir.IRBuilder, storage: str, address: Any, index: Any) -> Any:
    """Where a quad is; one of 16-bit elements is read as one number, since the compiler would read it in parts."""
    pointee = ir.IntType(64) if WIDTHS[storage] == 2 else _quad_type(storage)
    place = _place(builder, _element_type(storage), address, index)
    return builder.bitcast(place, ir.PointerType(pointee, _GLOBAL))


def _widened(builder: ir.IRBuilder, value: Any, storage: str, compute: str) -> Any:
    return convert(builder, bits_to_float(builder, value) if storage == "bfloat16" else value, IR_TYPES[compute])


def _narrowed(builder: ir.IRBuilder, value: Any, storage: str) -> Any:
    if storage == "bfloat16":
        return float_to_bits(builder, convert(builder, value, ir.FloatType()))
    return convert(builder, value, IR_TYPES[storage])


def _lane(number: int) -> ir.Constant:
    return ir.Constant(ir.IntType(32), number)


def loader(storage: str, compute: str) -> Function:
    """Make ``load(address, index)`` for elements stored as ``storage``, computed with as ``compute``."""
    if SIMULATED:
        return _simulated_loader(storage, compute)
    result = COMPUTE_TYPES[compute]

    @intrinsic
    def load(typingctx: Any, address: Any, index: Any) -> Any:
        def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
            place = _place(builder, _element_type(storage), *arguments)
            return _widened(builder, builder.load(place, align=WIDTHS[storage]), storage, compute)

        return result(types.int64, types.int64), generate

    made: Function = load
    return made


def quad_loader(storage: str, compute: str) -> Function:
    """Make ``load(address, index)`` that returns the elements ``index`` to ``index + 3``, where these are aligned."""
    if SIMULATED:
        one = _simulated_loader(storage, compute)
        return lambda address, index: tuple(one(address, index + n) for n in range(QUAD))
    result = types.UniTuple(COMPUTE_TYPES[compute], QUAD)

    @intrinsic
    def load(typingctx: Any, address: Any, index: Any) -> Any:
        def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
            place = _quad_place(builder, storage, *arguments)
            vector = builder.bitcast(builder.load(place, align=QUAD * WIDTHS[storage]), _quad_type(storage))
            parts = [builder.extract_element(vector, _lane(n)) for n in range(QUAD)]
            parts = [_widened(builder, part, storage, compute) for part in parts]
            return context.make_tuple(builder, signature.return_type, parts)

        return result(types.int64, types.int64), generate

    made: Function = load
    return made


def storer(storage: str, compute: str) -> Function:
    """Make ``store(address, index, value)``, the inverse of `loader`'s function."""
    if SIMULATED:
        return _simulated_storer(storage)
    operand = COMPUTE_TYPES[compute]

    @intrinsic
    def store(typingctx: Any, address: Any, index: Any, value: Any) -> Any:
        def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
            where, index, value = arguments
            place = _place(builder, _element_type(storage), where, index)
            builder.store(_narrowed(builder, value, storage), place, align=WIDTHS[storage])
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, operand), generate

    made: Function = store
    return made


def quad_storer(storage: str, compute: str) -> Function:
    """Make ``store(address, index, a, b, c, d)``, the inverse of `quad_loader`'s function."""
    if SIMULATED:
        one = _simulated_storer(storage)

        def store_all(address: int, index: int, *values: Any) -> None:
            for n, value in enumerate(values):
                one(address, index + n, value)

        return store_all
    operand = COMPUTE_TYPES[compute]

    @intrinsic
    def store(typingctx: Any, address: Any, index: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
        def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
            where, index, *values = arguments
            vector: Any = ir.Constant(_quad_type(storage), ir.Undefined)
            for n, value in enumerate(values):
                vector = builder.insert_element(vector, _narrowed(builder, value, storage), _lane(n))
            place = _quad_place(builder, storage, where, index)
            builder.store(builder.bitcast(vector, place.type.pointee), place, align=QUAD * WIDTHS[storage])
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, operand, operand, operand, operand), generate

    made: Function = store
    return made


def integer_reader() -> Function:
    """Make ``read(address, index)`` for a table of int64."""
    if SIMULATED:
        return lambda address, index: ctypes.c_int64.from_address(int(address) + 8 * int(index)).value

    @intrinsic
    def read(typingctx: Any, address: Any, index: Any) -> Any:
        def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
            return builder.load(_place(builder, ir.IntType(64), *arguments), align=8)

        return types.int64(types.int64, types.int64), generate

    made: Function = read
    return made


def _simulated_loader(storage: str, compute: str) -> Function:
    cell, width, kind = _CELLS[storage], WIDTHS[storage], np.dtype(compute).type

    def load(address: int, index: int) -> Any:
        value = cell.from_address(int(address) + width * int(index)).value
        if storage == "float16":
            return kind(np.uint16(value).view(np.float16))
        if storage == "bfloat16":
            return kind(np.uint32(value << 16).view(np.float32))
        return kind(value)

    return load


def _simulated_storer(storage: str) -> Function:
    cell, width = _CELLS[storage], WIDTHS[storage]

    def store(address: int, index: int, value: Any) -> None:
        if storage == "float16":
            value = int(np.float16(value).view(np.uint16))
        elif storage == "bfloat16":
            bits = int(np.float32(value).view(np.uint32))
            rounded = bits + 0x7FFF + (bits >> 16 & 1)
            value = (bits | 0x400000 if np.isnan(value) else rounded) >> 16
        cell.from_address(int(address) + width * int(index)).value = value

    return store
