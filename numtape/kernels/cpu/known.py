"""Known calls: a call like one that was made before, done by one built-in, from the look-up to the finished tensor.

Compiled as `runtime` is. A function that remembers its calls starts with ``known(argument, ...)``: if a call with such arguments was learnt
(`learn`), the result is a tensor, else None, and the function goes its long way. What a call is known by, its *key*: for a tensor its spec,
for a number operand its type, for anything else its value. Keys are looked up in one table of all functions, in sets of two entries.

Arguments that decide nothing but by value are ints, None, Ellipsis, bools, slices, and tuples and lists of those; with any other, the call is unknown.
"""

from numtape.kernels.cpu.runtime import *  # noqa: F403
from numtape.kernels.cpu.state import *  # noqa: F403
from numtape.kernels.intrinsics import apart

# ruff: noqa: F405

TENSOR, FLOAT, INT, VALUE, THING, SLICE, TUPLE, LIST = range(1, 9)  # what stands in a key, in order: four bits each in its first word


@inline
def is_tensor(state, thing):
    kind, tensor = load_word(thing + 8), load_word(state + 8 * TENSOR_TYPE)
    return kind == tensor or call_2(load_word(state + 8 * IS_SUBTYPE), kind, tensor) & 0xFFFFFFFF != 0


@inline
def whole(state, thing, cell):
    """Whether an int fits into a word, which is then written to `cell`."""
    store_word(cell + 8, 0)
    store_word(cell, call_2(load_word(state + 8 * AS_LONG_LONG_OR_OVERFLOW), thing, cell + 8))
    return load_word(cell + 8) & 0xFFFFFFFF == 0


@inline
def write_value(state, thing, place):
    """Write an int, None, Ellipsis or bool as a word of a key; returns what it is, 0 for anything else."""
    if load_word(thing + 8) == load_word(state + 8 * INT_TYPE):
        return VALUE if whole(state, thing, place) else 0  # writes the word behind it, too
    if (
        thing == load_word(state + 8 * NONE)
        or thing == load_word(state + 8 * ELLIPSIS)
        or thing == load_word(state + 8 * FALSE)
        or thing == load_word(state + 8 * TRUE)
    ):
        store_word(place, thing)
        return THING
    return 0


@inline
def write_key(state, function, args, nargs, operands, key):
    """Write the key of a call to `key`; returns its number of words, 0 where it cannot be known.

    The first word says what the others are, the second which function it is (and how often all calls were forgotten). The first `operands` arguments may be numbers.
    """
    small()
    apart()
    kinds, n = 1, 2
    todo, depth = stack_words(4), 0  # what is left of the arguments, and of a tuple, after a tuple in it
    store_word(key + 8, function | load_word(state + 8 * EPOCH) << 32)
    i = 0
    while True:
        if nargs == 0:
            if depth == 0:
                break
            depth -= 1
            args, nargs = load_word(todo + 16 * depth), load_word(todo + 16 * depth + 8)
            continue
        if n > CALL_KEY - 4 or kinds >> 56 != 0:
            return 0
        thing = load_word(args)
        kind = load_word(thing + 8)
        args += 8
        nargs -= 1
        found = 0
        if i < operands:
            if kind == load_word(state + 8 * FLOAT_TYPE):
                found = FLOAT
            elif kind == load_word(state + 8 * INT_TYPE):
                found = INT
            elif is_tensor(state, thing):
                store_word(key + 8 * n, load_word(thing + load_word(state + 8 * SLOT_SPEC)))
                if load_word(key + 8 * n) == 0:  # a tensor of a batch has none
                    return 0
                n += 1
                found = TENSOR
            else:
                return 0
        elif kind == load_word(state + 8 * SLICE_TYPE):
            parts = 0
            for j in range(3):
                found = write_value(state, load_word(thing + 16 + 8 * j), key + 8 * (n + j))
                if found == 0:
                    return 0
                parts = parts << 4 | found
            store_word(key + 8 * (n + 3), parts)
            n += 4
            found = SLICE
        elif kind == load_word(state + 8 * TUPLE_TYPE) or kind == load_word(state + 8 * LIST_TYPE):
            if depth == 2:
                return 0
            store_word(todo + 16 * depth, args)
            store_word(todo + 16 * depth + 8, nargs)
            depth += 1
            nargs = load_word(thing + 16)
            if kind == load_word(state + 8 * TUPLE_TYPE):
                args, found = thing + load_word(state + 8 * TUPLE_ITEMS), TUPLE
            else:
                args, found = load_word(thing + 24), LIST
            store_word(key + 8 * n, nargs)
            n += 1
        else:
            found = write_value(state, thing, key + 8 * n)
            if found == 0:
                return 0
            n += 1
        kinds = kinds << 4 | found
        i += 1
    store_word(key, kinds)
    return n


