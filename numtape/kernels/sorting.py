"""Sorting and selecting for kernels: keys that order as the numbers do, and a stable radix sort of keys with their positions.

Every dtype is sorted as int64 keys, of which only the dtype's own bytes are looked at. Nothing here compares floats, so NaN has
a place (last), -0.0 equals 0.0, and equal keys stay in order.
"""

from numtape.kernels.intrinsics import i64, inline

SHORT = 48  # lines up to here are sorted by insertion: a radix pass costs 256 counters besides its elements


@inline
def key_f32(bits):
    """The bits of a float32 as an integer that orders as the number does; every NaN is the largest."""
    b = i64(bits)
    size = b & 0x7FFFFFFF
    if size > 0x7F800000:
        return i64(0x7FFFFFFF)
    return size if b >= 0 else -size


@inline
def key_f64(bits):
    """The bits of a float64 as an integer that orders as the number does; every NaN is the largest."""
    b = i64(bits)
    size = b & 0x7FFFFFFFFFFFFFFF
    if size > 0x7FF0000000000000:
        return i64(0x7FFFFFFFFFFFFFFF)
    return size if b >= 0 else -size


@inline
def key_half(bits, infinity):
    """The 16 bits of a half as an integer that orders as the number does; every NaN is the largest."""
    size = i64(bits) & 0x7FFF
    if size > infinity:
        return i64(0x7FFF)
    return size if i64(bits) < 0x8000 else -size


@inline
def key_f16(bits):
    """The key of a float16."""
    return key_half(bits, 0x7C00)


@inline
def key_bf16(bits):
    """The key of a bfloat16."""
    return key_half(bits, 0x7F80)


@inline
def key_u64(x):
    """A uint64 as an int64 in the same order."""
    return i64(x) ^ i64(-(2**63))


@inline
def key_int(x):
    return i64(x)


@inline
def insert_pairs(keys, at, n):
    """Sort a few pairs by insertion."""
    for i in range(1, n):
        key, place = keys[i], at[i]
        j = i
        while j > 0 and keys[j - 1] > key:
            keys[j], at[j] = keys[j - 1], at[j - 1]
            j -= 1
        keys[j], at[j] = key, place


@inline
def sort_pairs(keys, at, keys2, at2, n, size, flip, counts):
    """Sort n keys and what stands beside them, stably, by 8 bits a pass over the `size` low bytes of a key.

    `flip` is 128 for signed keys, whose top byte counts from -128. A pass goes from one pair of arrays to the other, unless all
    keys have the same byte. True if the result lies in the second pair.
    """
    if n <= SHORT:
        insert_pairs(keys, at, n)
        return False
    for i in range(256 * size):
        counts[i] = 0
    for i in range(n):
        key = keys[i]
        for byte in range(size):
            j = 256 * byte + (key >> (8 * byte) & 255)
            counts[j] = counts[j] + 1
    swapped = False
    for byte in range(size):
        base, shift = 256 * byte, 8 * byte
        turn = flip if byte == size - 1 else 0
        if counts[base + (keys[0] >> shift & 255)] < n:
            total = i64(0)
            for digit in range(256):
                j = base + (digit ^ turn)
                count = counts[j]
                counts[j] = total
                total += count
            for i in range(n):
                key = keys[i]
                j = base + (key >> shift & 255)
                k = counts[j]
                keys2[k], at2[k] = key, at[i]
                counts[j] = k + 1
            keys, keys2 = keys2, keys
            at, at2 = at2, at
            swapped = not swapped
    return swapped


@inline
def select_pairs(keys, at, keys2, at2, n, k, size, flip, counts):
    """Bring the k smallest of n pairs to the front, in no particular order; of equals, those that stand first.

    A pass counts the candidates by one byte of their keys, from the top one down: what is below the byte of the k-th smallest is
    taken, what is above is out, and what equals it goes on to the next byte.
    """
    taken, left, byte = i64(0), i64(n), i64(size - 1)
    while byte >= 0 and left > k - taken and left > SHORT:
        shift = 8 * byte
        turn = flip if byte == size - 1 else 0
        for i in range(256):
            counts[i] = 0
        for i in range(taken, taken + left):
            j = keys[i] >> shift & 255 ^ turn
            counts[j] = counts[j] + 1
        edge, below = i64(0), counts[0]
        while below < k - taken:
            edge += 1
            below += counts[edge]
        equal, end = i64(0), taken + left
        for i in range(taken, end):
            key, place = keys[i], at[i]
            digit = key >> shift & 255 ^ turn
            if digit < edge:
                keys[taken], at[taken] = key, place
                taken += 1
            elif digit == edge:
                keys2[equal], at2[equal] = key, place
                equal += 1
        for i in range(equal):
            keys[taken + i], at[taken + i] = keys2[i], at2[i]
        left = equal
        byte -= 1
    if byte >= 0 and left > k - taken:
        for i in range(left):
            keys2[i], at2[i] = keys[taken + i], at[taken + i]
        insert_pairs(keys2, at2, left)
        for i in range(left):
            keys[taken + i], at[taken + i] = keys2[i], at2[i]


@inline
def last_pair(keys, at, n):
    """Where the largest of n pairs stands; of equal keys, the one whose place is last."""
    last = i64(0)
    for i in range(1, n):
        if keys[i] > keys[last] or keys[i] == keys[last] and at[i] > at[last]:
            last = i64(i)
    return last
