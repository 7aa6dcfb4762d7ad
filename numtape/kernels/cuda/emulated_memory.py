"""The emulator's memory: device memory by address, shared memory of a block, stacks of threads. Every access is checked.

Checked is the range (nothing may be touched outside of the allocation or array that a pointer points into), alignment (a card takes an
element only from a multiple of its size), races (see `emulated_state`), and that shared and stack memory is written before it is read.
"""

from __future__ import annotations

import bisect
import ctypes

import numpy as np

from numtape.kernels.cuda.emulated_state import SEVERAL_BLOCKS, OutOfRange, fail, now, race
from numtape.kernels.cuda.plain_twins import CASTS, SCALARS

SIZES = {name: np.dtype(T).itemsize for name, T in SCALARS.items()}
SHARED_BYTES = 48 * 1024  # what a block can have without asking


# ------------------------------------------------------------------------------------------------ allocations
class Memory:
    """The device memory that kernels may touch: allocations by address, in bytes.

    >>> memory = Memory()
    >>> memory.add(4096, 64)
    >>> memory.check(4156, 4, writing=True)
    >>> memory.check(4160, 4, writing=False)
    Traceback (most recent call last):
    numtape.kernels.cuda.emulated_state.OutOfRange: 4 bytes read at 0x1040: 0 bytes past the end of the nearest allocation, 64 bytes at 0x1000
    """

    def __init__(self):
        self._starts = []  # sorted
        self._allocations = {}
        self._empty = []  # addresses of allocations without bytes, which may lie anywhere

    def add(self, address: int, nbytes: int, shared: bool = False):
        """An allocation, to be seen by kernels. `shared`: threads may race for it, as they do for a cell that any of them sets."""
        if nbytes == 0:
            self._empty.append(address)
            return
        at = bisect.bisect_right(self._starts, address)
        before = self._allocations[self._starts[at - 1]].end if at else address
        after = self._starts[at] if at < len(self._starts) else address + nbytes
        if before > address or after < address + nbytes:
            raise ValueError(f"Memory.add: {nbytes} bytes at {address:#x} overlap with an allocation that was not removed")
        self._allocations[address] = Allocation(address, nbytes, shared)
        bisect.insort(self._starts, address)

    def remove(self, address: int):
        """The allocation that starts at the address is gone."""
        if address in self._empty:
            self._empty.remove(address)
            return
        if self._allocations.pop(address, None) is None:
            raise KeyError(f"Memory.remove: no allocation starts at {address:#x}")
        self._starts.remove(address)

    def find(self, address):
        """The allocation that holds the byte at the address, or None."""
        at = bisect.bisect_right(self._starts, address)
        found = self._allocations[self._starts[at - 1]] if at else None
        return found if found is not None and address < found.end else None

    def check(self, address: int, nbytes: int, writing: bool):
        """Raise `OutOfRange` unless the bytes lie in one allocation."""
        found = self.find(address)
        if found is None or address + nbytes > found.end:
            raise OutOfRange(f"{nbytes} bytes {'written' if writing else 'read'} at {address:#x}: {self.nearest(address)}")

    def nearest(self, address):
        """Where an address lies, seen from the nearest allocation, in words."""
        at = bisect.bisect_right(self._starts, address)
        near = [self._allocations[start] for start in self._starts[max(at - 1, 0) : at + 1]]
        if not near:
            return "there are no allocations"
        distance, found = min(((a.start - address if address < a.start else max(address - a.end, 0)), a.start) for a in near)
        found = self._allocations[found]
        side = "before" if address < found.start else "past the end of"
        where = "inside" if found.start <= address < found.end else f"{distance} bytes {side}"
        return f"{where} the nearest allocation, {found.end - found.start} bytes at {found.start:#x}"