@inline
def find(state, key, n):
    """The entry of a key, or 0; and the first entry of its set."""
    mixed = 0
    for i in range(n):
        mixed = (mixed ^ load_word(key + 8 * i)) * -7046029254386353131
        mixed ^= mixed >> 32
    first = load_word(state + 8 * CALLS) + 8 * CALL_WORDS * 2 * (mixed & (CALL_SETS - 1))
    for way in range(2):
        entry = first + 8 * CALL_WORDS * way
        if load_word(entry) == n:
            same = True
            for i in range(n):
                same = same and load_word(entry + 8 * (i + 1)) == load_word(key + 8 * i)
            if same:
                return entry, first
    return 0, first


@inline
def is_recorded(state, thing):
    """Whether a tensor requires grad, or (to be looked into) the base of this view."""
    base = load_word(thing + load_word(state + 8 * SLOT_BASE))
    if load_word(thing + load_word(state + 8 * SLOT_REQUIRES_GRAD)) != load_word(state + 8 * FALSE):
        return True
    return base != load_word(state + 8 * NONE) and load_word(base + load_word(state + 8 * SLOT_REQUIRES_GRAD)) != load_word(state + 8 * FALSE)


@inline
def put(state, place, thing):
    """A new reference in a slot."""
    call_1(load_word(state + 8 * INC_REF), thing)
    store_word(place, thing)


@inline
def fill_slots(state, table, slots, n, args, operands, cell):
    """The slots of a known launch from number n on: addresses of tensors, then numbers, then the table's own."""
    for i in range(operands):
        thing = load_word(args + 8 * i)
        kind = load_word(thing + 8)
        if kind != load_word(state + 8 * FLOAT_TYPE) and kind != load_word(state + 8 * INT_TYPE):
            whole(state, load_word(thing + load_word(state + 8 * SLOT_ADDRESS)), cell)
            store_word(slots + 8 * n, load_word(cell))
            n += 1
    for i in range(operands):
        thing = load_word(args + 8 * i)
        kind = load_word(thing + 8)
        if kind == load_word(state + 8 * FLOAT_TYPE):
            store_word(slots + 8 * n, load_word(thing + 16))
            n += 1
        elif kind == load_word(state + 8 * INT_TYPE):
            if not whole(state, thing, cell):
                return False
            store_word(slots + 8 * n, load_word(cell))
            n += 1
    for i in range(n, load_word(table + 8 * TABLE_NSLOTS)):
        store_word(slots + 8 * i, load_word(table + 8 * (TABLE_SLOTS + i)))
    return True


