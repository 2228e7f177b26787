#!/usr/bin/env python3
"""The golden models (tests/golden): exact mode agrees with the makers' own code, whole, in chunks and split, at every level that
runs here; the fast path stays close to exact mode."""
import json
import math
import os
import statistics
import struct
import subprocess
import sys
import tempfile
from array import array

ROOT = os.environ["CJ_SOURCE"]
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, "tests", "parity"))
import hybrid_gguf
import tap

JUAN = os.path.join(os.environ["CJ_BUILD"], "juan")
GOLDEN = os.path.join(ROOT, "tests", "golden")
CASES = sorted(n for n in os.listdir(GOLDEN) if os.path.isdir(os.path.join(GOLDEN, n)))
SPLITS = ([], ["--chunk", "1"], ["--chunk", "7"], ["--chunk", "16"], ["--chunk", "33"], ["--decode", "12"])
LEVELS = ("ref", "avx2", "avx512", "amx", "neon")
VOCAB = 320
DENSE = [c for c in CASES if os.path.exists(os.path.join(GOLDEN, c, "model.gguf")) and not c.endswith("moe")]
DELTA = ("qwen3_5", "qwen3_next")  # the reference computes the delta rule in float32


def tensors(path):
    data = open(path, "rb").read()
    n = struct.unpack("<Q", data[:8])[0]
    head = json.loads(data[8:8 + n])
    return {k: data[8 + n + v["data_offsets"][0]:8 + n + v["data_offsets"][1]] for k, v in head.items() if k != "__metadata__"}


def logits(case, *options, model=None):
    """Our logits for the case's tokens; None when this machine has not the level asked for."""
    folder = os.path.join(GOLDEN, case)
    with tempfile.TemporaryDirectory() as d:
        with open(d + "/ids", "wb") as f:
            f.write(tensors(folder + "/golden.safetensors")["input_ids"])
        model = model or (folder + "/model.gguf" if os.path.exists(folder + "/model.gguf") else folder)
        r = subprocess.run([JUAN, "logits", model, "--ids", d + "/ids", "--out", d + "/out", "--lang", "en", *options],
                           capture_output=True, text=True)
        if "cannot run the level" in r.stderr:
            return None
        assert r.returncode == 0, r.stderr
        return array("f", open(d + "/out", "rb").read())


def error(got, want):
    return math.sqrt(sum((a - b) ** 2 for a, b in zip(got, want)) / sum(b * b for b in want))


def exact_at(case, level):
    def test():
        want = array("f", tensors(os.path.join(GOLDEN, case, "golden.safetensors"))["logits"])
        for split in SPLITS:
            got = logits(case, "--exact-math", "--kv", "f32", "--cpu", level, *split)
            if got is None:
                raise tap.Skip(f"this processor has no {level}")
            assert len(got) == len(want), f"{len(got)} values, {len(want)} wanted"
            e = error(got, want)
            most = 1e-4 if case in DELTA else 1e-5
            assert e <= most, f"{' '.join(split) or 'whole'}: normalised error {e:.1e}, at most {most}"
    return test


def gguf_is_the_folder():
    """The same model as a GGUF file, where its rows lie in another order and its norms in another form."""
    want = array("f", tensors(os.path.join(GOLDEN, "qwen3_5", "golden.safetensors"))["logits"])
    with tempfile.TemporaryDirectory() as d:
        hybrid_gguf.write(os.path.join(GOLDEN, "qwen3_5"), d + "/model.gguf")
        e = error(logits("qwen3_5", "--exact-math", "--kv", "f32", model=d + "/model.gguf"), want)
    assert e <= 1e-4, f"normalised error {e:.1e}"


