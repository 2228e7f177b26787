#!/usr/bin/env python3
"""Losses of 300 steps of training by PyTorch, for tests/unit/test_train_parity.c: needs torch, and is run by hand when a case changes.

    python3 tests/train/torch_losses.py [CASE ...]   writes tests/fixtures/train_losses/CASE.txt, of every case where none is named
    python3 tests/train/torch_losses.py --double     computes in float64 and says how far the files are from that

The models are the golden ones (tests/golden), written here a second time from their mathematics: every weight in float32, AdamW, gradients
clipped by their common norm, the rate rising and falling along a cosine. What both sides must draw alike (tokens, an adapter's first weights) is
integer arithmetic.
"""
import math
import os
import struct
import sys

import torch
import torch.nn.functional as F

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
sys.dont_write_bytecode = True
import gguf

STEPS, SEQS, ROWS, PREFIX, RANK, ALPHA = 300, 4, 24, 20, 4, 8
PEAK, LEAST, WARMUP, DECAY, CLIP, BETAS, EPS = 2e-3, 2e-4, 20, 0.1, 1.0, (0.9, 0.95), 1e-8
CASES = {"whole-llama-biases": ("llama-biases", False), "whole-gemma3": ("gemma3", False), "adapter-gemma3": ("gemma3", True),
         "adapter-qwen2": ("qwen2", True)}
MASK = (1 << 64) - 1


# ---- what both sides draw ----

def bits(state):
    """splitmix64: the next state and its number."""
    state = (state + 0x9E3779B97F4A7C15) & MASK
    x = ((state ^ state >> 30) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ x >> 27) * 0x94D049BB133111EB) & MASK
    return state, x ^ x >> 31


def tokens(step, seq, n, vocab):
    """A text with a law that can be learnt, and some noise."""
    state, out = step * 1000 + seq, [(step * 31 + seq * 17 + 3) % vocab]
    while len(out) < n:
        state, x = bits(state)
        out.append((out[-1] * 5 + 7 + x % 3) % vocab)
    return out


def drawn(k, n, spread):
    """The first weights of an adapter's k-th parameter."""
    return [(((i * 2654435761 + k * 40503 + 12345) % (1 << 32)) / (1 << 32) - 0.5) * spread for i in range(n)]


# ---- the model ----