def known(self, args, nargs):
    """known(argument, ...) -> the result of a call that was made before with such arguments, or None.

    If an operand requires grad, the result of a view is None; so is that of another call, unless the function completes it
    (CALLS_RECORDED): then the result requires grad as well, and has no node yet.
    """
    small()
    box = load_word(self + 16)
    state, function, operands, flags = load_word(box), load_word(box + 8), load_word(box + 16), load_word(box + 24)
    key = stack_words(KEY_FRAME)
    operands = min(operands, nargs)
    n = write_key(state, function, args, nargs, operands, key)
    if n == 0:
        return none(state)
    entry, _ = find(state, key, n)
    if entry == 0:
        return none(state)
    recorded = False
    for i in range(operands if flags & CALLS_UNCONNECTED == 0 else 0):
        thing = load_word(args + 8 * i)
        kind = load_word(thing + 8)
        if kind != load_word(state + 8 * FLOAT_TYPE) and kind != load_word(state + 8 * INT_TYPE):
            recorded = recorded or is_recorded(state, thing)
    if recorded and (flags & CALLS_RECORDED == 0 or load_word(entry + 8 * CALL_FLAGS) & DIRECT == 0):
        return none(state)
    spec, table, offset = load_word(entry + 8 * CALL_SPEC), load_word(entry + 8 * CALL_TABLE), load_word(entry + 8 * CALL_OFFSET)
    source = load_word(args)
    kept = load_word(entry + 8 * CALL_KEPT)  # while the kernel runs, another thread may give the entry to another call
    cell = stack_words(2)
    call_1(load_word(state + 8 * INC_REF), kept)
    call_1(load_word(state + 8 * INC_REF), spec)
    if flags & CALLS_VIEWS != 0:
        memory = load_word(source + load_word(state + 8 * SLOT_STORAGE))
        call_1(load_word(state + 8 * INC_REF), memory)
        whole(state, load_word(source + load_word(state + 8 * SLOT_ADDRESS)), cell)
        address = load_word(cell) + offset
    else:
        slots = stack_words(FRAME) + 8
        memory = 0
        second = load_word(entry + 8 * CALL_SECOND)
        first_operands = operands - 1 if second != 0 else operands
        if fill_slots(state, table, slots, 1, args, first_operands, cell):
            memory = new_storage(state, load_word(table + 8 * TABLE_NBYTES))
            if memory != 0:
                store_word(slots, load_word(memory + STORAGE_ADDRESS))
                done = run_table(state, table, slots)
                if done and second != 0:  # on the result and the last operand, in place
                    store_word(slots, load_word(memory + STORAGE_ADDRESS))
                    store_word(slots + 8, load_word(memory + STORAGE_ADDRESS))
                    fill_slots(state, second, slots, 2, args + 8 * first_operands, 1, cell)
                    done = run_table(state, second, slots)
                if not done:
                    call_1(load_word(state + 8 * DEC_REF), memory)
                    memory = 0
        if memory == 0:  # a number too large, or no memory: the long way words the error
            call_0(load_word(state + 8 * ERR_CLEAR), 0)
            call_1(load_word(state + 8 * DEC_REF), spec)
            call_1(load_word(state + 8 * DEC_REF), kept)
            return none(state)
        address = load_word(memory + STORAGE_ADDRESS)
    tensor = call_2(load_word(state + 8 * GENERIC_ALLOC), load_word(state + 8 * TENSOR_TYPE), 0)
    call_1(load_word(state + 8 * DEC_REF), kept)
    if tensor == 0:
        call_1(load_word(state + 8 * DEC_REF), memory)
        call_1(load_word(state + 8 * DEC_REF), spec)
        return 0
    nothing = load_word(state + 8 * NONE)
    store_word(tensor + load_word(state + 8 * SLOT_STORAGE), memory)
    store_word(tensor + load_word(state + 8 * SLOT_SPEC), spec)
    store_word(tensor + load_word(state + 8 * SLOT_ADDRESS), call_1(load_word(state + 8 * FROM_LONG_LONG), address))
    put(state, tensor + load_word(state + 8 * SLOT_REQUIRES_GRAD), load_word(state + 8 * (TRUE if recorded else FALSE)))
    put(state, tensor + load_word(state + 8 * SLOT_NODE), nothing)
    if flags & CALLS_VIEWS != 0 and flags & CALLS_UNCONNECTED == 0:
        base = load_word(source + load_word(state + 8 * SLOT_BASE))
        base = source if base == nothing else base
        put(state, tensor + load_word(state + 8 * SLOT_BASE), base)
        generation = call_2(load_word(state + 8 * GET_ATTRIBUTE), base, load_word(state + 8 * GENERATION_NAME))
        store_word(tensor + load_word(state + 8 * SLOT_SEEN), generation)
    else:
        put(state, tensor + load_word(state + 8 * SLOT_BASE), nothing)
    return tensor