def folder_is_the_file(case):
    """The same model as a folder in its maker's form, opened again."""
    def test():
        want = array("f", tensors(os.path.join(GOLDEN, case, "golden.safetensors"))["logits"])
        with tempfile.TemporaryDirectory() as d:
            r = subprocess.run([JUAN, "quantize", os.path.join(GOLDEN, case, "model.gguf"), d + "/model/", "--type", "F32", "--lang", "en"], capture_output=True, text=True)
            assert r.returncode == 0, r.stderr
            e = error(logits(case, "--exact-math", "--kv", "f32", model=d + "/model"), want)
        assert e <= 1e-5, f"normalised error {e:.1e}"
    return test


def fused(folder, path):
    """A copy of a folder in which the experts of a layer are two tensors, as later publications have them."""
    data = open(folder + "/model.safetensors", "rb").read()
    n = struct.unpack("<Q", data[:8])[0]
    head = json.loads(data[8:8 + n])
    part = lambda name: data[8 + n + head[name]["data_offsets"][0]:8 + n + head[name]["data_offsets"][1]]
    out = {k: (v["shape"], part(k)) for k, v in head.items() if k != "__metadata__" and ".experts." not in k}
    for first in [k for k in head if k.endswith(".experts.0.gate_proj.weight")]:
        at, (width, hidden) = first[:-len("0.gate_proj.weight")], head[first]["shape"]
        experts = sum(k.startswith(at) and k.endswith("gate_proj.weight") for k in head)
        both = b"".join(part(f"{at}{e}.{p}_proj.weight") for e in range(experts) for p in ("gate", "up"))
        down = b"".join(part(f"{at}{e}.down_proj.weight") for e in range(experts))
        out[at + "gate_up_proj"], out[at + "down_proj"] = ([experts, 2 * width, hidden], both), ([experts, hidden, width], down)
    offset, described = 0, {}
    for k, (shape, b) in out.items():
        described[k] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, offset + len(b)]}
        offset += len(b)
    text = json.dumps(described).encode()
    text += b" " * (-len(text) % 8)
    with open(path + "/model.safetensors", "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(b for _, b in out.values()))
    with open(folder + "/config.json") as f, open(path + "/config.json", "w") as g:
        g.write(f.read())


def fused_experts_are_the_same():
    want = logits("qwen3_next", "--exact-math", "--kv", "f32")
    with tempfile.TemporaryDirectory() as d:
        fused(os.path.join(GOLDEN, "qwen3_next"), d)
        assert logits("qwen3_next", "--exact-math", "--kv", "f32", model=d) == want


def log_softmax(row):
    top = max(row)
    total = top + math.log(sum(math.exp(x - top) for x in row))
    return [x - total for x in row]


def divergences(got, want):
    """KL(want || got) at every position."""
    for i in range(0, len(want), VOCAB):
        p, q = log_softmax(want[i:i + VOCAB]), log_softmax(got[i:i + VOCAB])
        yield sum(math.exp(a) * (a - b) for a, b in zip(p, q))


# What 4 bits cost random models with small heads, where a wrong code would cost several times as much.
MOST = {"bf16": 1e-3, "q8": 1e-3, "q4": 0.15}


def fast_is_close(kv):
    def test():
        for case in CASES:
            want = array("f", tensors(os.path.join(GOLDEN, case, "golden.safetensors"))["logits"])
            for split in SPLITS[:1] + SPLITS[4:]:
                kl = list(divergences(logits(case, "--kv", kv, *split), want))
                # A router with random weights stands on the edge between two experts at some positions, and any rounding tips it
                # over there: what a mixture is held to is the median.
                middle = statistics.median(kl) if "moe" in case or "next" in case else statistics.mean(kl)
                assert middle <= MOST[kv], f"{case} {' '.join(split)}: KL {middle:.1e}, at most {MOST[kv]}"
    return test


tap.run([(f"{case} exact at {level}", exact_at(case, level)) for level in LEVELS for case in CASES]
        + [(f"{case} as a folder", folder_is_the_file(case)) for case in DENSE]
        + [("qwen3_5 as GGUF", gguf_is_the_folder), ("experts in two tensors", fused_experts_are_the_same)]
        + [(f"fast path, {kv} pages, is close", fast_is_close(kv)) for kv in MOST])
