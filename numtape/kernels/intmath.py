"""Integer arithmetic for kernels, where it differs from a plain operator: wrapping, Python's and C's division, powers."""

from numtape.kernels.intrinsics import i64, inline


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
    """x**y by squaring, wrapping; a negative exponent gives 0 except for bases of 1 and -1, as PyTorch.

    In int64 for all dtypes: the cast to the dtype keeps the low bits, which do not depend on the higher ones.
    """
    x, y = i64(x), i64(y)
    one = i64(1)
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
def real_int(x):
    return x


@inline
def imag_int(x):
    return x - x


@inline
def isnan_int(x):
    return x != x


@inline
def isfinite_int(x):
    return x == x


isinf_int = isnan_int


@inline
def signbit_int(x):
    return x < 0


@inline
def gcd_int(x, y):
    """Euclid's algorithm on absolute values."""
    x, y = abs_int(x), abs_int(y)
    while y != 0:
        x, y = y, abs_int(x % y)  # the smallest integer has no positive twin and may leave a negative rest
    return abs_int(x)


@inline
def lcm_int(x, y):
    if x == 0 or y == 0:
        return x - x
    return abs_int(x // gcd_int(x, y) * y)


@inline
def left_shift_int(x, y):
    """The bits of x moved up; the cast to its dtype drops those that leave it. None are left where y is negative or too large."""
    return x << y if y >= 0 and y < 64 else x - x


@inline
def right_shift_int(x, y):
    """x // 2**y; a y that is negative or too large leaves the sign, 0 or -1."""
    by = i64(y)
    return x >> by if by >= 0 and by < 64 else (x >> 63) >> 1