def learn(self, args, nargs):
    """learn(function, operands, table, second, offset, flags, spec, kept, argument, ...) -> None: remember a call; `kept` is held meanwhile."""
    small()
    state = load_word(load_word(self + 16))
    numbers = stack_words(7)
    key = stack_words(KEY_FRAME)
    for i in range(6):
        whole(state, load_word(args + 8 * i), numbers + 8 * i)
    n = write_key(state, load_word(numbers), args + 64, nargs - 8, load_word(numbers + 8), key)
    if n == 0:
        return none(state)
    entry, first = find(state, key, n)
    if entry != 0:
        return none(state)
    entry = first
    if load_word(entry) != 0:  # the second, if it is free; else either, now this, now that
        second = first + 8 * CALL_WORDS
        entry = second if load_word(second) == 0 or load_word(state + 8 * LAUNCHES) & 1 != 0 else first
    before = load_word(entry + 8 * CALL_KEPT) if load_word(entry) != 0 else 0
    store_word(entry, n)
    for i in range(n):
        store_word(entry + 8 * (i + 1), load_word(key + 8 * i))
    store_word(entry + 8 * CALL_TABLE, load_word(numbers + 16))
    store_word(entry + 8 * CALL_SECOND, load_word(numbers + 24))
    store_word(entry + 8 * CALL_OFFSET, load_word(numbers + 32))
    store_word(entry + 8 * CALL_FLAGS, load_word(numbers + 40))
    store_word(entry + 8 * CALL_SPEC, load_word(args + 48))
    put(state, entry + 8 * CALL_KEPT, load_word(args + 56))
    if before != 0:
        call_1(load_word(state + 8 * DEC_REF), before)
    return none(state)


def update_rows(self, args, nargs):
    """update_rows(words, tensors, number, ...) -> True, or None where something is not as it was prepared: an update of each row of a list.

    The words are: how many rows, tensors in a row, how many of them are changed, the name of the update; then for each row its table and
    the specs of its tensors. A kernel gets the addresses of a row, again those that are changed (without the first), and the numbers.
    """
    small()
    state = load_word(load_word(self + 16))
    cell = stack_words(2)
    whole(state, load_word(args), cell)
    words, tensors = load_word(cell), load_word(args + 8)
    rows, width, targets, name = load_word(words), load_word(words + 8), load_word(words + 16), load_word(words + 24)
    if load_word(tensors + 16) != rows * width:
        return none(state)
    tensors = load_word(tensors + 24)
    words += 32
    for r in range(rows):
        for i in range(width):
            thing = load_word(tensors + 8 * (r * width + i))
            if not is_tensor(state, thing) or load_word(thing + load_word(state + 8 * SLOT_SPEC)) != load_word(words + 8 * (r * (width + 1) + i + 1)):
                return none(state)
            memory = load_word(thing + load_word(state + 8 * SLOT_STORAGE))
            for j in range(i):
                if memory == load_word(load_word(tensors + 8 * (r * width + j)) + load_word(state + 8 * SLOT_STORAGE)):
                    return none(state)
    slots = stack_words(FRAME) + 8
    for r in range(rows):
        table, row = load_word(words + 8 * r * (width + 1)), tensors + 8 * r * width
        for i in range(width):
            whole(state, load_word(load_word(row + 8 * i) + load_word(state + 8 * SLOT_ADDRESS)), cell)
            store_word(slots + 8 * (i + 1), load_word(cell))
            if i == 0:
                store_word(slots, load_word(cell))
            elif i < targets:
                store_word(slots + 8 * (width + i), load_word(cell))
        if not unpack(state, table, slots, args + 16, width + targets, nargs - 2):
            return 0
        if not run_table(state, table, slots):
            return 0
        for i in range(targets):
            memory = load_word(load_word(row + 8 * i) + load_word(state + 8 * SLOT_STORAGE))
            store_word(memory + STORAGE_VERSION, load_word(memory + STORAGE_VERSION) + 1)
            before = load_word(memory + STORAGE_WRITER)
            put(state, memory + STORAGE_WRITER, name)
            if before != 0:
                call_1(load_word(state + 8 * DEC_REF), before)
    call_1(load_word(state + 8 * INC_REF), load_word(state + 8 * TRUE))
    return load_word(state + 8 * TRUE)
