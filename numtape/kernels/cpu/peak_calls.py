"""The loop of `peak.py`, written in vector instructions."""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from numtape.kernels.cpu.microkernel import I64, PTR, Emitter, geometry
from numtape.kernels.cpu.peak import CHAINS


def vector_lanes(code):
    """The elements of a vector."""
    return geometry({"f32": types.float32, "f64": types.float64}[code]).W


@intrinsic
def multiply_adds(typingctx, zero, out, trips):
    """`trips` times CHAINS vectors of x * 0.5 + 0.5, from different x; the sum of all goes to `out`."""

    def codegen(context, b, signature, args):
        g = geometry(signature.args[0])
        function = b.module.globals.get(f"numtape_multiply_adds_{g.tag}") or _emit(b.module, g)
        b.call(function, [b.inttoptr(args[1], PTR), args[2]])
        return context.get_dummy_value()

    return types.void(zero, types.int64, types.int64), codegen


def _emit(module, g):
    e = Emitter(module, g, "multiply_adds", [PTR, I64])
    out, trips = e.function.args
    half = ir.Constant(g.V, [0.5] * g.W)
    chains = [ir.Constant(g.V, [float(k)] * g.W) for k in range(CHAINS)]
    ends = e.loop("chain", trips, chains, lambda *xs: [e.madd(x, half, half) for x in xs])
    total = ends[0]
    for x in ends[1:]:
        total = e.add(total, x)
    e.b.store(e.b.extract_element(total, ir.Constant(ir.IntType(32), 0)), out, align=g.size)
    e.finish()
    return e.function
