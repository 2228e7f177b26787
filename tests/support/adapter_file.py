"""Writes adapters of random numbers for a GGUF model: a pair for every matrix that can have one."""
import random
import struct
from array import array

import gguf

STEMS = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")


def text(s):
    b = s.encode()
    return struct.pack("<Q", len(b)) + b


def matrices(path):
    """(architecture, [(name, columns, rows)]) of a model; its data is not read."""
    with open(path, "rb") as f:
        r = gguf.Reader(f.read())
    r.take(8)
    tensors, keys = r.number("Q"), r.number("Q")
    found, family = [], ""
    for _ in range(keys):
        name, kind = r.text(), r.number("I")
        value = r.value(kind)
        if name == b"general.architecture":
            family = value[8:].decode()
    for _ in range(tensors):
        name, dims = r.text().decode(), [r.number("Q") for _ in range(r.number("I"))]
        r.take(12)
        part = name.split(".")
        if part[0] == "blk" and part[-1] == "weight" and part[2] in STEMS:
            found.append((name, *dims))
    return family, found


def write_random(model, path, rank=4, seed=7, by=1.0):
    """By how much the second matrices are larger than their input would have them."""
    family, found = matrices(model)
    draw = random.Random(seed)
    about, data, n = b"", b"", 0
    for name, cols, rows in found:
        most = cols ** -0.5
        for end, dims, limit in (("a", (cols, rank), most), ("b", (rank, rows), by * most)):
            about += text(f"{name}.lora_{end}") + struct.pack("<IQQIQ", 2, *dims, 0, len(data))
            numbers = array("f", (draw.uniform(-limit, limit) for _ in range(dims[0] * dims[1]))).tobytes()
            data += numbers + bytes(-len(numbers) % 32)
            n += 1
    says = [text(k) + struct.pack("<I", 8) + text(v) for k, v in (("general.architecture", family), ("general.type", "adapter"), ("adapter.type", "lora"))]
    says.append(text("adapter.lora.alpha") + struct.pack("<If", 6, 2.0 * rank))
    head = b"GGUF" + struct.pack("<IQQ", 3, n, len(says)) + b"".join(says) + about
    with open(path, "wb") as f:
        f.write(head + bytes(-len(head) % 32) + data)
    return path
