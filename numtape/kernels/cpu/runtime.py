"""The CPU run-time in Python compiled by Numba: the launcher, the thread pool and the allocator, as CPython built-ins.

`launch(table, argument, ...)` runs a kernel; `launch_new(table, argument, ...)` first allocates its output and returns it.
Both are built-in functions in CPython's METH_FASTCALL convention, called with addresses as plain ints, so a launch costs
about 0.1 us. A *table* is eight header words and the packed slots of a kernel (see `driver`). Here live also the storage
object's destructor, which puts its block on a free list, and the loop that each worker thread runs.

Python objects are reached by their fixed offsets (reference count 0, type 8, payload 16) and CPython's own functions by the
addresses that `driver` writes into the state array, because compiled objects are cached on disk and linked to nothing.
This module imports numba; a process with a warm cache never imports it.
"""

from numtape.kernels.cpu.state import *  # noqa: F403  (the word offsets of the state array and of tables)
from numtape.kernels.intrinsics import (
    atomic_add,
    atomic_load,
    atomic_store,
    call_0,
    call_1,
    call_2,
    call_3,
    call_4,
    compare_and_swap,
    cpu_pause,
    inline,
    leading_zeros,
    load_word,
    quotient,
    run_kernel,
    small,
    stack_words,
    store_word,
)

# ruff: noqa: F405

# ------------------------------------------------------------------------------------------------ memory
@inline
def size_class(nbytes):
    """The free list for a block: multiples of 64 up to 1 KiB, then four steps to each power of two."""
    n = max(nbytes, 1)
    if n <= 1024:
        return (n - 1) >> 6
    e = 63 - leading_zeros(n - 1)
    return 16 + (e - 10) * 4 + (((n - 1) >> (e - 2)) & 3)


@inline
def class_bytes(k):
    if k < 16:
        return (k + 1) << 6
    e = 10 + ((k - 16) >> 2)
    return (5 + ((k - 16) & 3)) << (e - 2)


@inline
def new_object(state, address, nbytes, owner, k):
    """A new storage object over memory that is there, or 0 with MemoryError set."""
    small()
    thing = call_1(load_word(state + 8 * OBJECT_NEW), load_word(state + 8 * STORAGE_TYPE))
    if thing != 0:
        store_word(thing + STORAGE_ADDRESS, address)
        store_word(thing + STORAGE_NBYTES, nbytes)
        store_word(thing + STORAGE_VERSION, 0)
        store_word(thing + STORAGE_OWNER, owner)
        store_word(thing + STORAGE_WRITER, 0)
        store_word(thing + STORAGE_CLASS, k)
        store_word(thing + STORAGE_STATE, state)
    return thing


@inline
def new_storage(state, nbytes):
    """A new storage object of `nbytes` (uninitialised), or 0 with MemoryError set."""
    small()
    k = size_class(nbytes)
    head = state + 8 * FREE_LISTS + 8 * k
    block = load_word(head)
    size = class_bytes(k)
    if block != 0:
        store_word(head, load_word(block))
        store_word(state + 8 * CACHED_BYTES, load_word(state + 8 * CACHED_BYTES) - size)
    else:
        cell = stack_words(1)
        store_word(cell, 0)
        align = 64 if size < (1 << 21) else 4096
        if call_3(load_word(state + 8 * POSIX_MEMALIGN), cell, align, size) & 0xFFFFFFFF != 0:
            return call_0(load_word(state + 8 * ERR_NO_MEMORY), 0)
        block = load_word(cell)
    live = load_word(state + 8 * LIVE_BYTES) + size
    store_word(state + 8 * LIVE_BYTES, live)
    if live > load_word(state + 8 * PEAK_BYTES):
        store_word(state + 8 * PEAK_BYTES, live)
    return new_object(state, block, nbytes, NO_OWNER, k)


