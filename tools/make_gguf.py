#!/usr/bin/env python3
"""Writes a GGUF model with random weights: any shape, any stored type, no download.

    tools/make_gguf.py qwen.gguf --shape qwen2.5-0.5b --type Q8_0
    tools/make_gguf.py tiny.gguf --shape tiny-qwen3 --type Q4_K --set layers=3 --set vocab=1000 --seed 7

Speed does not depend on the values of weights, so benchmarks run on such files; the tiny shapes are for tests. Weights are
drawn with a deviation of 1/sqrt(inputs), so that activations stay near one. The vocabulary is complete and valid (bytes, some
joined letters, fillers) but means nothing. The same arguments write the same bytes.
"""
import argparse
import math
import random
import statistics
import struct
import sys
from array import array

# layers, hidden, ffn, query heads, kv heads, head size, vocabulary, rope theta, context; `experts` 0 means dense; of layers with a
# delta rule (all but every `interval`th) heads of keys and of values, both of size `state`, and taps of the convolution.
SHAPES = {
    "gemma3-270m": dict(family="gemma3", layers=18, hidden=640, ffn=2048, heads=4, kv=1, head=256, vocab=262144, theta=1e6,
                        context=32768, window=512, tied=1, space_prefix=0),
    "qwen2.5-0.5b": dict(family="qwen2", layers=24, hidden=896, ffn=4864, heads=14, kv=2, head=64, vocab=151936, theta=1e6,
                         context=32768, tied=1),
    "qwen3-0.6b": dict(family="qwen3", layers=28, hidden=1024, ffn=3072, heads=16, kv=8, head=128, vocab=151936, theta=1e6,
                       context=40960, tied=1),
    "qwen3.5-0.8b": dict(family="qwen35", layers=24, hidden=1024, ffn=3584, heads=8, kv=2, head=256, vocab=248320, theta=1e7,
                         context=262144, tied=1, rotary=64, key_heads=16, value_heads=16, state=128, taps=4, interval=4),
    "smollm2-135m": dict(family="llama", layers=30, hidden=576, ffn=1536, heads=9, kv=3, head=64, vocab=49152, theta=1e5,
                         context=8192, tied=1),
    "tiny-llama": dict(family="llama", layers=4, hidden=256, ffn=512, heads=4, kv=2, head=64, vocab=512, theta=1e4, context=2048,
                       tied=0),
    "tiny-qwen2": dict(family="qwen2", layers=4, hidden=256, ffn=512, heads=4, kv=2, head=64, vocab=512, theta=1e4, context=2048,
                       tied=1),
    "tiny-qwen3": dict(family="qwen3", layers=4, hidden=256, ffn=512, heads=4, kv=2, head=64, vocab=512, theta=1e4, context=2048,
                       tied=1),
    "tiny-qwen3moe": dict(family="qwen3moe", layers=4, hidden=256, ffn=512, heads=4, kv=2, head=64, vocab=512, theta=1e4,
                          context=2048, tied=0, experts=8, used=2, expert_ffn=256),
    "tiny-qwen35": dict(family="qwen35", layers=4, hidden=256, ffn=512, heads=4, kv=2, head=64, vocab=512, theta=1e7, context=2048,
                        tied=1, rotary=16, key_heads=2, value_heads=4, state=32, taps=4, interval=4),
    "tiny-gemma3": dict(family="gemma3", layers=7, hidden=256, ffn=512, heads=4, kv=1, head=64, vocab=512, theta=1e6,
                        context=2048, window=16, tied=1, space_prefix=0),
}
# GGUF number, elements and bytes of a block, general.file_type of a file that is mostly of this type.
TYPES = {"F32": (0, 1, 4, 0), "F16": (1, 1, 2, 1), "BF16": (30, 1, 2, 32), "Q4_0": (2, 32, 18, 2), "Q4_1": (3, 32, 20, 3),
         "Q5_0": (6, 32, 22, 8), "Q5_1": (7, 32, 24, 9), "Q8_0": (8, 32, 34, 7), "Q4_K": (12, 256, 144, 14),
         "Q5_K": (13, 256, 176, 16), "Q6_K": (14, 256, 210, 18)}
ALIGNMENT = 32
TILE = 256 * 4093  # elements of a tensor that are made; a larger one repeats them, shifted against its rows


# ---- values of keys ----

def text(s):
    b = s.encode()
    return struct.pack("<Q", len(b)) + b


