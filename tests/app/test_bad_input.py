#!/usr/bin/env python3
"""Bad input from the command line: model files, vocabularies, templates and documents of every wrong kind. Each gets a sentence in
the language asked for and the exit code of bad input, quickly, and nothing is left behind."""
import itertools
import json
import os
import re
import resource
import shutil
import struct
import sys

sys.path[:0] = [os.path.join(os.environ["CJ_SOURCE"], "tests", "support")]
import gguf
import juan
from juan import tap

home = juan.Home()
CHINESE = re.compile(r"[\u4e00-\u9fff]")
GOLDEN = os.path.join(juan.ROOT, "tests", "golden", "llama", "model.gguf")
TINY = os.environ["CJ_TINY_CHAT"]
IDS = home.write("ids", struct.pack("<4i", 1, 2, 3, 4))
BOOK = home.write("book.txt", "从前有座山。山上有座庙，庙里有个老和尚。\n" * 9)


def refused(path, *commands, says=None):
    """Each command says so in both languages, at once, and writes nothing."""
    for command in commands:
        out = home.path("result")
        arguments = {"inspect": ("inspect", path), "tokenize": ("tokenize", path, BOOK), "run": ("run", path, "-p", "x", "-n", "2"),
                     "quantize": ("quantize", path, out, "--type", "Q8_0"), "logits": ("logits", path, "--ids", IDS, "--out", out),
                     "perplexity": ("perplexity", path, BOOK, "--ctx", "8"), "ask": ("ask", BOOK, "问", "--model", path),
                     "bench": ("bench", path, "-p", "8", "-n", "1", "-r", "1")}[command]
        before = home.files()
        english = home.fails(3, *arguments, says=says, timeout=20)
        chinese = home.fails(3, *arguments, "--lang", "zh", timeout=20)
        assert not english.out and not chinese.out, (arguments, english.out)
        assert not CHINESE.search(english.err.replace(BOOK, "")), english
        assert CHINESE.search(chinese.err), chinese
        assert "Internal" not in english.err, english
        assert home.files() == before, f"{arguments}: left behind {set(home.files()) - set(before)}"


MODEL_COMMANDS = ("inspect", "run", "quantize", "logits")


# ---- model files ----

