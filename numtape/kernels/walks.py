"""Bodies of the line pattern that go along a line in order, one element after another, on every device.

On the CPU a unit of work walks its line; on a card one thread of a line does (`in_order` of either `lines`).
"""

CUMPROD = """
total = {accumulate}(1)
for i in range(length):
    total = {accumulate}(total * {accumulate}(in0[i * step1]))
    out0[i * step0] = {code}(total)
"""

# s[i] = b[i] + a[i] * s[i - 1]: what the gradients of products and of running logarithms are made of.
RECURRENCE = """
total = {accumulate}(0)
for i in range(length):
    total = {accumulate}(in0[i * step1]) * total + {accumulate}(in1[i * step2])
    out0[i * step0] = {code}(total)
"""

# The last of equals, as PyTorch; once a NaN is met, the last NaN.
RUNNING_EXTREMUM = """
best, at_best = in0[0], i64(0)
for i in range(length):
    x = in0[i * step2]
    if (x {sign}= best) | (x != x):
        best, at_best = x, i64(i)
    out0[i * step0] = best
    out1[i * step1] = at_best
"""

# The sum of exponentials relative to the largest element so far.
LOGCUMSUMEXP = """
top, total = f64(-inf), f64(0)
for i in range(length):
    x = f64(in0[i * step1])
    if x > top:
        total = total * exp_f64(top - x) + f64(1)
        top = x
    elif x == top:
        total += f64(1)
    else:
        total += exp_f64(x - top)
    out0[i * step0] = {code}(top + log_f64(total))
"""
