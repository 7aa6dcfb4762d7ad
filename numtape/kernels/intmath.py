"""Integer arithmetic for kernels, where it differs from a plain operator: wrapping, Python's and C's division, powers."""

from numtape.kernels.intrinsics import inline


@inline
def maximum_int(x, y):
    return x if x > y else y


@inline
def minimum_int(x, y):
    return x if x < y else y


@inline
def floor_divide_int(x, y):
    """Rounded down. Division by zero is refused before a kernel runs; a zero here gives zero."""
    if y == 0:
        return x - x
    if y == -1:  # the smallest integer has no positive twin, and the machine's division traps there
        return -x
    return x // y


@inline
def truncate_divide_int(x, y):
    if y == 0:
        return x - x
    if y == -1:
        return -x
    q = x // y
    return q + 1 if q * y != x and (x < 0) != (y < 0) else q


@inline
def remainder_int(x, y):
    """The sign of the divisor, as Python's %."""
    if (y == 0) | (y == -1):
        return x - x
    return x - x // y * y


@inline
def fmod_int(x, y):
    """The sign of the dividend, as C's %."""
    if (y == 0) | (y == -1):
        return x - x
    r = x - x // y * y
    return r - y if r != 0 and (x < 0) != (y < 0) else r


@inline
def pow_int(x, y):
    """x**y by squaring, wrapping; a negative exponent gives 0 except for bases of 1 and -1, as PyTorch."""
    one = x - x + 1
    if y < 0:
        if x == 1:
            return one
        if x == -1:
            return one if y % 2 == 0 else x
        return one - 1
    result, base = one, x
    while y > 0:
        if y % 2 == 1:
            result = result * base
        base = base * base
        y = y // 2
    return result


@inline
def abs_int(x):
    return x if x >= 0 else -x


@inline
def sign_int(x):
    zero = 0 * x  # of bools too
    return zero + 1 if x > 0 else (zero - 1 if x < 0 else zero)


@inline
def floor_int(x):
    return x


ceil_int = trunc_int = round_int = floor_int


@inline
def isnan_int(x):
    return x != x


@inline
def isfinite_int(x):
    return x == x


isinf_int = isnan_int