class Model:
    def __init__(self, name, dtype):
        f = gguf.File(os.path.join(ROOT, "tests", "golden", name, "model.gguf"))
        self.arch = f.keys["general.architecture"][1][8:].decode()
        self.f, self.dtype = f, dtype
        self.w = {t.name: torch.tensor(struct.unpack(f"<{len(t.data) // 4}f", t.data)).to(dtype).reshape(t.dims[::-1]) for t in f.tensors}
        self.layers, self.hidden = self.number("block_count"), self.number("embedding_length")
        self.heads, self.kv = self.number("attention.head_count"), self.number("attention.head_count_kv")
        self.dk, self.eps = self.number("attention.key_length"), self.number("attention.layer_norm_rms_epsilon")
        self.theta, self.vocab = self.number("rope.freq_base"), self.w["token_embd.weight"].shape[0]
        self.gemma = self.arch.startswith("gemma")
        self.halves = self.arch != "llama"
        self.window = self.number("attention.sliding_window") if self.gemma else 0
        self.period = self.pattern() if self.gemma else 1
        self.factor = self.number("rope.scaling.factor") if f"{self.arch}.rope.scaling.factor" in f.keys else 1.0
        self.adapter = None

    def number(self, key):
        kind, raw = self.f.keys[f"{self.arch}.{key}"]
        return struct.unpack({4: "<I", 5: "<i", 6: "<f", 10: "<Q"}[kind], raw)[0]

    def pattern(self):
        key = f"{self.arch}.attention.sliding_window_pattern"
        if key not in self.f.keys:
            return 6
        kind, raw = self.f.keys[key]
        return list(raw[12:]) if kind == 9 else struct.unpack("<I", raw)[0]

    def full(self, i):
        if not self.gemma:
            return True
        return not self.period[i] if isinstance(self.period, list) else (i + 1) % self.period == 0

    def linear(self, x, name, acts=True):
        y = F.linear(x, self.w[name + ".weight"], self.w.get(name + ".bias"))
        if acts and self.adapter and name in self.adapter:
            a, b = self.adapter[name]
            y = y + ALPHA / RANK * F.linear(F.linear(x, a), b)
        return y

    def norm(self, x, name):
        if name not in self.w:
            return x
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.w[name]

    def rotate(self, x, positions, theta, factor):
        """x [batch][rows][heads][dk]"""
        inv = torch.tensor([theta ** (-2.0 * i / self.dk) / factor for i in range(self.dk // 2)], dtype=torch.float64)
        angle = (positions.double()[:, None] * inv[None])[None, :, None]
        cos, sin = angle.cos().to(self.dtype), angle.sin().to(self.dtype)
        if self.halves:
            a, b = x[..., :self.dk // 2], x[..., self.dk // 2:]
            return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)
        a, b = x[..., 0::2], x[..., 1::2]
        return torch.stack([a * cos - b * sin, b * cos + a * sin], -1).flatten(-2)

    def attention(self, i, x, first, before, acts):
        batch, rows, _ = x.shape
        p = f"blk.{i}."
        theta, factor = (self.theta, self.factor) if self.full(i) else (1e4, 1.0)
        positions = torch.arange(first, first + rows)
        q = self.norm(self.linear(x, p + "attn_q", acts).view(batch, rows, self.heads, self.dk), p + "attn_q_norm.weight")
        k = self.norm(self.linear(x, p + "attn_k", acts).view(batch, rows, self.kv, self.dk), p + "attn_k_norm.weight")
        v = self.linear(x, p + "attn_v", acts).view(batch, rows, self.kv, self.dk)
        q, k = self.rotate(q, positions, theta, factor), self.rotate(k, positions, theta, factor)
        if before is not None:
            k, v = torch.cat([before[0], k], 1), torch.cat([before[1], v], 1)
        group = self.heads // self.kv
        score = torch.einsum("brhd,bkhd->bhrk", q, k.repeat_interleave(group, 2)) / math.sqrt(self.dk)
        keys = torch.arange(k.shape[1])
        seen = keys[None] <= positions[:, None]
        if not self.full(i):
            seen &= keys[None] > positions[:, None] - self.window
        score = score.masked_fill(~seen, -math.inf).softmax(-1)
        mixed = torch.einsum("bhrk,bkhd->brhd", score, v.repeat_interleave(group, 2)).reshape(batch, rows, -1)
        return self.linear(mixed, p + "attn_output", acts), (k, v)

    def run(self, ids, first=0, before=None, acts=True):
        """The stream after the last layer, and every layer's keys and values."""
        x = self.w["token_embd.weight"][ids]
        x = x * torch.tensor(math.sqrt(self.hidden), dtype=self.dtype) if self.gemma else x
        act = (lambda g: F.gelu(g, approximate="tanh")) if self.gemma else F.silu
        kept = []
        for i in range(self.layers):
            p = f"blk.{i}."
            y, kv = self.attention(i, self.norm(x, p + "attn_norm.weight"), first, before[i] if before else None, acts)
            kept.append(kv)
            x = x + self.norm(y, p + "post_attention_norm.weight")
            h = self.norm(x, p + "ffn_norm.weight")
            y = self.linear(act(self.linear(h, p + "ffn_gate", acts)) * self.linear(h, p + "ffn_up", acts), p + "ffn_down", acts)
            x = x + self.norm(y, p + "post_ffw_norm.weight")
        return x, kept

    def logits(self, x):
        x = self.norm(x, "output_norm.weight")
        return F.linear(x, self.w.get("output.weight", self.w["token_embd.weight"]))


# ---- training ----

def add_adapter(m):
    m.adapter, params = {}, []
    for i in range(m.layers):
        for t in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
            rows, cols = m.w[f"blk.{i}.{t}.weight"].shape
            a = torch.tensor(drawn(len(params), RANK * cols, 2 / math.sqrt(cols)), dtype=torch.float32).to(m.dtype).view(RANK, cols)
            pair = a.requires_grad_(), torch.zeros(rows, RANK, dtype=m.dtype, requires_grad=True)
            m.adapter[f"blk.{i}.{t}"] = pair
            params += pair
    return params


def rate(step):
    if step < WARMUP:
        return PEAK * step / WARMUP
    return LEAST + (PEAK - LEAST) * 0.5 * (1 + math.cos(math.pi * (step - WARMUP) / (STEPS - WARMUP)))


def losses(case, dtype):
    name, adapter = CASES[case]
    m = Model(name, dtype)
    params = add_adapter(m) if adapter else [w.requires_grad_() for w in m.w.values()]
    before = None
    if adapter:
        with torch.no_grad():
            before = m.run(torch.tensor([tokens(900, s, PREFIX, m.vocab) for s in range(SEQS)]), acts=False)[1]
    groups = [{"params": [p for p in params if p.dim() > 1], "weight_decay": DECAY}, {"params": [p for p in params if p.dim() == 1], "weight_decay": 0.0}]
    adam = torch.optim.AdamW([g for g in groups if g["params"]], lr=PEAK, betas=BETAS, eps=EPS)
    out = []
    for step in range(1, STEPS + 1):
        text = torch.tensor([tokens(step, s, ROWS + 1, m.vocab) for s in range(SEQS)])
        x, _ = m.run(text[:, :-1], PREFIX if before else 0, before)
        loss = F.cross_entropy(m.logits(x).flatten(0, 1), text[:, 1:].flatten())
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(params, CLIP)
        for g in adam.param_groups:
            g["lr"] = rate(step)
        adam.step()
        out.append(loss.item())
    return out


def main(double, names):
    folder = os.path.join(ROOT, "tests", "fixtures", "train_losses")
    for case in names or CASES:
        got, path = losses(case, torch.float64 if double else torch.float32), os.path.join(folder, case + ".txt")
        if double:
            print(case, "largest distance", max(abs(a - float(b)) for a, b in zip(got, open(path))))
            continue
        with open(path, "w") as f:
            f.writelines(f"{x:.6f}\n" for x in got)
        print(case, got[0], got[149], got[-1])


if __name__ == "__main__":
    torch.set_num_threads(1)
    main("--double" in sys.argv, [a for a in sys.argv[1:] if a in CASES])
