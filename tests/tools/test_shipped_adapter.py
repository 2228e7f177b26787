#!/usr/bin/env python3
"""The adapters of share/adapters: not too large, whole, told about, and of the kinds that ask uses by itself."""
import glob
import os
import sys

sys.path[:0] = [os.path.join(os.environ["CJ_SOURCE"], "tests", "support")]
import juan
import tap

SHARE = os.path.join(os.environ["CJ_SOURCE"], "share")
BYTES_MAX = 16 << 20
home = juan.Home()


def shipped():
    files = glob.glob(os.path.join(SHARE, "adapters", "*.gguf"))
    if not files:
        raise tap.Skip("share/adapters holds no adapter: make adapter makes one")
    return files


def small():
    for path in shipped():
        assert os.path.getsize(path) <= BYTES_MAX, f"{path}: {os.path.getsize(path)} bytes, at most {BYTES_MAX}"


def known():
    names = {os.path.basename(path)[:-len(".gguf")] for path in shipped()}
    listed = {a["name"]: a for a in home.ok("adapter", "list", "--json").json()["adapters"]}
    assert set(listed) == names
    for name, a in listed.items():
        assert not a["own"] and not a["damaged"] and a["activated"] and a["prompt"] == ("find-1" if name.endswith("-find") else "qa-1"), a
        assert a["base"], f"{name} does not say which model it is for"
    with open(os.path.join(SHARE, "adapters", "NOTICE"), encoding="utf8") as f:
        notice = f.read()
    for name in names:
        assert name + ".gguf" in notice, f"NOTICE does not tell what {name} is made from"
    assert "ai.google.dev/gemma/terms" in notice and "CC BY-SA 4.0" in notice and "CC BY-SA 3.0" in notice
    with open(os.path.join(SHARE, "models.ini"), encoding="utf8") as f:
        models = f.read()
    for name in names:
        assert any(f"[{name.rsplit('-', k)[0]}]" in models for k in (1, 2)), f"{name} is named after no model of the catalogue"


juan.run([("no larger than 16 MB", small), ("listed and told about", known)], home)
