#!/usr/bin/env python3
"""tools/make_gguf.py: every shape and type fills its file exactly, weights have the wanted spread, the same call the same bytes."""
import contextlib
import importlib.util
import io
import math
import os
import struct
import sys
import tempfile

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
sys.path[:0] = [os.path.join(ROOT, "tests", "support")]
import tap

sys.dont_write_bytecode = True
spec = importlib.util.spec_from_file_location("make_gguf", os.path.join(ROOT, "tools", "make_gguf.py"))
make = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make)
BY_NUMBER = {number: (elements, size) for number, elements, size, _ in make.TYPES.values()}


def made(*arguments):
    """The bytes that the tool writes when it is called with these arguments."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "m.gguf")
        sys.argv = ["make_gguf.py", path, *arguments]
        make.main()
        with open(path, "rb") as f:
            return f.read()


class Reader:
    """Just enough of GGUF to find keys and tensors again."""

    def __init__(self, data):
        self.data, self.at, self.keys, self.tensors = data, 0, {}, {}
        magic, version, n_tensors, n_keys = self.take("4sIQQ")
        assert (magic, version) == (b"GGUF", 3)
        for _ in range(n_keys):
            name = self.text()
            self.keys[name] = self.value(self.take("I")[0])
        for _ in range(n_tensors):
            name = self.text()
            dims = self.take(f"{self.take('I')[0]}Q")
            number, offset = self.take("IQ")
            assert name not in self.tensors
            self.tensors[name] = (dims, number, offset)
        self.start = -(-self.at // make.ALIGNMENT) * make.ALIGNMENT

    def take(self, form):
        values = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize("<" + form)
        return values

    def text(self):
        n, = self.take("Q")
        self.at += n
        return self.data[self.at - n:self.at].decode()

    def value(self, kind):
        if kind == 8:
            return self.text()
        if kind == 9:
            item, n = self.take("IQ")
            return [self.value(item) for _ in range(n)]
        return self.take({4: "I", 5: "i", 6: "f", 7: "?"}[kind])[0]

    def bytes_of(self, name):
        dims, number, offset = self.tensors[name]
        elements, size = BY_NUMBER[number]
        assert dims[0] % elements == 0, f"{name}: a row of {dims[0]} is no whole blocks"
        return self.data[self.start + offset:self.start + offset + math.prod(dims) // elements * size]


def fills_the_file():
    for shape in make.SHAPES:
        for kind in make.TYPES if shape.startswith("tiny") else []:
            r, end = Reader(made("--shape", shape, "--type", kind)), 0
            for name, (dims, number, offset) in r.tensors.items():
                assert offset == end, f"{shape} {kind} {name}: offset {offset}, expected {end}"
                elements, size = BY_NUMBER[number]
                assert len(r.bytes_of(name)) == math.prod(dims) // elements * size
                end += -(-len(r.bytes_of(name)) // make.ALIGNMENT) * make.ALIGNMENT
            assert len(r.data) == r.start + end, f"{shape} {kind}"
            tokens = r.keys["tokenizer.ggml.tokens"]
            assert len(tokens) == len(set(tokens)) == make.SHAPES[shape]["vocab"]
            assert all(a + b in tokens for a, b in (m.split(" ") for m in r.keys.get("tokenizer.ggml.merges", [])))


def has_the_wanted_spread():
    r = Reader(made("--shape", "tiny-llama", "--type", "F32"))
    q = struct.unpack(f"<{256 * 256}f", r.bytes_of("blk.1.attn_q.weight"))
    assert abs(math.sqrt(sum(v * v for v in q) / len(q)) * 16 - 1) < 0.02
    assert abs(sum(q) / len(q)) * 16 < 0.02
    norm = struct.unpack("<256f", r.bytes_of("blk.1.attn_norm.weight"))
    assert 0.9 < sum(norm) / len(norm) < 1.1
    b = Reader(made("--shape", "tiny-llama", "--type", "Q8_0")).bytes_of("blk.1.attn_q.weight")
    v = [d * c for d, *codes in struct.iter_unpack("<e32b", b) for c in codes]
    assert abs(math.sqrt(sum(x * x for x in v) / len(v)) * 16 - 1) < 0.05


def repeats_itself_and_not_another():
    a, again, other = made("--shape", "tiny-qwen3"), made("--shape", "tiny-qwen3"), made("--shape", "tiny-qwen3", "--seed", "1")
    assert a == again and a != other and len(a) == len(other)


def takes_changes_of_the_shape():
    r = Reader(made("--shape", "tiny-qwen2", "--set", "layers=2", "--set", "vocab=777"))
    assert r.keys["qwen2.block_count"] == 2 and r.tensors["token_embd.weight"][0] == (256, 777)
    assert "blk.1.attn_q.bias" in r.tensors and "blk.2.attn_q.bias" not in r.tensors
    for wrong in ("colour=3", "family=3"):
        with contextlib.redirect_stderr(io.StringIO()):
            try:
                made("--shape", "tiny-qwen2", "--set", wrong)
            except SystemExit as stop:
                assert "names are" in str(stop)
            else:
                raise AssertionError(wrong)


tap.run([("fills the file", fills_the_file), ("has the wanted spread", has_the_wanted_spread),
         ("repeats itself and not another", repeats_itself_and_not_another),
         ("takes changes of the shape", takes_changes_of_the_shape)])
