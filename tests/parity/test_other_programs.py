#!/usr/bin/env python3
"""What juan writes for other programs, loaded by them: merged models as folders (transformers) and files (llama.cpp), adapters as folders (PEFT) and
files (llama.cpp). Skips, saying why, what is not on this machine.

    CJ_SOURCE=. CJ_BUILD=build CJ_LLAMA=/path/to/llama.cpp/bin path/to/python-with-torch tests/parity/test_other_programs.py [MODEL.gguf TEXT]

Without arguments the golden models are merged with adapters of random numbers. With a model and a text the same is done with that model, and the text
is tokenised by both and, where CJ_LLAMA names a folder with llama-perplexity, its perplexity is compared."""
import json
import math
import os
import random
import re
import struct
import subprocess
import sys
import tempfile
from array import array

ROOT = os.environ["CJ_SOURCE"]
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
sys.dont_write_bytecode = True
import adapter_file
import tap

JUAN = os.path.join(os.environ["CJ_BUILD"], "juan")
GOLDEN = os.path.join(ROOT, "tests", "golden")
DENSE = ("gemma3", "gemma3-mqa", "llama", "llama-biases", "llama-linear", "llama-llama3rope", "llama-yarn", "qwen2", "qwen3")
EXACT = ("--exact-math", "--kv", "f32")
MOST = 2e-5  # ||ours - theirs|| / ||theirs||, both in float32


def torch_or_skip():
    try:
        import peft
        import torch
        import transformers
    except ImportError as e:
        raise tap.Skip(f"this Python has no {e.name}")
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    return torch, transformers, peft


def juan(*arguments):
    r = subprocess.run([JUAN, *arguments, "--lang", "en"], capture_output=True, text=True)
    assert r.returncode == 0, r.stderr
    return r.stdout


def ours(model, ids, folder, *options):
    with open(folder + "/ids", "wb") as f:
        f.write(struct.pack(f"<{len(ids)}i", *ids))
    juan("logits", model, "--ids", folder + "/ids", "--out", folder + "/out", *EXACT, *options)
    return array("f", open(folder + "/out", "rb").read())


def error(got, want):
    return math.sqrt(sum((a - b) ** 2 for a, b in zip(got, want)) / sum(b * b for b in want))


def theirs(model, ids, torch):
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0].float().flatten().tolist()


def golden_ids(case):
    data = open(os.path.join(GOLDEN, case, "golden.safetensors"), "rb").read()
    n, = struct.unpack("<Q", data[:8])
    begin, end = json.loads(data[8:8 + n])["input_ids"]["data_offsets"]
    return list(struct.unpack(f"<{(end - begin) // 4}i", data[8 + n + begin:8 + n + end]))


def same_logits(source, ids, say=False):
    """merged folder in transformers = base folder and adapter folder in PEFT = what we have of base and adapter."""
    torch, transformers, peft = torch_or_skip()
    with tempfile.TemporaryDirectory() as d:
        adapter_file.write_random(source, d + "/a.gguf", rank=4, seed=3)
        juan("adapter", "merge", d + "/a.gguf", d + "/merged", "--model", source, "--type", "F32")
        juan("adapter", "export", d + "/a.gguf", d + "/peft", "--model", source)
        juan("quantize", source, d + "/base/", "--type", "F32")
        want = ours(d + "/merged", ids, d)
        merged = transformers.AutoModelForCausalLM.from_pretrained(d + "/merged", dtype=torch.float32, attn_implementation="eager")
        base = transformers.AutoModelForCausalLM.from_pretrained(d + "/base", dtype=torch.float32, attn_implementation="eager")
        laid = peft.PeftModel.from_pretrained(base, d + "/peft")
        found = {"transformers, merged": theirs(merged.eval(), ids, torch), "PEFT": theirs(laid.eval(), ids, torch)}
        bare = error(ours(source, ids, d), want)
        assert bare > 1e-3, f"the adapter changes nothing: {bare:.1e}"
        for name, got in found.items():
            e = error(got, want)
            if say:
                print(f"# {name}: {e:.1e} (the base alone: {bare:.1e})")
            assert e <= MOST, f"{name}: normalised error {e:.1e}, at most {MOST}"


