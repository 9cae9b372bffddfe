"""Loads and stores for generated CPU kernels: one element of a tensor, by address, in any storage type.

Storage and arithmetic are apart: a kernel computes in float32 or float64 and these functions convert.
Each access carries the tensor that it belongs to as alias metadata, so that the compiler vectorises a
loop over many tensors without checking at run time whether they overlap.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from tinyms_core.kernels.loops import AHEAD, BLOCK
from tinyms_core.kernels.storage import WIDTHS

COMPUTE_TYPES = {"float32": types.float32, "float64": types.float64}
IR_TYPES = {"float32": ir.FloatType(), "float64": ir.DoubleType(), "float16": ir.HalfType()}
_SCOPES = 18
# Bytes of a cache line.
_LINE = 64


def _alias_metadata(module: ir.Module, tensor: int) -> tuple[Any, Any]:
    """The scope of one tensor's accesses, and the list of the scopes of all others."""
    domain = module.add_metadata([ir.MetaDataString(module, "tinyms tensors")])
    scopes = [module.add_metadata([ir.MetaDataString(module, f"tensor {index}"), domain]) for index in range(_SCOPES)]
    own = module.add_metadata([scopes[tensor]])
    others = module.add_metadata([scope for index, scope in enumerate(scopes) if index != tensor])
    return own, others


def _mark(builder: ir.IRBuilder, instruction: Any, tensor: int) -> None:
    own, others = _alias_metadata(builder.module, tensor)
    instruction.set_metadata("alias.scope", own)
    instruction.set_metadata("noalias", others)


def _pointer(builder: ir.IRBuilder, pointee: ir.Type, address: Any, index: Any) -> Any:
    return builder.gep(builder.inttoptr(address, pointee.as_pointer()), [index])


def bits_to_float(builder: ir.IRBuilder, bits: Any) -> Any:
    """bfloat16 bits to float32: they are its upper half."""
    wide = builder.zext(bits, ir.IntType(32))
    return builder.bitcast(builder.shl(wide, ir.Constant(ir.IntType(32), 16)), ir.FloatType())


def float_to_bits(builder: ir.IRBuilder, value: Any) -> Any:
    """float32 to bfloat16 bits, rounded to nearest, ties to even; NaN stays NaN."""
    i32 = ir.IntType(32)
    bits = builder.bitcast(value, i32)
    odd = builder.and_(builder.lshr(bits, ir.Constant(i32, 16)), ir.Constant(i32, 1))
    rounded = builder.add(builder.add(bits, ir.Constant(i32, 0x7FFF)), odd)
    quiet = builder.or_(bits, ir.Constant(i32, 0x00400000))
    is_nan = builder.fcmp_unordered("uno", value, value)
    chosen = builder.select(is_nan, quiet, rounded)
    return builder.trunc(builder.lshr(chosen, ir.Constant(i32, 16)), ir.IntType(16))


def convert(builder: ir.IRBuilder, value: Any, to: ir.Type) -> Any:
    if value.type == to:
        return value
    wider = _rank(to) > _rank(value.type)
    return builder.fpext(value, to) if wider else builder.fptrunc(value, to)


def _rank(kind: ir.Type) -> int:
    return [ir.HalfType(), ir.FloatType(), ir.DoubleType()].index(kind)


def loader(storage: str, compute: str, tensor: int) -> Callable[..., Any]:
    """Make ``load(address, index)`` for elements stored as ``storage``, computed with as ``compute``."""
    result = COMPUTE_TYPES[compute]

    @intrinsic
    def load(typingctx: Any, address: Any, index: Any) -> Any:
        def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
            pointee = ir.IntType(16) if storage == "bfloat16" else IR_TYPES[storage]
            value = builder.load(_pointer(builder, pointee, *arguments), align=WIDTHS[storage])
            _mark(builder, value, tensor)
            if storage == "bfloat16":
                value = bits_to_float(builder, value)
            return convert(builder, value, IR_TYPES[compute])

        return result(types.int64, types.int64), generate

    made: Callable[..., Any] = load
    return made


def storer(storage: str, compute: str, tensor: int) -> Callable[..., Any]:
    """Make ``store(address, index, value)``, the inverse of `loader`'s function."""
    operand = COMPUTE_TYPES[compute]

    @intrinsic
    def store(typingctx: Any, address: Any, index: Any, value: Any) -> Any:
        def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
            where, index, value = arguments
            if storage == "bfloat16":
                pointee: ir.Type = ir.IntType(16)
                value = float_to_bits(builder, convert(builder, value, ir.FloatType()))
            else:
                pointee = IR_TYPES[storage]
                value = convert(builder, value, pointee)
            instruction = builder.store(value, _pointer(builder, pointee, where, index), align=WIDTHS[storage])
            _mark(builder, instruction, tensor)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, operand), generate

    made: Callable[..., Any] = store
    return made


