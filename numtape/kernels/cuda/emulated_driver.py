"""A CUDA driver in plain Python: the functions of ``cuda.bindings.driver`` that numtape calls, over host memory.

It is strict where a card is merely fast. A stream is a queue that runs only when something waits for it, so a missing
synchronisation shows as wrong data; events order streams and nothing else does. Memory is filled with 0xCD when it is allocated and
when it is freed, and queued work that meets freed memory raises. Launches are held to a card's limits. Kernels run in `emulator`.

Bad arguments give result codes, as with a driver; what a driver would not notice raises `Violation` where the work runs.
"""

from __future__ import annotations

import bisect
import collections
import ctypes
import enum
import itertools
import os
import threading
import time

import numpy as np

POISON = 0xCD
PARAMETERS = 768  # bytes of the block that is the one parameter of every kernel
PARAMETER_POINTER, PARAMETER_SIZE = 1, 2  # keys in the `extra` of a launch


DEFAULT_STREAMS = (1, 2)  # handles of the legacy default stream and of the thread's own


class CUresult(enum.IntEnum):
    CUDA_SUCCESS = 0
    CUDA_ERROR_INVALID_VALUE = 1
    CUDA_ERROR_OUT_OF_MEMORY = 2
    CUDA_ERROR_NOT_INITIALIZED = 3
    CUDA_ERROR_NO_DEVICE = 100
    CUDA_ERROR_INVALID_DEVICE = 101
    CUDA_ERROR_INVALID_IMAGE = 200
    CUDA_ERROR_INVALID_CONTEXT = 201
    CUDA_ERROR_INVALID_HANDLE = 400
    CUDA_ERROR_NOT_FOUND = 500
    CUDA_ERROR_NOT_READY = 600


OK, BAD_VALUE, BAD_HANDLE, NOT_READY = CUresult(0), CUresult(1), CUresult(400), CUresult(600)

# Device attributes by number, as cuda.h has them.
ATTRIBUTES = {1: 1024, 2: 1024, 3: 1024, 4: 64, 5: 2**31 - 1, 6: 65535, 7: 65535, 8: 49152, 10: 32, 13: 1_000_000, 16: 2, 38: 50 << 20, 39: 2048}
ATTRIBUTES |= {75: 9, 76: 0, 81: 233472, 97: 232448}


class Violation(RuntimeError):
    """Something that a card would do without a word, and that gives wrong results there."""