def golden(case):
    return lambda: same_logits(os.path.join(GOLDEN, case, "model.gguf"), golden_ids(case))


def words(text):
    """The text itself, and pieces of it that tokenizers stumble over."""
    return [text, "  two  spaces\n\n\nand lines\t\t", "it's 12345 i'LL", " ", "文中未提及。「引号」", "a\u0301 é 🙂🙃 \u200b", text[:200].upper(), "<start_of_turn>user"]


def same_tokens(folder, source, text, say=False):
    _, transformers, _ = torch_or_skip()
    t = transformers.AutoTokenizer.from_pretrained(folder)
    n = 0
    for piece in words(text):
        with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as f:
            f.write(piece)
            f.flush()
            want = json.loads(juan("tokenize", source, f.name, "--special"))
            again = json.loads(juan("tokenize", folder, f.name, "--special"))
        got = t(piece)["input_ids"]
        assert got == want, f"{piece[:40]!r}: transformers {got[:20]}, ours {want[:20]}"
        assert again == want, f"{piece[:40]!r}: our reading of the folder {again[:20]}, of the file {want[:20]}"
        assert t.decode(got, skip_special_tokens=True) == piece or "<start" in piece, piece[:40]
        n += len(want)
    if say:
        print(f"# {n} tokens alike")


def perplexity_of(program, *arguments):
    r = subprocess.run([program, *arguments], capture_output=True, text=True)
    found = re.search(r"PPL = ([0-9.]+)", r.stdout + r.stderr)
    assert found, r.stderr[-400:]
    return float(found.group(1))


def llama(source, text):
    """Perplexities of llama.cpp: merged file, and adapter beside the base in the form that we export; ours of the merged file beside them."""
    program = os.path.join(os.environ.get("CJ_LLAMA", "/nowhere"), "llama-perplexity")
    if not os.path.exists(program):
        raise tap.Skip("CJ_LLAMA names no folder with llama-perplexity")
    with tempfile.TemporaryDirectory() as d:
        adapter_file.write_random(source, d + "/a.gguf", rank=4, seed=3)
        juan("adapter", "export", d + "/a.gguf", d + "/peft", "--model", source)
        juan("adapter", "export", d + "/peft", d + "/b.gguf", "--model", source)  # there and back
        juan("quantize", source, d + "/base.gguf", "--type", "F32")
        juan("adapter", "merge", d + "/a.gguf", d + "/merged.gguf", "--model", source, "--type", "F32")
        same = ("-f", text, "-c", "256", "-t", "2", "--chunks", "8")
        plain = perplexity_of(program, "-m", d + "/base.gguf", *same)
        beside = perplexity_of(program, "-m", d + "/base.gguf", "--lora", d + "/b.gguf", *same)
        merged = perplexity_of(program, "-m", d + "/merged.gguf", *same)
        mine = json.loads(juan("perplexity", d + "/merged.gguf", text, "--ctx", "256", "--json", "--exact-math"))["ppl"]
        print(f"# llama.cpp: base {plain}, with --lora {beside}, merged {merged}; ours of the merged file {mine:.4f}")
        assert abs(beside / merged - 1) < 2e-3 and abs(plain / merged - 1) > 2e-3


def real(source, text):
    with open(text, encoding="utf-8") as f:
        content = f.read()

    def tokens():
        torch_or_skip()
        with tempfile.TemporaryDirectory() as d:
            juan("quantize", source, d + "/folder/", "--type", "BF16")
            same_tokens(d + "/folder", source, content[:20000], say=True)

    def logits():
        torch_or_skip()
        with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as f:
            f.write(content[:300])
            f.flush()
            ids = json.loads(juan("tokenize", source, f.name, "--special"))[:128]
        same_logits(source, ids, say=True)

    return [("tokens", tokens), ("logits", logits), ("llama.cpp", lambda: llama(source, text))]


tap.run(real(*sys.argv[1:3]) if len(sys.argv) > 2 else [(case, golden(case)) for case in DENSE])
