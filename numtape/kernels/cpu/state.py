"""Word offsets shared by the compiled run-time and its Python side: the state array, tables, storage objects."""

# A table, in words: the header, then the kernel's slots.
TABLE_KERNEL, TABLE_UNITS, TABLE_GRAIN, TABLE_NSLOTS, TABLE_NBYTES, TABLE_FLAGS, TABLE_SLOTS = 0, 1, 2, 3, 4, 5, 8
TABLE_REMOTE, TABLE_REMOTE_NEW = 6, 7  # for a kernel that is not the CPU's: the callables behind launch and launch_new, else 0
NEEDS_SCRATCH = 1
MAX_SLOTS = 96
NO_OWNER = 0
FRAME = MAX_SLOTS + 1  # the slots and, before them, the address of the scratch memory

# A storage object, in bytes.
STORAGE_ADDRESS, STORAGE_NBYTES, STORAGE_VERSION, STORAGE_OWNER, STORAGE_CLASS, STORAGE_STATE = 16, 24, 32, 40, 48, 56
STORAGE_WRITER, STORAGE_SIZE = 64, 72

# The state array, in words: addresses of CPython's and the C library's functions first.
(
    AS_LONG_LONG,
    ERR_OCCURRED,
    ERR_NO_MEMORY,
    FLOAT_TYPE,
    NONE,
    INC_REF,
    DEC_REF,
    OBJECT_NEW,
    OBJECT_FREE,
    SAVE_THREAD,
    RESTORE_THREAD,
    POSIX_MEMALIGN,
    FREE,
    SCHED_YIELD,
    MUTEX_LOCK,
    MUTEX_UNLOCK,
    CONDITION_WAIT,
    CONDITION_BROADCAST,
    STORAGE_TYPE,
    CALL,
) = range(20)
LAUNCHES, LIVE_BYTES, PEAK_BYTES, CACHED_BYTES, CACHE_LIMIT, SCRATCH = 24, 25, 26, 27, 28, 29
# What several threads write stands on cache lines of its own (8 words each).
SEQUENCE, TICKET, DONE, BUSY, SLEEPERS, READY, THREADS = 32, 40, 48, 56, 64, 72, 80
JOB_SLOTS, JOB_NSLOTS, JOB_KERNEL, JOB_UNITS, JOB_PER_CHUNK, JOB_CHUNKS = 88, 89, 90, 91, 92, 93
MUTEX, CONDITION = 96, 112  # pthread objects, at most 64 and 48 bytes
FREE_LISTS, FREE_LIST_COUNT = 128, 208
LOG, LOG_LENGTH = 336, 256

# What known calls look at: types and singletons, addresses of CPython's functions, the slots of a tensor (offsets in bytes).
(
    TENSOR_TYPE,
    INT_TYPE,
    TUPLE_TYPE,
    LIST_TYPE,
    SLICE_TYPE,
    TRUE,
    FALSE,
    ELLIPSIS,
    GENERIC_ALLOC,
    IS_SUBTYPE,
    FROM_LONG_LONG,
    AS_LONG_LONG_OR_OVERFLOW,
    ERR_CLEAR,
    GET_ATTRIBUTE,
    GENERATION_NAME,
    CALLS,
    EPOCH,
    SLOT_STORAGE,
    SLOT_ADDRESS,
    SLOT_SPEC,
    SLOT_REQUIRES_GRAD,
    SLOT_NODE,
    SLOT_BASE,
    SLOT_SEEN,
    TUPLE_ITEMS,
) = range(LOG + LOG_LENGTH, LOG + LOG_LENGTH + 25)
STATE_WORDS = LOG + LOG_LENGTH + 32

# The table of known calls: sets of two entries. An entry is the number of words of its key, the key, and what the call does.
CALL_SETS, CALL_WORDS, CALL_KEY, KEY_FRAME = 2048, 32, 24, 28
CALL_TABLE, CALL_SPEC, CALL_OFFSET, CALL_FLAGS, CALL_KEPT, CALL_SECOND = 26, 27, 28, 29, 30, 31
DIRECT = 1  # flag of an entry: the call may be recorded as it is
# Flags of a function: its results are views; it completes results that are to be recorded; nothing is recorded and views have no base.
CALLS_VIEWS, CALLS_RECORDED, CALLS_UNCONNECTED = 1, 2, 4

SPINS = 4000
SCRATCH_BYTES = 2 << 20
