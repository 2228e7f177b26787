#!/usr/bin/env python3
"""Every type that `juan quantize` writes, at every level that runs here: the fast path stays within a mean KL of 1e-3 of exact mode
on the same file (a mixture of experts: a median), whole, in chunks and its last tokens one by one, and has the same bits with any
number of threads. The models are tiny and random, 256 wide so that the K types fit."""
import itertools
import math
import os
import random
import statistics
import sys
from array import array

sys.path[:0] = [os.path.join(os.environ["CJ_SOURCE"], "tests", "support")]
import juan
from juan import tap

home = juan.Home()
TYPES = ("F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K")
LEVELS = ("ref", "avx2", "avx512", "amx", "neon")
VOCAB, TOKENS, LONG = 512, 160, 700  # longer than a page; long enough for attention to be cut along the keys


def model(shape, stored):
    """A random float32 model of this shape, converted."""
    path = home.path(f"{shape}-{stored}.gguf")
    if not os.path.exists(path):
        home.ok("quantize", home.model(f"{shape}.gguf", shape, "--type", "F32", "--set", "layers=2"), path, "--type", stored, "-q")
    return path


def tokens(n):
    random.seed(n)
    return home.write(f"ids-{n}", array("i", [random.randrange(VOCAB) for _ in range(n)]).tobytes())


def logits(path, level, *options, n=TOKENS):
    """The bytes of float32 [n, VOCAB]; level None: the best there is."""
    out = home.path("out")
    r = home.juan("logits", path, "--ids", tokens(n), "--out", out, *(("--cpu", level) if level else ()), *options)
    if "cannot run the level" in r.err:
        raise tap.Skip(f"this processor has no {level}")
    assert r.code == 0, r
    with open(out, "rb") as f:
        return f.read()


def log_softmax(row):
    top = max(row)
    total = top + math.log(sum(math.exp(x - top) for x in row))
    return [x - total for x in row]


exact_rows = {}


def exact(path):
    """Log-probabilities in exact mode, which has the same bits at every level (check_same_text.c)."""
    if path not in exact_rows:
        x = array("f", logits(path, None, "--exact-math"))
        exact_rows[path] = [log_softmax(x[i:i + VOCAB]) for i in range(0, len(x), VOCAB)]
    return exact_rows[path]


def divergences(path, got):
    got = array("f", got)
    for i, p in enumerate(exact(path)):
        q = log_softmax(got[i * VOCAB:(i + 1) * VOCAB])
        yield sum(math.exp(a) * (a - b) for a, b in zip(p, q))


def is_close(level, shape, stored, ways):
    def test():
        path = model(shape, stored)
        for way in ways:
            kl = list(divergences(path, logits(path, level, *way)))[-DECODED if way is LAST else 0:]
            assert all(map(math.isfinite, kl)), f"{' '.join(way) or 'whole'}: not a number"
            # A random router stands on the edge between two experts at some positions. There any rounding, float32's too, tips it
            # over, and another expert is another answer: no arithmetic short of exact keeps the mean small, so a mixture is held
            # to the median, which a wrong kernel would move all the same.
            middle = statistics.median(kl) if "moe" in shape else statistics.mean(kl)
            print(f"# {level} {shape} {stored} {' '.join(way) or 'whole'}: KL {middle:.1e}")
            assert 0 <= middle + 1e-9 <= 1e-3, f"{' '.join(way) or 'whole'}: KL {middle:.1e}, at most 1e-3"
    return test


def same_bits(level, stored, n=LONG):
    def test():
        path = model("tiny-gemma3", stored)
        for kv in ("bf16", "q8", "q4"):
            first = None
            for threads in "123":
                got = logits(path, level, "--kv", kv, "--decode", "8", "--threads", threads, n=n)
                first = first or got
                assert got == first, f"{kv} pages: {threads} threads give other bits than one"
    return test


DECODED = 12
WHOLE, CHUNKS, LAST = (), ("--chunk", "33"), ("--decode", str(DECODED), "--kv", "q8")
tests = []
for level in LEVELS:
    # The plain C kernels are slow, and have one arithmetic for all types.
    slow = level == "ref"
    tests += [(f"{t} is close to exact at {level}", is_close(level, "tiny-qwen3", t, (LAST,) if slow else (WHOLE, LAST))) for t in TYPES]
    tests += [(f"{t} in {shape} is close to exact at {level}", is_close(level, shape, t, (CHUNKS, LAST)))
              for shape, t in itertools.product(("tiny-gemma3", "tiny-llama", "tiny-qwen3moe"), ("Q4_K",) if slow else ("Q8_0", "Q4_K"))]
    tests += [(f"{t} has the same bits with any threads at {level}", same_bits(level, t, TOKENS if slow else LONG))
              for t in (("Q4_K",) if slow else ("BF16", "Q8_0", "Q4_K"))]
juan.run(tests, home)
