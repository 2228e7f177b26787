"""GGUF files read into pieces and written again, changed: for tests of what a damaged or hostile model file does. Nothing is checked."""
import struct

SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
STRING, ARRAY, U32 = 8, 9, 4
BLOCKS = {0: (1, 4), 1: (1, 2), 8: (32, 34), 12: (256, 144), 14: (256, 210), 30: (1, 2)}  # stored type: elements, bytes


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        self.at += n
        return self.data[self.at - n:self.at]

    def number(self, form):
        return struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))[0]

    def text(self):
        return self.take(self.number("Q"))

    def value(self, kind):
        """The bytes of a value, behind its type."""
        start = self.at
        if kind == STRING:
            self.text()
        elif kind == ARRAY:
            inner, count = self.number("I"), self.number("Q")
            for _ in range(count):
                self.value(inner)
        else:
            self.take(SIZES[kind])
        return self.data[start:self.at]


class Tensor:
    def __init__(self, name, dims, kind, offset, data):
        self.name, self.dims, self.kind, self.offset, self.data = name, dims, kind, offset, data


class File:
    """keys: {name: (type, bytes)}; tensors in order. What a test changes is what is written."""

    def __init__(self, path):
        with open(path, "rb") as f:
            r = Reader(f.read())
        self.magic, self.version = r.take(4), r.number("I")
        n_tensors, n_keys = r.number("Q"), r.number("Q")
        self.keys, self.tensors, self.counts, self.alignment = {}, [], {}, 32
        for _ in range(n_keys):
            name = r.text().decode()
            kind = r.number("I")
            self.keys[name] = (kind, r.value(kind))
        for _ in range(n_tensors):
            name, dims = r.text().decode(), [r.number("Q") for _ in range(r.number("I"))]
            self.tensors.append(Tensor(name, dims, r.number("I"), r.number("Q"), b""))
        base = -(-r.at // self.alignment) * self.alignment
        for t in self.tensors:
            elements, size = BLOCKS[t.kind]
            n = 1
            for d in t.dims:
                n *= d
            t.data = r.data[base + t.offset:base + t.offset + n // elements * size]

    def tensor(self, name):
        return next(t for t in self.tensors if t.name == name)

    def strings(self, key):
        r = Reader(self.keys[key][1])
        r.number("I")
        return [r.text() for _ in range(r.number("Q"))]

    def set_strings(self, key, values):
        self.keys[key] = (ARRAY, struct.pack("<IQ", STRING, len(values)) + b"".join(struct.pack("<Q", len(v)) + v for v in values))

    def set_text(self, key, value):
        self.keys[key] = (STRING, struct.pack("<Q", len(value.encode())) + value.encode())

    def set_u32(self, key, value):
        self.keys[key] = (U32, struct.pack("<I", value))

    def place(self):
        """Gives every tensor the next free offset."""
        at = 0
        for t in self.tensors:
            t.offset = at
            at = -(-(at + len(t.data)) // self.alignment) * self.alignment

    def bytes(self):
        head = self.magic + struct.pack("<IQQ", self.version, self.counts.get("tensors", len(self.tensors)), self.counts.get("keys", len(self.keys)))
        for name, (kind, value) in self.keys.items():
            head += struct.pack("<Q", len(name.encode())) + name.encode() + struct.pack("<I", kind) + value
        for t in self.tensors:
            head += struct.pack("<Q", len(t.name.encode())) + t.name.encode() + struct.pack(f"<I{len(t.dims)}QIQ", len(t.dims), *t.dims, t.kind, t.offset)
        head += bytes(-len(head) % self.alignment)
        body = bytearray()
        for t in sorted(self.tensors, key=lambda t: t.offset):
            if t.offset > 1 << 30:
                continue  # only said to lie there
            body += bytes(max(0, t.offset - len(body)))
            body[t.offset:t.offset + len(t.data)] = t.data
        return head + bytes(body)

    def write(self, path):
        with open(path, "wb") as f:
            f.write(self.bytes())
        return path


def split(path, prefix, parts):
    """Writes the model as PREFIX-00001-of-0000N.gguf and so on, the keys in the first; returns the paths."""
    whole, out = File(path), []
    share = -(-len(whole.tensors) // parts)
    for part in range(parts):
        f = File(path)
        f.tensors = f.tensors[part * share:(part + 1) * share]
        if part:
            f.keys = {}
        f.keys["split.no"], f.keys["split.count"] = (2, struct.pack("<H", part)), (2, struct.pack("<H", parts))
        f.keys["split.tensors.count"] = (5, struct.pack("<i", len(whole.tensors)))
        f.place()
        out.append(f.write(f"{prefix}-{part + 1:05}-of-{parts:05}.gguf"))
    return out
