"""The Python side of the CPU run-time: tables, launches, memory and threads.

It builds the state array, makes CPython built-ins of the compiled functions of `runtime` and `known`, and starts the worker threads.
Their code is loaded (`load`) when the first block of memory or the first table is wanted, so that an import loads none.
With ``NUMBA_DISABLE_JIT=1`` the same names are plain Python (`plain`).
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import os
import threading

import numpy as np

from numtape.kernels import library
from numtape.kernels.cpu import state as at


class Table:
    """A launch as data: the kernel, the number of work units, how they may be split, and the kernel's slots.

    `arguments` leading slots (addresses, then scalars) are given at each launch; `constants` follow them. `grain` is the
    least number of units worth a thread (0: never split). `nbytes` is the size of the output of `launch_new`.
    """

    __slots__ = ("address", "kernel", "words")

    def __init__(self, kernel, units, grain, arguments, constants, *, nbytes=0, scratch=False):
        load()
        count = arguments + len(constants)
        if count > at.MAX_SLOTS:
            raise RuntimeError(f"{kernel.name}: a kernel takes at most {at.MAX_SLOTS} slots, this layout needs {count}; use fewer dimensions")
        words = np.zeros(at.TABLE_SLOTS + count, np.int64)
        words[: at.TABLE_SLOTS] = [kernel.address, units, grain, count, nbytes, at.NEEDS_SCRATCH if scratch else 0, 0, 0]
        words[at.TABLE_SLOTS + arguments :] = constants
        self.kernel, self.words, self.address = kernel, words, words.ctypes.data
        if grain and units > grain:
            start_workers()


def launched(since: int) -> list[library.Kernel]:
    """The kernels launched since launch number `since`, as far as the log of launches reaches back."""
    kernels = {k.address: k for k in library.all_kernels()}
    return [kernels[address] for address in launched_addresses(since) if address in kernels]


if library.JIT:
    state = np.zeros(at.STATE_WORDS + 8, np.int64)
    state = state[(-state.ctypes.data // 8) % 8 :][: at.STATE_WORDS]  # on a cache line's edge

    def python_address(name):
        return ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value

    _libc = ctypes.CDLL(None)

    def _c(name):
        return ctypes.cast(getattr(_libc, name), ctypes.c_void_p).value

    for _word, _address in {
        at.AS_LONG_LONG: python_address("PyLong_AsLongLong"),
        at.ERR_OCCURRED: python_address("PyErr_Occurred"),
        at.ERR_NO_MEMORY: python_address("PyErr_NoMemory"),
        at.FLOAT_TYPE: id(float),
        at.NONE: id(None),
        at.INC_REF: python_address("Py_IncRef"),
        at.DEC_REF: python_address("Py_DecRef"),
        at.OBJECT_NEW: python_address("_PyObject_New"),
        at.OBJECT_FREE: python_address("PyObject_Free"),
        at.SAVE_THREAD: python_address("PyEval_SaveThread"),
        at.RESTORE_THREAD: python_address("PyEval_RestoreThread"),
        at.CALL: python_address("PyObject_Vectorcall"),
        at.POSIX_MEMALIGN: _c("posix_memalign"),
        at.FREE: _c("free"),
        at.SCHED_YIELD: _c("sched_yield"),
        at.MUTEX_LOCK: _c("pthread_mutex_lock"),
        at.MUTEX_UNLOCK: _c("pthread_mutex_unlock"),
        at.CONDITION_WAIT: _c("pthread_cond_wait"),
        at.CONDITION_BROADCAST: _c("pthread_cond_broadcast"),
        at.CACHE_LIMIT: int(float(os.environ.get("NUMTAPE_MEMORY_CACHE_MB") or 1 << 10) * (1 << 20)),
        at.THREADS: 1,
    }.items():
        state[_word] = _address

    def _compiled(name, parameters=3, returns=True, file="runtime"):
        with open(os.path.join(os.path.dirname(__file__), f"{file}.py"), encoding="utf-8") as source:
            text = source.read()
        module = f"{__package__}.{file}"
        return library.address_of(f"{file}.{name}", text, name, module=module, parameters=parameters, returns=returns)

    class _MethodDef(ctypes.Structure):
        _fields_ = [("name", ctypes.c_char_p), ("code", ctypes.c_void_p), ("flags", ctypes.c_int), ("doc", ctypes.c_char_p)]

    class _MemberDef(ctypes.Structure):
        _fields_ = [
            ("name", ctypes.c_char_p),
            ("type", ctypes.c_int),
            ("offset", ctypes.c_ssize_t),
            ("flags", ctypes.c_int),
            ("doc", ctypes.c_char_p),
        ]

    class _Slot(ctypes.Structure):
        _fields_ = [("slot", ctypes.c_int), ("value", ctypes.c_void_p)]

    class _Spec(ctypes.Structure):
        _fields_ = [
            ("name", ctypes.c_char_p),
            ("basicsize", ctypes.c_int),
            ("itemsize", ctypes.c_int),
            ("flags", ctypes.c_uint),
            ("slots", ctypes.POINTER(_Slot)),
        ]

    _kept: list = []  # C structures that must live as long as the process

    def _storage_type():
        """The type of storage objects; numbers are those of CPython's structmember.h and typeslots.h."""
        longlong, thing, readonly = 17, 6, 1
        members = (_MemberDef * 6)(
            _MemberDef(b"address", longlong, at.STORAGE_ADDRESS, readonly, b"the address of the first byte"),
            _MemberDef(b"nbytes", longlong, at.STORAGE_NBYTES, readonly, b"the size in bytes"),
            _MemberDef(b"version", longlong, at.STORAGE_VERSION, 0, b"how many times it was written in place"),
            _MemberDef(b"owner", thing, at.STORAGE_OWNER, readonly, b"the object whose memory this is, or None"),
            _MemberDef(b"writer", thing, at.STORAGE_WRITER, 0, b"the name of the op that wrote it last in place, or None"),
        )
        dealloc, member_table = 52, 72
        slots = (_Slot * 3)(
            _Slot(dealloc, _compiled("storage_dealloc", parameters=1, returns=False)),
            _Slot(member_table, ctypes.addressof(members)),
        )
        no_instances = 1 << 7
        spec = _Spec(b"numtape.storage.Storage", at.STORAGE_SIZE, 0, no_instances, slots)
        _kept.extend([members, slots, spec])
        make = ctypes.pythonapi.PyType_FromSpec
        make.restype, make.argtypes = ctypes.py_object, [ctypes.c_void_p]
        return make(ctypes.addressof(spec))

    _no_code = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)(lambda self, args, nargs: None)
    _new_builtin = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p)(("PyCFunction_NewEx", ctypes.pythonapi))
    _nothing_yet = ctypes.cast(_no_code, ctypes.c_void_p).value
    _builtins: dict = {}  # (file, name) -> the definitions of its built-ins
    _code: dict = {}  # (file, name) -> the address of its code, once loaded

    def builtin(doc, *options, file="runtime"):
        """A built-in function of a compiled one, whose name `doc` begins with; it sees (state, *options). Until `load` it returns None."""
        name, fastcall = doc.partition("(")[0], 0x80
        source = file, {"launch_new": "launch"}.get(name, name)
        definition = _MethodDef(name.encode(), _code.get(source) or _nothing_yet, fastcall, doc.encode())
        box = np.array([state.ctypes.data, *options], np.int64)  # what the function gets as self; it reads the array's data
        _kept.extend([definition, box])
        _builtins.setdefault(source, []).append(definition)
        return _new_builtin(ctypes.addressof(definition), box, None)

    _loading = threading.RLock()

    def load():
        """Give every built-in its code."""
        if _code:
            return
        with _loading:
            if _code:
                return
            found = {(file, name): _compiled(name, file=file) for file, name in _builtins}
            storage_type = _storage_type()
            _kept.append(storage_type)
            state[at.STORAGE_TYPE] = id(storage_type)
            for source, definitions in _builtins.items():
                for definition in definitions:
                    definition.code = found[source]
            globals().update(allocate=_allocate, wrap=_wrap, empty_cache=_empty_cache)
            _code.update(found)

    launch = builtin("launch(table, argument, ...) -> None", 0)
    launch_new = builtin("launch_new(table, argument, ...) -> Storage", 1)
    _allocate = builtin("allocate(nbytes) -> Storage")
    _wrap = builtin("wrap(address, nbytes, owner) -> Storage")
    _empty_cache = builtin("empty_cache() -> None")

    def allocate(nbytes):
        load()
        return _allocate(nbytes)

    def wrap(address, nbytes, owner):
        load()
        return _wrap(address, nbytes, owner)

    def empty_cache():
        load()
        return _empty_cache()

    # -------------------------------------------------------------------------------------------- threads
    _pool_lock = threading.Lock()
    _started = 0
    _worker = None

    def start_workers():
        """Start the missing worker threads; called when a table is made that is worth splitting."""
        global _started, _worker
        if _started >= state[at.THREADS] - 1:
            return
        with _pool_lock:
            if _worker is None:
                _worker = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 3)(_compiled("worker", returns=False))
            while _started < state[at.THREADS] - 1:
                scratch = np.empty(at.SCRATCH_BYTES + 4096, np.uint8)
                _kept.append(scratch)
                address = -(-scratch.ctypes.data // 4096) * 4096
                ready = int(state[at.READY])
                thread = threading.Thread(
                    target=_worker, args=(state.ctypes.data, _started, address), name=f"numtape-{_started + 1}", daemon=True
                )
                thread.start()
                while state[at.READY] == ready:  # until it runs, every job is silently serial
                    pass
                _started += 1

    def set_num_threads(count: int) -> None:
        state[at.THREADS] = count

    def get_num_threads() -> int:
        return int(state[at.THREADS])

    def _after_fork():
        """A child has no workers: forget the parent's, and start its own when they are next wanted."""
        global _started
        _started = 0
        state[[at.BUSY, at.READY, at.SLEEPERS]] = 0
        state[at.MUTEX : at.MUTEX + 32] = 0
        _initialise_locks()

    def _initialise_locks():
        _libc.pthread_mutex_init(ctypes.c_void_p(state[at.MUTEX :].ctypes.data), None)
        _libc.pthread_cond_init(ctypes.c_void_p(state[at.CONDITION :].ctypes.data), None)

    _initialise_locks()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_after_fork)
    atexit.register(lambda: state.__setitem__(at.THREADS, 1))
    state[at.THREADS] = int(os.environ.get("NUMTAPE_NUM_THREADS") or len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)

    def memory_stats() -> dict[str, int]:
        return {"live": int(state[at.LIVE_BYTES]), "peak": int(state[at.PEAK_BYTES]), "cached": int(state[at.CACHED_BYTES])}

    def reset_peak() -> None:
        state[at.PEAK_BYTES] = state[at.LIVE_BYTES]

    def cache_limit() -> int:
        return int(state[at.CACHE_LIMIT])

    def set_cache_limit(nbytes: int) -> None:
        state[at.CACHE_LIMIT] = nbytes
        if state[at.CACHED_BYTES] > nbytes:
            empty_cache()

    @functools.cache
    def capsule_destructor() -> int:
        """The address of a destructor for DLPack capsules (see `runtime.capsule_dealloc`)."""
        return _compiled("capsule_dealloc", parameters=1, returns=False)

    def launch_count() -> int:
        return int(state[at.LAUNCHES])

    def launched_addresses(since: int) -> list[int]:
        """The addresses of the kernels launched since launch number `since`, as far as the log of the last 256 reaches."""
        count = launch_count()
        return [int(state[at.LOG + i % at.LOG_LENGTH]) for i in range(max(since, count - at.LOG_LENGTH), count)]
else:
    from numtape.kernels.cpu.plain import *  # noqa: F403


class index_check:
    """Two words that a kernel sets when an index is out of range; `check` raises the error once the kernel has run, and ends the use."""

    __slots__ = ("address", "dim", "n", "name", "words")
    _free: list = []  # words of checks that found nothing, to be used again: making them costs more than a small kernel

    def __init__(self, name: str, n: int, dim: int):
        self.name, self.n, self.dim = name, n, dim
        try:
            self.words, self.address = self._free.pop()
        except IndexError:
            self.words = (ctypes.c_int64 * 2)()
            self.address = ctypes.addressof(self.words)

    def check(self) -> None:
        words, self.words = self.words, None
        if words[0]:
            raise IndexError(f"{self.name}: index {words[1]} is out of bounds for dimension {self.dim} with size {self.n}")
        self._free.append((words, self.address))