class _Block:
    """Memory of the card, or pinned memory of the host."""

    def __init__(self, nbytes, context, pinned):
        self.array = np.full(nbytes + 512, POISON, np.uint8)
        self.address = -(-self.array.ctypes.data // 512) * 512
        self.nbytes, self.context, self.pinned, self.freed = nbytes, context, pinned, False


class _Stream:
    def __init__(self, context):
        self.context, self.work = context, collections.deque()


class _Mark:
    """One recording of an event: a place in a stream's queue."""

    def __init__(self, stream):
        self.stream, self.time = stream, None


class _Event:
    def __init__(self, context, timed):
        self.context, self.timed, self.mark = context, timed, None


class _Function:
    def __init__(self, context, name, threads, code):
        self.context, self.name, self.threads, self.code = context, name, threads, code


class Machine:
    """An emulated computer with `devices` cards of `total` bytes each; its methods are the driver's functions.

    `eager` runs work as soon as it is queued: the other extreme of what a card may do. `launches` counts launches, and `refused` keeps
    the name and reason of each call that was answered with an error.
    """

    CUresult = CUresult
    CUdevice_attribute = int

    @classmethod
    def of_environment(cls) -> Machine:
        """The emulated machine of this process: NUMTAPE_CUDA_DEVICES cards, eager where CUDA_LAUNCH_BLOCKING=1."""
        return cls(int(os.environ.get("NUMTAPE_CUDA_DEVICES") or 1), eager=os.environ.get("CUDA_LAUNCH_BLOCKING", "0") not in ("", "0"))

    def __init__(self, devices=1, total=8 << 30, eager=False, version=13000):
        from numtape.kernels.cuda import emulator

        self.emulator, self.memory = emulator, emulator.Memory()
        self.devices, self.total, self.eager, self.version = devices, total, eager, version
        self.blocks: dict[int, _Block] = {}
        self.starts: list[int] = []  # their addresses, sorted
        self.used: collections.Counter = collections.Counter()  # bytes of each context's card
        self.quarantine: collections.deque = collections.deque(maxlen=8)  # freed memory, kept so that stray readers see the poison
        self.objects: dict[int, object] = {}
        self.handles = itertools.count(0x1000, 16)
        self.contexts: dict[int, int] = {}
        self.defaults: dict[tuple, _Stream] = {}  # the streams that every context has, by handle and context
        self.here = threading.local()
        self.lock = threading.RLock()
        self.initialised, self.launches, self.refused = False, 0, []

    # -------------------------------------------------------------------------------------------- helpers
    def _new(self, thing):
        handle = next(self.handles)
        self.objects[handle] = thing
        return OK, handle

    def _get(self, handle, kind, here=False):
        """What stands behind a handle, if it is of that kind (and of the thread's context)."""
        number = int(handle)
        if kind is _Stream and number in DEFAULT_STREAMS:
            return self.defaults.setdefault((number, self._context()), _Stream(self._context()))
        thing = self.objects.get(number)
        return thing if type(thing) is kind and (not here or thing.context == self._context()) else None

    def _context(self):
        return getattr(self.here, "context", 0)

    def _no(self, reason, code=BAD_VALUE, *nothing):
        self.refused.append(reason)
        return code, *nothing

    def live(self) -> int:
        """How many allocations, on cards and pinned, have not been freed."""
        return len(self.blocks)

    def _block(self, address, nbytes):
        """The block that holds all of these bytes, or None."""
        at = bisect.bisect_right(self.starts, address)
        found = self.blocks[self.starts[at - 1]] if at else None
        return found if found is not None and address + nbytes <= found.address + found.nbytes else None

    # -------------------------------------------------------------------------------------------- queues
    def _queue(self, stream, work):
        stream.work.append(work)
        if self.eager:
            self._run(stream)
        return (OK,)

    def _run(self, stream, until=None):
        """Run what is queued in `stream`, up to the mark `until`; work on other streams runs only where it is waited for."""
        while stream.work and (until is None or until.time is None):
            self._step(stream)

    def _step(self, stream):
        work = stream.work.popleft()
        if isinstance(work, _Mark):
            if work.stream is stream:
                work.time = time.perf_counter()
            else:
                self._run(work.stream, work)
        else:
            work()

    def _run_all(self, context):
        for thing in [*self.objects.values(), *self.defaults.values()]:
            if type(thing) is _Stream and thing.context == context:
                self._run(thing)

    # -------------------------------------------------------------------------------------------- the machine
    def cuInit(self, flags):
        self.initialised = True
        return (OK,) if self.devices else (CUresult.CUDA_ERROR_NO_DEVICE,)

    def cuDriverGetVersion(self):
        return OK, self.version

    def cuGetErrorName(self, code):
        return OK, CUresult(code).name.encode()

    def cuGetErrorString(self, code):
        return OK, CUresult(code).name.removeprefix("CUDA_ERROR_").replace("_", " ").lower().encode()

    def cuDeviceGetCount(self):
        return (OK, self.devices) if self.initialised else (CUresult.CUDA_ERROR_NOT_INITIALIZED, 0)

    def cuDeviceGet(self, index):
        return (OK, index) if 0 <= index < self.devices else (CUresult.CUDA_ERROR_INVALID_DEVICE, None)

    def cuDeviceGetName(self, size, device):
        return OK, b"emulated card".ljust(size, b"\0")

    def cuDeviceTotalMem(self, device):
        return OK, self.total

    def cuDeviceGetAttribute(self, attribute, device):
        return (OK, ATTRIBUTES[attribute]) if attribute in ATTRIBUTES else (BAD_VALUE, None)

    def cuDevicePrimaryCtxRetain(self, device):
        return OK, self.contexts.setdefault(device, 0x100 + device)

    def cuCtxSetCurrent(self, context):
        if context not in self.contexts.values():
            return (CUresult.CUDA_ERROR_INVALID_CONTEXT,)
        self.here.context = context
        return (OK,)

    def cuCtxGetCurrent(self):
        return OK, self._context()

    def cuCtxSynchronize(self):
        if not self._context():
            return (CUresult.CUDA_ERROR_INVALID_CONTEXT,)
        with self.lock:
            self._run_all(self._context())
        return (OK,)

    # -------------------------------------------------------------------------------------------- memory
    def _allocate(self, nbytes, pinned):
        if not self._context():
            return CUresult.CUDA_ERROR_INVALID_CONTEXT, None
        if nbytes <= 0:
            return self._no("an allocation of no bytes", BAD_VALUE, None)
        with self.lock:
            if not pinned and self.used[self._context()] + nbytes > self.total:
                return CUresult.CUDA_ERROR_OUT_OF_MEMORY, None
            block = _Block(nbytes, self._context(), pinned)
            self.blocks[block.address] = block
            bisect.insort(self.starts, block.address)
            self.used[block.context] += 0 if pinned else nbytes
            self.memory.add(block.address, nbytes, shared=pinned)
        return OK, block.address

    def _free(self, address, pinned):
        with self.lock:
            block = self.blocks.get(int(address))
            if block is None or block.pinned != pinned:
                return self._no(f"free of {int(address):#x}, where nothing is allocated")
            del self.blocks[block.address]
            self.starts.remove(block.address)
            self.used[block.context] -= 0 if pinned else block.nbytes
            self.memory.remove(block.address)
            block.freed = True
            block.array[:] = POISON
            self.quarantine.append(block)
        return (OK,)

    def cuMemAlloc(self, nbytes):
        return self._allocate(nbytes, False)

    def cuMemFree(self, address):
        return self._free(address, False)

    def cuMemAllocAsync(self, nbytes, stream):
        return self._allocate(nbytes, False) if self._get(stream, _Stream) else (BAD_HANDLE, None)

    def cuMemFreeAsync(self, address, stream):
        queue = self._get(stream, _Stream)
        if queue is None:
            return (BAD_HANDLE,)
        if int(address) not in self.blocks:
            return self._no(f"free of {int(address):#x}, where nothing is allocated")
        return self._queue(queue, lambda: self._must(self._free(address, False)))

    def _must(self, result):
        if result[0]:
            raise Violation(self.refused[-1])

    def cuMemHostAlloc(self, nbytes, flags):
        return self._allocate(nbytes, True)

    def cuMemFreeHost(self, address):
        return self._free(address, True)

    def cuMemHostGetDevicePointer(self, address, flags):
        block = self._block(int(address), 1)
        return (OK, int(address)) if block is not None and block.pinned else self._no("not pinned memory", BAD_VALUE, None)

    def cuMemGetInfo(self):
        return OK, self.total - self.used[self._context()], self.total

    # -------------------------------------------------------------------------------------------- copies
    def _copy(self, to, source, nbytes, stream, on_card):
        """Queue a copy; `on_card` says which of the two ends, (to, source), are memory of a card."""
        queue = self._get(stream, _Stream)
        if not self._context():
            return (CUresult.CUDA_ERROR_INVALID_CONTEXT,)
        if queue is None:
            return (BAD_HANDLE,)
        ends = []
        for address, card in zip((int(to), int(source)), on_card):
            block = self._block(address, nbytes)
            if nbytes and card and (block is None or block.pinned):
                return self._no(f"a copy of {nbytes} bytes at {address:#x} is not inside one allocation of the card")
            ends.append(block)

        def copy():
            if any(b is not None and b.freed for b in ends):
                raise Violation(f"a queued copy of {nbytes} bytes meets memory that was freed")
            ctypes.memmove(int(to), int(source), nbytes)

        return self._queue(queue, copy)

    def cuMemcpyHtoDAsync(self, to, source, nbytes, stream):
        return self._copy(to, source, nbytes, stream, (True, False))

    def cuMemcpyDtoHAsync(self, to, source, nbytes, stream):
        return self._copy(to, source, nbytes, stream, (False, True))

    def cuMemcpyDtoDAsync(self, to, source, nbytes, stream):
        return self._copy(to, source, nbytes, stream, (True, True))

    def cuMemcpyPeerAsync(self, to, to_context, source, source_context, nbytes, stream):
        return self._copy(to, source, nbytes, stream, (True, True))

    def cuMemsetD8Async(self, address, value, nbytes, stream):
        queue, block = self._get(stream, _Stream), self._block(int(address), nbytes)
        if queue is None:
            return (BAD_HANDLE,)
        if nbytes and (block is None or block.pinned):
            return self._no(f"a fill of {nbytes} bytes at {int(address):#x} is not inside one allocation of the card")

        def fill():
            if block.freed:
                raise Violation(f"a queued fill of {nbytes} bytes meets memory that was freed")
            ctypes.memset(int(address), value, nbytes)

        return self._queue(queue, fill if nbytes else lambda: None)

    # -------------------------------------------------------------------------------------------- streams and events
    def cuStreamCreateWithPriority(self, flags, priority):
        return self._new(_Stream(self._context())) if self._context() else (CUresult.CUDA_ERROR_INVALID_CONTEXT, None)

    def cuStreamSynchronize(self, stream):
        queue = self._get(stream, _Stream)
        if queue is None:
            return (BAD_HANDLE,)
        with self.lock:
            self._run(queue)
        return (OK,)

    def cuStreamQuery(self, stream):
        """Each question lets one piece of work run, so that waiting by asking comes to an end."""
        queue = self._get(stream, _Stream)
        if queue is None:
            return (BAD_HANDLE,)
        with self.lock:
            if queue.work:
                self._step(queue)
        return (NOT_READY if queue.work else OK,)

    def cuStreamWaitEvent(self, stream, event, flags):
        queue, found = self._get(stream, _Stream), self.objects.get(int(event))
        if queue is None or type(found) is not _Event:
            return (BAD_HANDLE,)
        return self._queue(queue, found.mark) if found.mark is not None else (OK,)

    def cuEventCreate(self, flags):
        return self._new(_Event(self._context(), not flags & 2)) if self._context() else (CUresult.CUDA_ERROR_INVALID_CONTEXT, None)

    def cuEventDestroy(self, event):
        return (OK,) if type(self.objects.pop(int(event), None)) is _Event else (BAD_HANDLE,)

    def cuEventRecord(self, event, stream):
        queue, found = self._get(stream, _Stream), self._get(event, _Event)
        if queue is None or found is None or queue.context != found.context:
            return (BAD_HANDLE,)
        found.mark = _Mark(queue)
        return self._queue(queue, found.mark)

    def cuEventQuery(self, event):
        found = self._get(event, _Event)
        if found is None:
            return (BAD_HANDLE,)
        with self.lock:
            if found.mark is not None and found.mark.time is None:
                self._step(found.mark.stream)
        return (OK if found.mark is None or found.mark.time is not None else NOT_READY,)

    def cuEventSynchronize(self, event):
        found = self._get(event, _Event)
        if found is None:
            return (BAD_HANDLE,)
        if found.mark is not None:
            with self.lock:
                self._run(found.mark.stream, found.mark)
        return (OK,)

    def cuEventElapsedTime(self, start, end):
        marks = [self._get(e, _Event) for e in (start, end)]
        if any(e is None or e.mark is None or not e.timed for e in marks):
            return BAD_HANDLE, 0.0
        if any(e.mark.time is None for e in marks):
            return NOT_READY, 0.0
        return OK, (marks[1].mark.time - marks[0].mark.time) * 1e3

    # -------------------------------------------------------------------------------------------- kernels
    def cuModuleLoadData(self, image):
        """The image is the kernel's name, its largest block and its text, with zeros between."""
        if not self._context():
            return CUresult.CUDA_ERROR_INVALID_CONTEXT, None
        parts = bytes(image).decode().split("\0", 2)
        if len(parts) != 3:
            return CUresult.CUDA_ERROR_INVALID_IMAGE, None
        return self._new(_Function(self._context(), parts[0], int(parts[1]), self.emulator.function(parts[0], parts[2])))

    def cuModuleGetFunction(self, module, name):
        return (OK, module) if name == b"kernel" and self._get(module, _Function, True) else (CUresult.CUDA_ERROR_NOT_FOUND, None)

    def cuLaunchKernel(self, function, gx, gy, gz, bx, by, bz, shared, stream, parameters, extra):
        queue, found = self._get(stream, _Stream, True), self._get(function, _Function, True)
        if queue is None or found is None:
            return (BAD_HANDLE,)
        if not (0 < gx < 2**31 and 0 < gy < 65536 and 0 < gz < 65536):
            return self._no(f"{found.name}: a grid of {(gx, gy, gz)} is out of range")
        if min(bx, by, bz) < 1 or bz > 64 or bx * by * bz > min(found.threads, 1024):
            return self._no(f"{found.name}: a block of {(bx, by, bz)} threads, where {found.threads} are the most")
        words = (ctypes.c_int64 * 5).from_address(int(extra))
        given = dict(zip(words[0:4:2], words[1:4:2]))
        if words[4] or set(given) != {PARAMETER_POINTER, PARAMETER_SIZE} or parameters:
            return self._no(f"{found.name}: the parameters are not one packed block")
        size = ctypes.c_int64.from_address(given[PARAMETER_SIZE]).value
        if size != PARAMETERS:
            return self._no(f"{found.name}: {size} bytes of parameters, expected {PARAMETERS}")
        slots = np.frombuffer(ctypes.string_at(given[PARAMETER_POINTER], size), np.int64)
        self.launches += 1
        return self._queue(queue, lambda: self.emulator.run(found.code, (gx, gy, gz), (bx, by, bz), slots, self.memory))