def value(v):
    """A Python value as a GGUF type number and bytes. Lists hold one kind."""
    if isinstance(v, bool):
        return 7, struct.pack("<?", v)
    if isinstance(v, int):
        return 4, struct.pack("<I", v)
    if isinstance(v, float):
        return 6, struct.pack("<f", v)
    if isinstance(v, str):
        return 8, text(v)
    if isinstance(v, array):  # "f" or "i"
        return 9, struct.pack(f"<IQ{len(v)}{v.typecode}", {"f": 6, "i": 5}[v.typecode], len(v), *v)
    return 9, struct.pack("<IQ", 8, len(v)) + b"".join(map(text, v))


# ---- vocabularies ----

def byte_letters():
    """The 256 characters by which byte-level BPE vocabularies write bytes."""
    keep = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    moved = iter(range(256, 512))
    return [chr(b) if b in keep else chr(next(moved)) for b in range(256)]


def byte_bpe(vocab, pre):
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    letters = "etaoinshrdlucmfwypvbgkqjxz"
    pairs = [(a, b) for a in letters for b in letters][:max(0, vocab - 256 - len(special))]
    tokens = byte_letters() + [a + b for a, b in pairs]
    kinds = [1] * len(tokens)
    while len(tokens) < vocab - len(special):
        tokens.append(f"[filler{len(tokens)}]")
        kinds.append(5)
    first = len(tokens)
    return {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": pre, "tokenizer.ggml.tokens": tokens + special,
            "tokenizer.ggml.token_type": array("i", kinds + [3] * len(special)),
            "tokenizer.ggml.merges": [a + " " + b for a, b in pairs],
            "tokenizer.ggml.bos_token_id": first, "tokenizer.ggml.eos_token_id": first + 2,
            "tokenizer.ggml.padding_token_id": first, "tokenizer.ggml.add_bos_token": False}


def sentencepiece(vocab, space_prefix):
    tokens = ["<pad>", "<eos>", "<bos>", "<unk>"] + [f"<0x{b:02X}>" for b in range(256)]
    kinds = [3, 3, 3, 2] + [6] * 256
    pieces = ["▁"] + [chr(c) for c in range(33, 127)] + [chr(c) for c in range(0x4E00, 0x9FA6)]
    for piece in pieces[:max(0, vocab - len(tokens))]:
        tokens.append(piece)
        kinds.append(1)
    while len(tokens) < vocab:
        tokens.append(f"<unused{len(tokens)}>")
        kinds.append(5)
    scores = array("f", [-i if kind == 1 else -1000 for i, kind in enumerate(kinds)])
    return {"tokenizer.ggml.model": "llama", "tokenizer.ggml.pre": "default", "tokenizer.ggml.tokens": tokens,
            "tokenizer.ggml.scores": scores, "tokenizer.ggml.token_type": array("i", kinds),
            "tokenizer.ggml.bos_token_id": 2, "tokenizer.ggml.eos_token_id": 1, "tokenizer.ggml.unknown_token_id": 3,
            "tokenizer.ggml.padding_token_id": 0, "tokenizer.ggml.add_bos_token": True,
            "tokenizer.ggml.add_space_prefix": bool(space_prefix)}


# ---- models ----

def keys(name, s, kind):
    f = s["family"]
    k = {"general.architecture": f, "general.type": "model", "general.name": f"random {name}", "general.alignment": ALIGNMENT,
         f"{f}.context_length": s["context"], f"{f}.embedding_length": s["hidden"], f"{f}.block_count": s["layers"],
         f"{f}.feed_forward_length": s["ffn"], f"{f}.attention.head_count": s["heads"], f"{f}.attention.head_count_kv": s["kv"],
         f"{f}.attention.key_length": s["head"], f"{f}.attention.value_length": s["head"],
         f"{f}.attention.layer_norm_rms_epsilon": 1e-6, f"{f}.rope.freq_base": float(s["theta"]), f"{f}.vocab_size": s["vocab"]}
    if f == "llama":
        k[f"{f}.rope.dimension_count"] = s["head"]
    if s.get("window"):
        k[f"{f}.attention.sliding_window"] = s["window"]
    if s.get("experts"):
        k.update({f"{f}.expert_count": s["experts"], f"{f}.expert_used_count": s["used"],
                  f"{f}.expert_feed_forward_length": s["expert_ffn"]})
    if s.get("state"):
        k.update({f"{f}.rope.dimension_count": s["rotary"], f"{f}.rope.dimension_sections": array("i", [11, 11, 10, 0]),
                  f"{f}.full_attention_interval": s["interval"], f"{f}.ssm.conv_kernel": s["taps"], f"{f}.ssm.group_count": s["key_heads"],
                  f"{f}.ssm.time_step_rank": s["value_heads"], f"{f}.ssm.state_size": s["state"],
                  f"{f}.ssm.inner_size": s["value_heads"] * s["state"]})
    k.update(sentencepiece(s["vocab"], s["space_prefix"]) if f == "gemma3" else byte_bpe(s["vocab"], "smollm" if f == "llama" else "qwen2"))
    k.update({"general.quantization_version": 2, "general.file_type": TYPES[kind][3]})
    return k