def storage_dealloc(thing):
    """The destructor of storage objects: the block goes back to its free list, or its owner is released."""
    small()
    state = load_word(thing + STORAGE_STATE)
    owner = load_word(thing + STORAGE_OWNER)
    if owner != 0:
        call_1(load_word(state + 8 * DEC_REF), owner)
    else:
        k = load_word(thing + STORAGE_CLASS)
        block = load_word(thing + STORAGE_ADDRESS)
        size = class_bytes(k)
        cached = load_word(state + 8 * CACHED_BYTES) + size
        store_word(state + 8 * LIVE_BYTES, load_word(state + 8 * LIVE_BYTES) - size)
        if cached <= load_word(state + 8 * CACHE_LIMIT):
            head = state + 8 * FREE_LISTS + 8 * k
            store_word(block, load_word(head))
            store_word(head, block)
            store_word(state + 8 * CACHED_BYTES, cached)
        else:
            call_1(load_word(state + 8 * FREE), block)
    writer = load_word(thing + STORAGE_WRITER)
    if writer != 0:
        call_1(load_word(state + 8 * DEC_REF), writer)
    kind = load_word(thing + 8)
    call_1(load_word(state + 8 * OBJECT_FREE), thing)
    call_1(load_word(state + 8 * DEC_REF), kind)


def capsule_dealloc(capsule):
    """The destructor of a DLPack capsule: one that nobody took gives its tensor back, whatever exception is on its way.

    A capsule has, after its header: pointer, name, context. The name of one that was taken is "used_dltensor". The context holds
    the addresses of PyErr_Fetch, of the deleter and of PyErr_Restore.
    """
    small()
    if load_word(load_word(capsule + 24)) == 0x726F736E65746C64:  # "dltensor"
        words, kept = load_word(capsule + 32), stack_words(3)
        call_3(load_word(words), kept, kept + 8, kept + 16)
        call_1(load_word(words + 8), load_word(capsule + 16))
        call_3(load_word(words + 16), load_word(kept), load_word(kept + 8), load_word(kept + 16))


def allocate(self, args, nargs):
    """allocate(nbytes) -> storage"""
    small()
    state = load_word(load_word(self + 16))
    nbytes = call_1(load_word(state + 8 * AS_LONG_LONG), load_word(args))
    if nbytes < 0:
        if call_0(load_word(state + 8 * ERR_OCCURRED), 0) != 0:
            return 0
        return call_0(load_word(state + 8 * ERR_NO_MEMORY), 0)
    return new_storage(state, nbytes)


def wrap(self, args, nargs):
    """wrap(address, nbytes, owner) -> storage: memory that belongs to another object, kept alive by it."""
    small()
    state = load_word(load_word(self + 16))
    convert = load_word(state + 8 * AS_LONG_LONG)
    owner = load_word(args + 16)
    call_1(load_word(state + 8 * INC_REF), owner)
    return new_object(state, call_1(convert, load_word(args)), call_1(convert, load_word(args + 8)), owner, NO_OWNER)


def empty_cache(self, args, nargs):
    """empty_cache() -> None: give every free block back to the system."""
    small()
    state = load_word(load_word(self + 16))
    for k in range(FREE_LIST_COUNT):
        block = load_word(state + 8 * (FREE_LISTS + k))
        while block != 0:
            following = load_word(block)
            call_1(load_word(state + 8 * FREE), block)
            block = following
        store_word(state + 8 * (FREE_LISTS + k), 0)
    store_word(state + 8 * CACHED_BYTES, 0)
    return none(state)


@inline
def none(state):
    call_1(load_word(state + 8 * INC_REF), load_word(state + 8 * NONE))
    return load_word(state + 8 * NONE)


# ------------------------------------------------------------------------------------------------ threads
@inline
def run_chunks(state, sequence, slots, scratch):
    """Claim and run chunks of job number `sequence` until there are none left.

    TICKET is sequence << 32 | next chunk and is claimed by compare-and-swap, so a late worker cannot touch a newer job. A
    worker copies the slots to its own stack first, because the word before them is the address of its scratch memory.
    """
    small()
    mine = stack_words(FRAME)
    copied = False
    while True:
        ticket = atomic_load(state + 8 * TICKET)
        chunk = ticket & 0xFFFFFFFF
        if ticket >> 32 != sequence or chunk >= atomic_load(state + 8 * JOB_CHUNKS):
            return
        if compare_and_swap(state + 8 * TICKET, ticket, ticket + 1) == 0:
            continue
        if not copied:
            store_word(mine, scratch)
            for i in range(load_word(state + 8 * JOB_NSLOTS)):
                store_word(mine + 8 * (i + 1), load_word(slots + 8 * i))
            copied = True
        per = load_word(state + 8 * JOB_PER_CHUNK)
        start = chunk * per
        run_kernel(load_word(state + 8 * JOB_KERNEL), mine + 8, start, min(start + per, load_word(state + 8 * JOB_UNITS)))
        atomic_add(state + 8 * DONE, 1)