def block_adder(parameter: str, gradient: str, compute: str, tensor: int, *, decayed: bool) -> Callable[..., Any]:
    """Make ``add(parameters, gradients, index, decay)``: the float64 sum of a block of gradients, or decayed gradients.

    Halves of the block are added to each other until one number is left. So the result is the same bits in every loop,
    whatever a compiler makes of the rest of it.

    Args:
        parameter: Storage type of the parameters.
        gradient: Storage type of the gradients.
        compute: Type of the arithmetic.
        tensor: Whose alias metadata the loads carry, which must be that of nothing that is written nearby.
        decayed: Whether ``decay`` times the parameter is added to each.
    """
    kind = ir.VectorType(IR_TYPES[compute], BLOCK)

    @intrinsic
    def add(typingctx: Any, parameters: Any, gradients: Any, index: Any, decay: Any) -> Any:
        def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
            parameters, gradients, index, decay = arguments
            total = _load_block(builder, gradient, kind, gradients, index, tensor)
            if decayed:
                weights = _load_block(builder, parameter, kind, parameters, index, tensor)
                first = builder.insert_element(ir.Constant(kind, ir.Undefined), decay, ir.IntType(32)(0))
                factors = builder.shuffle_vector(first, first, ir.Constant(_indices(BLOCK), [0] * BLOCK))
                product = builder.fmul(factors, weights, flags=("contract",))
                total = builder.fadd(total, product, flags=("contract",))
            count = BLOCK
            while count > 1:
                count //= 2
                halves = (range(count), range(count, 2 * count))
                low, high = (
                    builder.shuffle_vector(total, total, ir.Constant(_indices(count), list(half))) for half in halves
                )
                total = builder.fadd(low, high)
            return convert(builder, builder.extract_element(total, ir.IntType(32)(0)), ir.DoubleType())

        return types.float64(types.int64, types.int64, types.int64, COMPUTE_TYPES[compute]), generate

    made: Callable[..., Any] = add
    return made


def _indices(count: int) -> ir.VectorType:
    return ir.VectorType(ir.IntType(32), count)


def _load_block(builder: ir.IRBuilder, storage: str, kind: ir.VectorType, address: Any, index: Any, tensor: int) -> Any:
    """A block of elements as a vector of the arithmetic's type."""
    element = ir.IntType(16) if storage == "bfloat16" else IR_TYPES[storage]
    place = builder.bitcast(_pointer(builder, element, address, index), ir.VectorType(element, BLOCK).as_pointer())
    value = builder.load(place, align=WIDTHS[storage])
    _mark(builder, value, tensor)
    if storage == "bfloat16":
        bits = builder.zext(value, _indices(BLOCK))
        shifted = builder.shl(bits, ir.Constant(_indices(BLOCK), [16] * BLOCK))
        value, element = builder.bitcast(shifted, ir.VectorType(ir.FloatType(), BLOCK)), ir.FloatType()
    if element == kind.element:
        return value
    return (builder.fpext if _rank(kind.element) > _rank(element) else builder.fptrunc)(value, kind)


def fetcher(storage: str) -> Callable[..., Any]:
    """Make ``fetch(address, index)``: what a loop over blocks reads `AHEAD` elements later is brought to the cache.

    An address outside of the tensor, or of the process, does no harm.
    """
    width = WIDTHS[storage]

    @intrinsic
    def fetch(typingctx: Any, address: Any, index: Any) -> Any:
        def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
            number = ir.IntType(32)
            where = _pointer(builder, ir.IntType(8), arguments[0], builder.mul(arguments[1], arguments[1].type(width)))
            declared = ir.FunctionType(ir.VoidType(), [where.type, number, number, number])
            prefetch = cgutils.get_or_insert_function(builder.module, declared, "llvm.prefetch.p0")
            for offset in range(AHEAD * width, (AHEAD + BLOCK) * width, _LINE):
                # To read, into all levels of the cache, data.
                line = builder.gep(where, [arguments[1].type(offset)])
                builder.call(prefetch, [line, number(0), number(3), number(1)])
            return context.get_dummy_value()

        return types.void(types.int64, types.int64), generate

    made: Callable[..., Any] = fetch
    return made


def _array_at(element: Any) -> Callable[..., Any]:
    @intrinsic
    def array_at(typingctx: Any, address: Any) -> Any:
        def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

        return types.CPointer(element)(types.int64), generate

    made: Callable[..., Any] = array_at
    return made


integers_at = _array_at(types.int64)
"""``integers_at(address)``: the integers of 8 bytes there, as an array without a length."""

floats_at = _array_at(types.float64)
"""The same for float64."""


def scratch(kind: str, count: int) -> Callable[..., Any]:
    """Make ``room()``: memory of float32 or float64 numbers, which is there until the function that asks returns."""
    element = COMPUTE_TYPES[kind]

    @intrinsic
    def room(typingctx: Any) -> Any:
        def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
            return cgutils.alloca_once(builder, IR_TYPES[kind], size=count)

        return types.CPointer(element)(), generate

    made: Callable[..., Any] = room
    return made


@intrinsic
def accumulate(typingctx: Any, total: Any, term: Any) -> Any:
    """Add two numbers of one type, in whatever order of the sum suits the vector unit of the machine."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        return builder.fadd(*arguments, flags=("reassoc", "nsz"))

    return total(total, total), generate