def delta(s):
    """The mixer of a layer with a delta rule; in place of the parts of attention."""
    h, values, heads = s["hidden"], s["value_heads"] * s["state"], s["value_heads"]
    channels = 2 * s["key_heads"] * s["state"] + values
    return [("attn_qkv.weight", (h, channels)), ("attn_gate.weight", (h, values)), ("ssm_beta.weight", (h, heads)),
            ("ssm_alpha.weight", (h, heads)), ("ssm_conv1d.weight", (s["taps"], channels)), ("ssm_a", (heads,)), ("ssm_dt.bias", (heads,)),
            ("ssm_norm.weight", (s["state"],)), ("ssm_out.weight", (values, h))]


def tensors(s):
    """(name, dimensions with the row length first) of every tensor."""
    f, h, q, kv = s["family"], s["hidden"], s["heads"] * s["head"], s["kv"] * s["head"]
    out = [("token_embd.weight", (h, s["vocab"])), ("output_norm.weight", (h,))]
    if not s["tied"]:
        out.append(("output.weight", (h, s["vocab"])))
    for layer in range(s["layers"]):
        block = [("attn_norm.weight", (h,)), ("attn_q.weight", (h, q)), ("attn_k.weight", (h, kv)), ("attn_v.weight", (h, kv)),
                 ("attn_output.weight", (q, h)), ("ffn_norm.weight", (h,))]
        if f == "qwen2":
            block += [("attn_q.bias", (q,)), ("attn_k.bias", (kv,)), ("attn_v.bias", (kv,))]
        if f in ("qwen3", "qwen3moe", "gemma3"):
            block += [("attn_q_norm.weight", (s["head"],)), ("attn_k_norm.weight", (s["head"],))]
        if f == "qwen35":
            full = (layer + 1) % s["interval"] == 0
            gated = [("attn_q.weight", (h, 2 * q)), *block[2:5], ("attn_q_norm.weight", (s["head"],)), ("attn_k_norm.weight", (s["head"],))]
            block = [block[0], *(gated if full else delta(s)), ("post_attention_norm.weight", (h,))]
        if f == "gemma3":
            block += [("post_attention_norm.weight", (h,)), ("post_ffw_norm.weight", (h,))]
        if s.get("experts"):
            n, e = s["experts"], s["expert_ffn"]
            block += [("ffn_gate_inp.weight", (h, n)), ("ffn_gate_exps.weight", (h, e, n)), ("ffn_up_exps.weight", (h, e, n)),
                      ("ffn_down_exps.weight", (e, h, n))]
        else:
            block += [("ffn_gate.weight", (h, s["ffn"])), ("ffn_up.weight", (h, s["ffn"])), ("ffn_down.weight", (s["ffn"], h))]
        out += [(f"blk.{layer}.{name}", dims) for name, dims in block]
    return out


def stored_type(name, dims, kind):
    """What `juan quantize` would choose: small tensors stay F32, the vocabulary is stored finer, rows must be whole blocks."""
    if len(dims) == 1 or "ffn_gate_inp" in name or "conv1d" in name:
        return "F32"
    if name in ("token_embd.weight", "output.weight") and kind.startswith(("Q4", "Q5")):
        kind = "Q6_K"
    if dims[0] % TYPES[kind][1]:
        kind = {"Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0"}.get(kind, "F16")
    return kind if dims[0] % TYPES[kind][1] == 0 else "F16"


# ---- weights ----

# Everything is made from random bytes without a loop over elements: bytes.translate turns each into one byte of a value, and a
# slice with a stride puts that byte into its place in every block.

def spread(b, at, stride, choice, values):
    """Element k of b, `stride` bytes each, gets at byte `at` the value (packed bytes) that the random byte choice[k] chooses."""
    for i in range(len(values[0])):
        b[at + i::stride] = choice.translate(bytes(v[i] for v in values))


NORMAL = [statistics.NormalDist().inv_cdf((u + 0.5) / 256) for u in range(256)]


def plain(source, kind, n, mean, deviation):
    """n numbers, near enough to normal: 256 values, and in F32 random digits behind them."""
    if kind == "F32":
        b = bytearray(source.randbytes(4 * n))
        spread(b, 2, 4, source.randbytes(n), [struct.pack("<f", mean + deviation * z)[2:] for z in NORMAL])
        return b
    b = bytearray(2 * n)
    pack = (lambda v: struct.pack("<e", v)) if kind == "F16" else (lambda v: struct.pack("<f", v)[2:])
    spread(b, 0, 2, source.randbytes(n), [pack(mean + deviation * z) for z in NORMAL])
    return b