def truncated():
    with open(GOLDEN, "rb") as f:
        whole = f.read()
    cuts = [0, 1, 3, 4, 8, 23, 24, 25, 200, 1000, 2500, 5000] + [len(whole) * i // 12 for i in range(1, 12)] + [len(whole) - 1]
    for n in cuts:
        path = home.write("cut.gguf", whole[:n])
        refused(path, *(MODEL_COMMANDS if n in (0, 1000, 5000, len(whole) - 1) else ("logits",)))


def header():
    for magic, says in ((b"FUGG", "GGUF"), (b"\x7fELF", "GGUF"), (b"PK\x03\x04", "GGUF"), (b"ggml", "GGUF")):
        f = gguf.File(GOLDEN)
        f.magic = magic
        refused(f.write(home.path("bad.gguf")), *MODEL_COMMANDS, says=says)
    for version in (0, 1, 4, 0x03000000, 0xFFFFFFFF):
        f = gguf.File(GOLDEN)
        f.version = version
        refused(f.write(home.path("bad.gguf")), "inspect", "logits", says="version")
    for what, n in itertools.product(("tensors", "keys"), (1 << 16, 1 << 40, 1 << 62, 1 << 63, (1 << 64) - 1)):
        f = gguf.File(GOLDEN)
        f.counts[what] = n
        refused(f.write(home.path("bad.gguf")), "inspect", "logits")


def long_values():
    """Lengths and counts inside the file that no file could hold."""
    for n in (1 << 31, 1 << 60, 1 << 63, (1 << 64) - 8):
        for value in (struct.pack("<Q", n), struct.pack("<IQ", gguf.U32, n), struct.pack("<IQ", gguf.STRING, n), struct.pack("<IQ", gguf.ARRAY, n)):
            f = gguf.File(GOLDEN)
            f.keys["general.name"] = (gguf.STRING if len(value) == 8 else gguf.ARRAY, value)
            refused(f.write(home.path("bad.gguf")), "inspect")


def tensors():
    def bad(says, change, *commands):
        f = gguf.File(GOLDEN)
        change(f)
        refused(f.write(home.path("bad.gguf")), *(commands or ("inspect", "logits")), says=says)

    def attribute(tensor, **values):
        def change(f):
            t = f.tensor(tensor)
            for k, v in values.items():
                setattr(t, k, v)
        return change

    q, k = "blk.0.attn_q.weight", "blk.0.attn_k.weight"
    bad("overlap", lambda f: setattr(f.tensor(q), "offset", f.tensor(k).offset))
    bad("overlap", lambda f: setattr(f.tensor(k), "offset", f.tensor(q).offset + 32))
    for off in (1, 4, 31):
        bad("multiple", lambda f: setattr(f.tensor(q), "offset", f.tensor(q).offset + off))
    bad("cut off", attribute(q, offset=1 << 40))
    bad(None, attribute(q, offset=(1 << 64) - 32))
    for kind in (4, 5, 16, 31, 99, 0xFFFFFFFF):  # no longer, not here, or never a type
        bad("stored as", attribute(q, kind=kind))
    for dims in ([64], [64, 63], [32, 128], [64, 64, 2], [1, 1]):
        bad(None, attribute(q, dims=dims), "logits")
    for dims in ([], [0, 64], [64, 1 << 62], [1 << 32, 1 << 32], [64, 64, 1, 1, 1], [(1 << 64) - 1, 2]):
        bad(None, attribute(q, dims=dims))
    bad(None, attribute(q, dims=[65, 64], kind=8))  # rows that are no whole blocks
    bad("twice", attribute(q, name=k))
    bad(q, lambda f: f.tensors.remove(f.tensor(q)), "logits", "run")
    bad("token_embd", lambda f: f.tensors.remove(f.tensor("token_embd.weight")), "logits")


def settings():
    def bad(name, value, *commands):
        f = gguf.File(GOLDEN)
        if value is None:
            del f.keys[name]
        elif isinstance(value, tuple):
            f.keys[name] = value
        else:
            f.set_u32(name, value)
        refused(f.write(home.path("bad.gguf")), *(commands or ("logits", "bench")), says=None if name == "general.alignment" else name.split(".", 1)[1][:8])

    for name in ("llama.block_count", "llama.embedding_length", "llama.context_length", "llama.attention.head_count"):
        bad(name, 0)
        bad(name, None)
        bad(name, (gguf.STRING, struct.pack("<Q", 1) + b"4"))
    bad("llama.attention.head_count_kv", 0xFFFFFFFF)
    for alignment in (0, 1, 33, 1 << 31):
        bad("general.alignment", alignment, "inspect", "logits")
    f = gguf.File(GOLDEN)
    for name, n in (("llama.block_count", 1 << 20), ("llama.embedding_length", 1 << 19), ("llama.attention.head_count", 3), ("llama.attention.head_count", 4096),
                    ("llama.feed_forward_length", 1 << 23), ("llama.rope.dimension_count", 1 << 20)):
        f = gguf.File(GOLDEN)
        f.set_u32(name, n)
        refused(f.write(home.path("bad.gguf")), "logits")


def split_models():
    def parts(name, n=3):
        os.makedirs(home.path(name), exist_ok=True)
        return gguf.split(GOLDEN, home.path(name + "/m"), n)

    good = parts("good")
    whole, joined = home.path("whole.f32"), home.path("joined.f32")
    home.ok("logits", GOLDEN, "--ids", IDS, "--out", whole)
    home.ok("logits", good[0], "--ids", IDS, "--out", joined)
    with open(whole, "rb") as a, open(joined, "rb") as b:
        assert a.read() == b.read(), "a split model is the same model"
    home.ok("quantize", good[0], home.path("one.gguf"), "--type", "F32")
    home.ok("logits", home.path("one.gguf"), "--ids", IDS, "--out", joined)
    refused(good[1], *MODEL_COMMANDS, says="first part")
    for missing in (1, 2):
        bad = parts(f"missing{missing}")
        os.remove(bad[missing])
        refused(bad[0], *MODEL_COMMANDS, says=os.path.basename(bad[missing]))
    bad = parts("swapped")
    os.rename(bad[1], bad[1] + ".x")
    os.rename(bad[2], bad[1])
    os.rename(bad[1] + ".x", bad[2])
    refused(bad[0], "inspect", "logits", says="part")
    bad = parts("circle")
    os.remove(bad[1])
    os.symlink(bad[0], bad[1])
    refused(bad[0], "inspect", "logits", says="part")
    bad = parts("other")
    shutil.copy(parts("other4", 4)[1], bad[1])
    refused(bad[0], "inspect", "logits")
    bad = parts("cut")
    with open(bad[2], "r+b") as f:
        f.truncate(os.path.getsize(bad[2]) // 2)
    refused(bad[0], "inspect", "logits", says=os.path.basename(bad[2]))
    shutil.copy(good[0], home.path("renamed.gguf"))
    refused(home.path("renamed.gguf"), "inspect", "logits", says="00001-of")


def no_files():
    os.symlink(home.path("circle.gguf"), home.path("circle.gguf"))
    for path, says in ((home.path("absent.gguf"), "absent.gguf"), (home.folder, None), (home.path("circle.gguf"), None), ("/dev/null", None), (BOOK, "GGUF")):
        refused(path, *MODEL_COMMANDS, "tokenize", "perplexity", "ask", "bench", says=says)
    locked = home.write("locked.gguf", b"GGUF")
    os.chmod(locked, 0)
    if not os.access(locked, os.R_OK):
        refused(locked, *MODEL_COMMANDS, says="permission")


# ---- vocabularies ----

def vocabularies():
    tokens, merges = "tokenizer.ggml.tokens", "tokenizer.ggml.merges"

    def bad(says, change, *commands):
        f = gguf.File(TINY)
        change(f)
        refused(f.write(home.path("bad.gguf")), *(commands or ("tokenize", "run")), says=says)

    def texts(key, change):
        def apply(f):
            values = f.strings(key)
            change(values)
            f.set_strings(key, values)
        return apply

    bad(tokens, lambda f: f.keys.pop(tokens))
    bad(None, lambda f: f.set_strings(tokens, []))
    bad(None, texts(tokens, lambda v: v.__delitem__(slice(200, None))))
    bad("same", texts(tokens, lambda v: v.__setitem__(300, v[301])))
    bad(merges, lambda f: f.keys.pop(merges))
    bad("merge", texts(merges, lambda v: v.__setitem__(5, b"nowhere")))
    bad("merge", texts(merges, lambda v: v.__setitem__(5, b"zzz qqq")))
    bad(None, texts(tokens, lambda v: v.__setitem__(300, b"x" * (1 << 20))))
    bad(None, lambda f: f.set_u32(tokens, 3))
    bad(None, texts(tokens, lambda v: v.extend(b"more%d" % i for i in range(1000))))
    for key, name in (("bos", "begin"), ("eos", "end")):
        bad(name, lambda f: f.set_u32(f"tokenizer.ggml.{key}_token_id", 1 << 30))
    bad("abacus", lambda f: f.set_text("tokenizer.ggml.model", "abacus"))
    bad("abacus", lambda f: f.set_text("tokenizer.ggml.pre", "abacus"))


# ---- chat templates ----

HOSTILE = {
    "endless loop": "{% for i in range(1000000000) %}{% for j in range(1000000000) %}{% endfor %}{% endfor %}",
    "loop of loops": "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}{{ c }}{% endfor %}{% endfor %}{% endfor %}",
    "endless recursion": "{% macro m(n) %}{{ m(n + 1) }}{% endmacro %}{{ m(0) }}",
    "two that call each other": "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ a() }}",
    "huge output": "{% for i in range(100000) %}{{ 'xxxxxxxxxxxxxxxx' * 65536 }}{% endfor %}",
    "huge string": "{% set ns = namespace(s='x') %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}{{ ns.s }}",
    "huge product": "{{ 'ab' * 99999999999 }}",
    "huge list": "{{ range(99999999999) | list | length }}",
    "deep brackets": "{{ " + "(" * 60000 + "1" + ")" * 60000 + " }}",
    "deep lists": "{{ " + "[" * 60000 + "]" * 60000 + " }}",
    "deep blocks": "{% if 1 %}" * 20000 + "x" + "{% endif %}" * 20000,
    "unfinished": "{% for m in messages %}{{ m",
    "no such thing": "{{ messages | os_system('ls') }}",
    "refuses": "{{ raise_exception('no way') }}",
}


def hostile_template(name):
    def test():
        f = gguf.File(TINY)
        f.set_text("tokenizer.chat_template", HOSTILE[name])
        refused(f.write(home.path("bad.gguf")), "run")
        request = home.write("request.json", json.dumps({"messages": [{"role": "user", "content": "Hi"}]}))
        home.fails(3, "template", home.write("bad.jinja", HOSTILE[name]), request, says="no way" if name == "refuses" else None, timeout=20)
    return test


# ---- documents ----

STORY = "从前有座山。山上有座庙，庙里有个老和尚在讲故事。\n"
DOCUMENTS = {"empty.txt": (b"", "empty"), "mark.txt": (b"\xef\xbb\xbf", "empty"), "zeros.txt": (bytes(5000), "no text"),
             "program.bin": (b"\x7fELF\x02\x01\x01" + bytes(range(256)) * 20, "no text"),
             "broken.txt": (STORY.encode().replace("庙".encode(), b"\xff\xfe\xfb") * 20, "broken.txt")}


def both_languages(code, *arguments, says=None):
    english = home.fails(code, *arguments, says=says, timeout=30)
    chinese = home.fails(code, *arguments, "--lang", "zh", timeout=30)
    assert CHINESE.search(chinese.err) and not chinese.out and not english.out, (english, chinese)
    return english, chinese


def documents():
    model = home.chat_model()
    for name, (data, says) in DOCUMENTS.items():
        path = home.write(name, data)
        both_languages(3, "ask", path, "庙在哪里？", "--model", model, says=says)
        both_languages(3, "run", model, "-f", path, "-p", "x", says=says)
    for path, says in ((home.path("absent.txt"), "absent.txt"), (home.folder, "directory")):
        if path != home.folder:  # ask reads folders
            both_languages(3, "ask", path, "庙在哪里？", "--model", model, says=says)
        both_languages(3, "run", model, "-f", path, "-p", "x", says=says)
        both_languages(3, "tokenize", model, path, says=says)
        both_languages(3, "perplexity", model, path, says=says)
    for data in (b"", b"too short"):
        both_languages(3, "perplexity", model, home.write("short.txt", data), says="window")


def other_encodings():
    """What is no UTF-8 is converted, that is said, and the text is the same."""
    model = home.chat_model()
    text = STORY * 6
    def read(*options):
        return home.ok("run", model, "--raw", "-f", *options, "-p", "x", "-n", "4", "--temp", "0")
    plain = read(home.write("utf8.txt", text))
    for encoding, name in (("gb18030", "GB18030"), ("utf-16", "UTF-16"), ("utf-8-sig", None)):
        r = read(home.write(encoding + ".txt", text.encode(encoding)))
        assert r.out == plain.out, encoding
        assert name in r.err if name else "converted" not in r.err, r
    for language in ("en", "zh"):
        r = home.ok("run", model, "--raw", "-f", home.path("gb18030.txt"), "-p", "x", "-n", "1", "--lang", language)
        assert "GB18030" in r.err and bool(CHINESE.search(r.err)) == (language == "zh"), r
    for data, unread in ((STORY.encode() * 20 + b"\xff\xfe\xfa\xfb", 4), (STORY.encode()[:-2], 1), ((STORY * 9).encode("gb18030") + b"\xff\n" + STORY.encode("gb18030"), 1)):
        for language, says in (("en", f"could not be read: {unread}."), ("zh", f"{unread} 个损坏的字符")):
            r = home.ok("run", model, "--raw", "-f", home.write("little.txt", data), "-p", "x", "-n", "1", "--lang", language)
            assert says in r.err, r
    r = home.ok("ask", home.path("gb18030.txt"), "庙在哪里？", "--model", model, "--json")
    assert "GB18030" in r.err
    for e in r.json()["evidence"]:
        assert text[e["start"]:e["end"]] == e["quote"]


def too_long():
    """By how many tokens, and what to do; never cut."""
    model = home.chat_model()
    path = home.write("long.txt", STORY * 400)
    tokens = len(home.ok("tokenize", model, path).json())
    for arguments in (("run", model, "--raw", "-f", path, "-p", "x"), ("run", model, "-f", path, "-p", "x"),
                      ("run", model, "--raw", "-p", STORY * 400), ("ask", path, "庙在哪里？", "--model", model)):
        english, chinese = both_languages(3, *arguments, says="2048")
        for r in (english, chinese):
            numbers = [int(n.replace(",", "")) for n in re.findall(r"\d[\d,]*", r.err)]
            assert any(tokens - 2048 <= n <= tokens for n in numbers), f"by how many tokens is not said: {r}"


# ---- no disk ----

def no_disk_for_snapshots():
    """The snapshot of what every question begins with saves time only: without room for it the question is answered all the same."""
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
    model = home.model("reader.gguf", "tiny-gemma3")
    shutil.rmtree(home.path("home/snapshots"), ignore_errors=True)
    r = home.ok("ask", BOOK, "庙在哪里？", "--model", model, "--json", before=limit)
    want = home.ok("ask", BOOK, "庙在哪里？", "--model", model, "--json")
    again = home.ok("ask", BOOK, "庙在哪里？", "--model", model, "--json")
    assert r.json()["answer"] == want.json()["answer"] == again.json()["answer"]
    assert r.json()["evidence"] == want.json()["evidence"] == again.json()["evidence"]
    kept = [f for f in home.files() if "snapshots" in f]
    assert len(kept) == 1 and not kept[0].endswith(".part"), kept
    for damage in (lambda b: b[:len(b) // 2], lambda b: b"", lambda b: b[:900] + bytes([b[900] ^ 1]) + b[901:], lambda b: b[::-1]):
        with open(home.path(kept[0]), "rb") as f:
            good = f.read()
        home.write(kept[0], damage(good))
        r = home.ok("ask", BOOK, "庙在哪里？", "--model", model, "--json")
        assert r.json()["answer"] == want.json()["answer"], "a damaged snapshot is not used"


juan.run([("cut off", truncated), ("wrong magic, version, counts", header), ("values longer than the file", long_values), ("bad tensors", tensors),
          ("bad settings", settings), ("split models", split_models), ("no model files", no_files), ("bad vocabularies", vocabularies)]
         + [(f"hostile template: {name}", hostile_template(name)) for name in HOSTILE]
         + [("bad documents", documents), ("other encodings", other_encodings), ("documents larger than the context", too_long),
            ("no disk for snapshots", no_disk_for_snapshots)], home)