def worker(state, index, scratch):
    """The life of worker thread `index`: spin a little for the next job, else sleep; never returns."""
    small()
    seen = atomic_load(state + 8 * SEQUENCE)
    atomic_add(state + 8 * READY, 1)
    mutex, condition = state + 8 * MUTEX, state + 8 * CONDITION
    while True:
        spins = 0
        while atomic_load(state + 8 * SEQUENCE) == seen and spins < SPINS:
            cpu_pause(0)
            spins += 1
        if atomic_load(state + 8 * SEQUENCE) == seen:
            call_1(load_word(state + 8 * MUTEX_LOCK), mutex)
            atomic_add(state + 8 * SLEEPERS, 1)
            while atomic_load(state + 8 * SEQUENCE) == seen:
                call_2(load_word(state + 8 * CONDITION_WAIT), condition, mutex)
            atomic_add(state + 8 * SLEEPERS, -1)
            call_1(load_word(state + 8 * MUTEX_UNLOCK), mutex)
        seen = atomic_load(state + 8 * SEQUENCE)
        if index < load_word(state + 8 * THREADS) - 1:
            run_chunks(state, seen, atomic_load(state + 8 * JOB_SLOTS), scratch)


@inline
def run_parallel(state, kernel, units, grain, slots, nslots, scratch):
    """Run the kernel in chunks shared with the workers; serially if another thread is using them."""
    small()
    if compare_and_swap(state + 8 * BUSY, 0, 1) == 0:
        run_kernel(kernel, slots, 0, units)
        return
    chunks = min(quotient(units + grain - 1, grain), 4 * load_word(state + 8 * THREADS))
    per = quotient(units + chunks - 1, chunks)
    chunks = quotient(units + per - 1, per)
    sequence = (atomic_load(state + 8 * SEQUENCE) + 1) & 0x7FFFFFFF
    atomic_store(state + 8 * TICKET, sequence << 32 | 0xFFFFFFFF)  # nothing to claim while the fields change
    atomic_store(state + 8 * JOB_CHUNKS, chunks)
    store_word(state + 8 * JOB_PER_CHUNK, per)
    store_word(state + 8 * JOB_UNITS, units)
    store_word(state + 8 * JOB_KERNEL, kernel)
    store_word(state + 8 * JOB_NSLOTS, nslots)
    atomic_store(state + 8 * JOB_SLOTS, slots)
    atomic_store(state + 8 * DONE, 0)
    atomic_store(state + 8 * TICKET, sequence << 32)
    atomic_store(state + 8 * SEQUENCE, sequence)
    if atomic_load(state + 8 * SLEEPERS) > 0:
        call_1(load_word(state + 8 * MUTEX_LOCK), state + 8 * MUTEX)
        call_1(load_word(state + 8 * CONDITION_BROADCAST), state + 8 * CONDITION)
        call_1(load_word(state + 8 * MUTEX_UNLOCK), state + 8 * MUTEX)
    run_chunks(state, sequence, slots, scratch)
    spins = 0
    while atomic_load(state + 8 * DONE) < chunks:
        cpu_pause(0)
        spins += 1
        if spins > SPINS:
            call_0(load_word(state + 8 * SCHED_YIELD), 0)
    atomic_store(state + 8 * BUSY, 0)