def halves(*numbers):
    return struct.pack(f"<{len(numbers)}e", *numbers)


def blocks(source, kind, n, deviation):
    """n elements of a quantised type: random codes, and scales that give them the wanted deviation and mean 0."""
    _, per_block, size, _ = TYPES[kind]
    count = n // per_block
    b = bytearray(source.randbytes(count * size))
    codes = {"8_0": 256, "4_0": 16, "4_1": 16, "5_0": 32, "5_1": 32, "4_K": 16, "5_K": 32, "6_K": 64}[kind[1:]]
    middle = (codes - 1) / 2
    # Scales differ from block to block by up to 2; a uniform code has a deviation of codes / sqrt(12).
    steps = [deviation / (codes / math.sqrt(12)) * 2 ** (u / 255 - 0.5) for u in range(256)]
    choice = source.randbytes(count)
    if kind in ("Q4_0", "Q5_0", "Q8_0"):
        spread(b, 0, size, choice, [halves(s) for s in steps])
    elif kind in ("Q4_1", "Q5_1"):
        spread(b, 0, size, choice, [halves(s, -middle * s) for s in steps])
    elif kind in ("Q4_K", "Q5_K"):
        spread(b, 0, size, choice, [halves(s / 48, middle * s / 48) for s in steps])
        # Run r and run r + 4 get 6-bit scales from 32 to 63, and minima equal to them, so that minimum * dmin is the middle.
        low, high = [32 + (u & 31) for u in range(256)], [34 + 4 * (u >> 5) for u in range(256)]
        first, second = [bytes([x | y >> 4 << 6]) for x, y in zip(low, high)], [bytes([(y & 15) * 17]) for y in high]
        for r in range(4):
            choice = source.randbytes(count)
            spread(b, 4 + r, size, choice, first)
            spread(b, 8 + r, size, choice, first)
            spread(b, 12 + r, size, choice, second)
    else:
        for r in range(16):
            spread(b, 192 + r, size, source.randbytes(count), [bytes([64 + (u & 63)]) for u in range(256)])
        spread(b, 208, size, choice, [halves(s / 96) for s in steps])
    return b


def weights(source, name, dims, kind):
    """The bytes of a tensor, in pieces."""
    mean, deviation = (1, 0.1) if "norm" in name else (-1, 0.1) if name.endswith("ssm_a") else (0, 0.1 if name.endswith(".bias") else 1 / math.sqrt(dims[0]))
    _, per_block, size, _ = TYPES[kind]
    n = math.prod(dims)
    tile = min(n, TILE)
    made = plain(source, kind, tile, mean, deviation) if per_block == 1 else blocks(source, kind, tile, deviation)
    for at in range(0, n, tile):
        yield memoryview(made)[:min(tile, n - at) // per_block * size]


def write(path, name, shape, kind, seed, template=""):
    described, offset = b"", 0
    plan = [(n, dims, stored_type(n, dims, kind)) for n, dims in tensors(shape)]
    for n, dims, stored in plan:
        number, per_block, size, _ = TYPES[stored]
        described += text(n) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, number, offset)
        offset += -(-math.prod(dims) // per_block * size // ALIGNMENT) * ALIGNMENT
    pairs = keys(name, shape, kind)
    if template:
        pairs["tokenizer.chat_template"] = template
    head = b"GGUF" + struct.pack("<IQQ", 3, len(plan), len(pairs))
    head += b"".join(text(k) + struct.pack("<I", t) + v for k, (t, v) in ((k, value(v)) for k, v in pairs.items())) + described
    with open(path, "wb") as out:
        out.write(head + bytes(-len(head) % ALIGNMENT))
        for n, dims, stored in plan:
            for chunk in weights(random.Random(f"{seed} {n}"), n, dims, stored):
                out.write(chunk)
            out.write(bytes(-out.tell() % ALIGNMENT))


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    p.add_argument("out")
    p.add_argument("--shape", required=True, choices=SHAPES)
    p.add_argument("--type", default="Q8_0", choices=TYPES)
    p.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="change the shape: layers, hidden, vocab, ...")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--template", metavar="FILE", help="a chat template (Jinja) to put in")
    a = p.parse_args()
    shape = dict(SHAPES[a.shape])
    for change in a.set:
        name, _, number = change.partition("=")
        if name not in shape or name == "family":
            sys.exit(f"{p.prog}: --set {change}: the names are {', '.join(n for n in shape if n != 'family')}")
        shape[name] = int(float(number))
    template = ""
    if a.template:
        with open(a.template, encoding="utf-8") as f:
            template = f.read()
    write(a.out, a.shape, shape, a.type, a.seed, template)


if __name__ == "__main__":
    main()