class Allocation:
    """A run of bytes; `racy` ones are free of race checks. It holds views for each dtype, and the stamps of the launch that runs."""

    __slots__ = ("base", "end", "racy", "stamps", "start", "views")

    def __init__(self, start, nbytes, racy):
        self.start, self.end, self.racy = start, start + nbytes, racy
        self.base = start - start % 8  # where elements are counted from, so that all are aligned
        self.views, self.stamps = {}, {}

    def view(self, name):
        """(elements, low, high): the allocation as elements of a dtype, of which numbers low to high - 1 are inside."""
        found = self.views.get(name)
        if found is None:
            size = SIZES[name]
            low, high = -(-(self.start - self.base) // size), (self.end - self.base) // size
            buffer = (ctypes.c_char * (max(high, 0) * size)).from_address(self.base)
            found = self.views[name] = np.frombuffer(buffer, SCALARS[name]), low, high
        return found

    def stamps_of(self, size):
        """The `Stamps` of elements of so many bytes."""
        found = self.stamps.get(size)
        if found is None:
            now.touched.add(self)
            found = Stamps(size, list(self.stamps.values()))
            for other in self.stamps.values():
                other.others.append(found)
            self.stamps[size] = found
        return found


class Stamps:
    """Who last wrote and who read each element, by its number. `others` are the stamps of elements of other sizes in the same bytes."""

    __slots__ = ("others", "readers", "size", "written")

    def __init__(self, size, others):
        self.size, self.others, self.written, self.readers = size, others, {}, {}

    def overlapping(self, offset, nbytes):
        """The stamps of what overlaps with some bytes: writers, readers."""
        elements = range(offset // self.size, (offset + nbytes - 1) // self.size + 1)
        return [[stamps[k] for k in elements if k in stamps] for stamps in (self.written, self.readers)]


# ------------------------------------------------------------------------------------------------ device memory
class Pointer:
    """``out_f32(address)``: a typed pointer into device memory, indexed without bounds or wrap-around of negative indices.

    It belongs to the allocation that holds its address, and may touch nothing outside of it. An address in no allocation (of an empty
    tensor, or before its first element) is no fault by itself; each access is then looked up.
    """

    __slots__ = ("address", "allocation", "first", "high", "low", "name", "others", "readers", "size", "values", "written")
    role = "out"

    def __init__(self, address, name, allocation):
        self.address, self.name, self.size = address, name, SIZES[name]
        self.first = self.low = self.high = 0
        self.allocation = allocation
        if allocation is not None and address % self.size == 0:
            stamps = allocation.stamps_of(self.size)
            self.written, self.readers, self.others = stamps.written, stamps.readers, stamps.others
            self.values, self.low, self.high = allocation.view(name)
            self.first = (address - allocation.base) // self.size

    def __getitem__(self, i):
        k = self.first + i
        if not self.low <= k < self.high:
            return self.elsewhere(i, False)[0]
        stamp = self.written.get(k)
        if stamp is not None:
            self.read_written(k, stamp)
        me = now.me
        stamp = self.readers.get(k)
        if stamp != me and stamp != now.several:
            self.readers[k] = self.joined(stamp, me)
        if self.others:
            self.check_others(k, False)
        return self.values[k]

    def __setitem__(self, i, value):
        k = self.first + i
        if not self.low <= k < self.high:
            self.elsewhere(i, True)[0] = value
            return
        me = now.me
        stamp = self.written.get(k, me)
        if stamp != me and not now.start <= stamp < now.phase:
            race("writes", self.place(k), stamp, "wrote")
        stamp = self.readers.get(k, me)
        if stamp != me and not now.start <= stamp < now.phase:
            race("writes", self.place(k), stamp, "read")
        if self.others:
            self.check_others(k, True)
        self.written[k] = me
        self.store(k, value)

    __iter__ = None

    def store(self, k, value):
        try:
            self.values[k] = value
        except (OverflowError, ValueError):
            self.values[k] = CASTS[self.name](value)

    def joined(self, stamp, me):
        """The stamp for two readings, of which the earlier one is None or another thread's: what a later write must be ordered after."""
        if stamp is None or now.start <= stamp < now.phase:
            return me
        return now.several if stamp >= now.phase else SEVERAL_BLOCKS

    def read_written(self, k, stamp):
        """Element k, which was written in this launch, is read."""
        if stamp != now.me and not now.start <= stamp < now.phase:
            race("reads", self.place(k), stamp, "wrote")

    def check_others(self, k, writing):
        """The same bytes, seen as elements of other sizes."""
        for other in self.others:
            writers, readers = other.overlapping(k * self.size, self.size)
            for stamps, did in ((writers, "wrote"), (readers if writing else (), "read")):
                for stamp in stamps:
                    if stamp != now.me and not now.start <= stamp < now.phase:
                        race("writes" if writing else "reads", self.place(k), stamp, f"{did} (as {other.size}-byte elements)")

    def elsewhere(self, i, writing):
        """A pointer to element i, which is not where this pointer belongs."""
        address = self.address + int(i) * self.size
        doing = f"{'writes' if writing else 'reads'} {self.role}_{self.name}({self.address:#x})[{i}]"
        if address % self.size:
            fail(f"misaligned: {doing}, but {address:#x} is not a multiple of {self.size} bytes")
        found = now.memory.find(address)
        if self.allocation is not None or found is None or address + self.size > found.end:
            fail(f"out of range: {doing}, {self.size} bytes at {address:#x}: {now.memory.nearest(address)}", OutOfRange)
        return pointer(self.role, self.name, address)

    def place(self, k):
        """Element k in words."""
        return f"{self.name} element {k - self.low} of {self.high - self.low} at {self.allocation.base + k * self.size:#x}"


class InPointer(Pointer):
    """``in_f32(address)``: a pointer that is only read, from what the kernel does not write."""

    __slots__ = ()
    role = "in"

    def __setitem__(self, i, value):
        fail(f"writes through in_{self.name}, which is for reading; out_{self.name} writes")

    def read_written(self, k, stamp):
        if stamp == now.me:
            fail(
                f"reads {self.place(k)} through in_{self.name} after writing it: a load through in_ may be moved above the store; "
                f"read it back through out_{self.name}"
            )
        super().read_written(k, stamp)


class RacyPointer(Pointer):
    """A pointer into an allocation that threads may race for."""

    __slots__ = ()

    def __getitem__(self, i):
        k = self.first + i
        return self.values[k] if self.low <= k < self.high else self.elsewhere(i, False)[0]

    def __setitem__(self, i, value):
        k = self.first + i
        if self.low <= k < self.high:
            self.store(k, value)
        else:
            self.elsewhere(i, True)[0] = value


def pointer(role, name, address):
    """The pointer of a role ("in" or "out") and dtype at an address."""
    allocation = now.memory.find(address)
    if allocation is not None and allocation.racy:
        return RacyPointer(address, name, allocation)
    return (InPointer if role == "in" else Pointer)(address, name, allocation)


# ------------------------------------------------------------------------------------------------ memory of a block, of a thread
class Stack:
    """``stack_f32(n)``: an array of one thread, uninitialised at each call."""

    __slots__ = ("count", "name", "values")
    kind = "stack"

    def __init__(self, name, count):
        self.name, self.count, self.values = name, count, [None] * count

    def __getitem__(self, i):
        if not 0 <= i < self.count:
            self.outside(i, "reads")
        value = self.values[i]
        if value is None:
            self.uninitialised(i)
        return value

    def __setitem__(self, i, value):
        if not 0 <= i < self.count:
            self.outside(i, "writes")
        self.values[i] = CASTS[self.name](value)

    __iter__ = None

    def place(self, i):
        return f"element {i} of {self.kind}_{self.name}({self.count})"

    def outside(self, i, doing):
        fail(f"out of range: {doing} {self.place(i)}", OutOfRange)

    def uninitialised(self, i):
        fail(f"uninitialised: reads {self.place(i)}, which nobody has written")


class Shared(Stack):
    """``shared_f32(n)``: an array of the block, uninitialised when the block begins."""

    __slots__ = ("readers", "written")
    kind = "shared"

    def __init__(self, name, count):
        super().__init__(name, count)
        self.written, self.readers = [0] * count, [0] * count
        used = SIZES[name] * count + sum(SIZES[array.name] * array.count for array in now.shared.values())
        if used > SHARED_BYTES:
            fail(f"{used} bytes of shared memory; a block has {SHARED_BYTES}")

    def __getitem__(self, i):
        if not 0 <= i < self.count:
            self.outside(i, "reads")
        me = now.me
        stamp = self.written[i]
        if stamp != me and stamp >= now.phase:
            race("reads", self.place(i), stamp, "wrote")
        stamp = self.readers[i]
        if stamp != me:
            self.readers[i] = me if stamp < now.phase else now.several
        value = self.values[i]
        if value is None:
            self.uninitialised(i)
        return value

    def __setitem__(self, i, value):
        if not 0 <= i < self.count:
            self.outside(i, "writes")
        me = now.me
        stamp = self.written[i]
        if stamp != me and stamp >= now.phase:
            race("writes", self.place(i), stamp, "wrote")
        stamp = self.readers[i]
        if stamp != me and stamp >= now.phase:
            race("writes", self.place(i), stamp, "read")
        self.written[i] = me
        self.values[i] = CASTS[self.name](value)

    def uninitialised(self, i):
        fail(f"uninitialised: reads {self.place(i)}, which no thread has written so far; is a barrier missing?")