# ------------------------------------------------------------------------------------------------ launching
@inline
def unpack(state, table, slots, args, first, nargs):
    """The kernel's slots: the call's arguments (ints as they are, floats as their bits), then the table's own."""
    small()
    for i in range(nargs):
        thing = load_word(args + 8 * i)
        if load_word(thing + 8) == load_word(state + 8 * FLOAT_TYPE):
            value = load_word(thing + 16)
        else:
            value = call_1(load_word(state + 8 * AS_LONG_LONG), thing)
            if value == -1 and call_0(load_word(state + 8 * ERR_OCCURRED), 0) != 0:
                return False
        store_word(slots + 8 * (first + i), value)
    for i in range(first + nargs, load_word(table + 8 * TABLE_NSLOTS)):
        store_word(slots + 8 * i, load_word(table + 8 * (TABLE_SLOTS + i)))
    return True


@inline
def log_launch(state, kernel):
    launches = load_word(state + 8 * LAUNCHES)
    store_word(state + 8 * (LOG + (launches & (LOG_LENGTH - 1))), kernel)
    store_word(state + 8 * LAUNCHES, launches + 1)


@inline
def run_table(state, table, slots):
    """Run a table whose slots stand ready; long work lets other Python threads run. No units, no run: a kernel may read ahead of its loop."""
    small()
    kernel = load_word(table)
    log_launch(state, kernel)
    units, grain = load_word(table + 8 * TABLE_UNITS), load_word(table + 8 * TABLE_GRAIN)
    if units == 0:
        return True
    needs_scratch = load_word(table + 8 * TABLE_FLAGS) & NEEDS_SCRATCH
    scratch = 0
    if needs_scratch != 0:  # a stack of scratch blocks, popped and pushed under the GIL
        scratch = load_word(state + 8 * SCRATCH)
        if scratch != 0:
            store_word(state + 8 * SCRATCH, load_word(scratch))
        else:
            cell = stack_words(1)
            if call_3(load_word(state + 8 * POSIX_MEMALIGN), cell, 4096, SCRATCH_BYTES) & 0xFFFFFFFF != 0:
                call_0(load_word(state + 8 * ERR_NO_MEMORY), 0)
                return False
            scratch = load_word(cell)
        store_word(slots - 8, scratch)
    if units <= grain or grain == 0:
        run_kernel(kernel, slots, 0, units)
    else:
        thread = call_0(load_word(state + 8 * SAVE_THREAD), 0)
        if min(load_word(state + 8 * THREADS) - 1, load_word(state + 8 * READY)) > 0:
            run_parallel(state, kernel, units, grain, slots, load_word(table + 8 * TABLE_NSLOTS), scratch)
        else:
            run_kernel(kernel, slots, 0, units)
        call_1(load_word(state + 8 * RESTORE_THREAD), thread)
    if needs_scratch != 0:
        store_word(scratch, load_word(state + 8 * SCRATCH))
        store_word(state + 8 * SCRATCH, scratch)
    return True


def launch(self, args, nargs):
    """launch(table, argument, ...) -> None: run a kernel; the arguments are its first slots.

    As launch_new(table, argument, ...) -> storage it first allocates the output, which becomes slot 0. Which of the two it is
    stands in the second word of the array that `self` is. A table of another device holds a callable for each, which does it.
    """
    small()
    box = load_word(self + 16)
    state, new = load_word(box), load_word(box + 8)
    slots = stack_words(FRAME) + 8
    table = call_1(load_word(state + 8 * AS_LONG_LONG), load_word(args))
    remote = load_word(table + 8 * (TABLE_REMOTE + new))
    if remote != 0:
        log_launch(state, load_word(table))
        return call_4(load_word(state + 8 * CALL), remote, args + 8, nargs - 1, 0)
    if not unpack(state, table, slots, args + 8, new, nargs - 1):
        return 0
    out = new  # 0 or 1
    if new != 0:
        out = new_storage(state, load_word(table + 8 * TABLE_NBYTES))
        if out == 0:
            return 0
        store_word(slots, load_word(out + STORAGE_ADDRESS))
    if not run_table(state, table, slots):
        if new != 0:
            call_1(load_word(state + 8 * DEC_REF), out)
        return 0
    return out if new != 0 else none(state)
