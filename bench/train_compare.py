#!/usr/bin/env python3
"""Speed of training, PyTorch's and ours in turn, on the same shapes and batches: needs torch, transformers and peft. Prints a table.

    bench/train_compare.py [--rounds 3] [--steps 2] [--level avx2] [--exact] [whole] [adapter]

whole: all weights of a 55M model built like llama (640 wide, 10 layers, 6,400 tokens), 8 x 512 tokens, AdamW.
adapter: rank 16 for every matrix of the default model's shape, 1 x 512 tokens; ours over weights of 8 bits, theirs (peft over transformers' Gemma 3,
the base in the type asked for) over float32 or bfloat16. Both score every token.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
WHOLE = dict(layers=10, hidden=640, ffn=1792, heads=10, kv=10, head=64, vocab=6400, seqs=8, rows=512)
ADAPTER = dict(layers=18, hidden=640, ffn=2048, heads=4, kv=1, head=256, vocab=262144, seqs=1, rows=512)
RANK = 16


def rates_of(forward, trained, shape, steps):
    """Steps of forward, backward, clipping and AdamW; forward(ids, targets) gives the loss. Tokens a second of each but the first."""
    import resource
    import torch
    adam, rates = torch.optim.AdamW(trained, lr=1e-4), []
    for _ in range(steps + 1):
        text = torch.randint(0, shape.vocab, (shape.seqs, shape.rows + 1))
        start = time.perf_counter()
        loss = forward(text[:, :-1], text[:, 1:])
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([p for p in trained if p.grad is not None], 1.0)
        adam.step()
        rates.append(shape.seqs * shape.rows / (time.perf_counter() - start))
    return {"tokens_per_second": statistics.median(rates[1:]), "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}


def torch_whole(s, dtype):
    import torch
    import torch.nn.functional as F
    trained = []

    def matrix(rows, cols):
        w = torch.randn(rows, cols, dtype=dtype) * 0.02
        trained.append(w.requires_grad_())
        return lambda x: F.linear(x, w)

    def norm(n):
        w = torch.ones(n, dtype=dtype)
        trained.append(w.requires_grad_())
        return lambda x: F.rms_norm(x, (n,), w, 1e-6)

    embed = torch.randn(s.vocab, s.hidden, dtype=dtype) * 0.02
    trained.append(embed.requires_grad_())
    q, kv = s.heads * s.head, s.kv * s.head
    layers = [dict(q=matrix(q, s.hidden), k=matrix(kv, s.hidden), v=matrix(kv, s.hidden), o=matrix(s.hidden, q), gate=matrix(s.ffn, s.hidden),
                   up=matrix(s.ffn, s.hidden), down=matrix(s.hidden, s.ffn), n1=norm(s.hidden), n2=norm(s.hidden)) for _ in range(s.layers)]
    final = norm(s.hidden)
    angle = torch.arange(s.rows)[:, None] * 1e4 ** (-torch.arange(0, s.head, 2) / s.head)[None]
    cos, sin = angle.cos().to(dtype), angle.sin().to(dtype)

    def rotate(x):
        a, b = x[..., :s.head // 2], x[..., s.head // 2:]
        return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)

    def heads(x, n):
        return x.view(s.seqs, s.rows, n, s.head).transpose(1, 2)

    def forward(ids, targets):
        x = embed[ids]
        for y in layers:
            h = y["n1"](x)
            qh, kh, vh = heads(y["q"](h), s.heads), heads(y["k"](h), s.kv), heads(y["v"](h), s.kv)
            h = F.scaled_dot_product_attention(rotate(qh), rotate(kh), vh, is_causal=True)
            x = x + y["o"](h.transpose(1, 2).reshape(s.seqs, s.rows, q))
            h = y["n2"](x)
            x = x + y["down"](F.silu(y["gate"](h)) * y["up"](h))
        return F.cross_entropy(F.linear(final(x), embed).flatten(0, 1).float(), targets.flatten())

    return forward, trained


def peft_adapter(s, dtype):
    import torch
    import torch.nn.functional as F
    from peft import LoraConfig, get_peft_model
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig
    config = Gemma3TextConfig(vocab_size=s.vocab, hidden_size=s.hidden, intermediate_size=s.ffn, num_hidden_layers=s.layers, num_attention_heads=s.heads,
                              num_key_value_heads=s.kv, head_dim=s.head, sliding_window=512, use_cache=False)
    matrices = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    model = get_peft_model(Gemma3ForCausalLM(config).to(dtype), LoraConfig(r=RANK, lora_alpha=RANK, target_modules=matrices, task_type="CAUSAL_LM"))
    model.train()

    def forward(ids, targets):
        return F.cross_entropy(model(input_ids=ids).logits.flatten(0, 1).float(), targets.flatten())

    return forward, [p for p in model.parameters() if p.requires_grad]


def torch_run(case, kind, steps):
    import torch
    torch.manual_seed(0)
    shape = argparse.Namespace(**(WHOLE if case == "whole" else ADAPTER))
    forward, trained = (torch_whole if case == "whole" else peft_adapter)(shape, getattr(torch, kind))
    return rates_of(forward, trained, shape, steps)


def command_of(a, case, model):
    s = WHOLE if case == "whole" else ADAPTER
    return [a.bench, model, "whole" if case == "whole" else str(RANK), str(s["seqs"]), str(s["rows"]), str(a.steps + 1), "0", "2048", a.level] + (["exact"] if a.exact else [])


def main():
    p = argparse.ArgumentParser()
    p.add_argument("cases", nargs="*", default=["whole", "adapter"])
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--steps", type=int, default=2)
    p.add_argument("--level", default="auto")
    p.add_argument("--exact", action="store_true")
    p.add_argument("--kind", default="float32", help="of PyTorch's numbers: float32 or bfloat16")
    p.add_argument("--bench", default=os.path.join(ROOT, "build", "bench", "bench_train"))
    p.add_argument("--quietly", default="", metavar="COMMAND", help="runs each measurement through this command")
    p.add_argument("--torch", help=argparse.SUPPRESS)
    a = p.parse_args()
    if a.torch:
        print(json.dumps(torch_run(a.torch, a.kind, a.steps)))
        return
    shapes = {"whole": ["smollm2-135m", "layers=10", "hidden=640", "ffn=1792", "heads=10", "kv=10", "vocab=6400"], "adapter": ["gemma3-270m"]}
    print("| training | ours, tokens/s | share of ceiling | MiB | PyTorch, tokens/s | MiB | ratio |\n|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for case in a.cases:
            model = f"{folder}/{case}.gguf"
            sets = [x for v in shapes[case][1:] for x in ("--set", v)]
            subprocess.run([sys.executable, os.path.join(ROOT, "tools", "make_gguf.py"), model, "--shape", shapes[case][0], *sets], check=True, stdout=subprocess.DEVNULL)
            theirs = [sys.executable, os.path.abspath(__file__), "--torch", case, "--kind", a.kind, "--steps", str(a.steps)]
            rounds = [[json.loads(subprocess.run(a.quietly.split() + c, check=True, capture_output=True, text=True).stdout) for c in (command_of(a, case, model), theirs)]
                      for _ in range(a.rounds)]
            m = lambda side, key: statistics.median(r[side][key] for r in rounds)
            ratio = statistics.median(r[0]["tokens_per_second"] / r[1]["tokens_per_second"] for r in rounds)
            print(f"| {case} | {m(0, 'tokens_per_second'):.0f} | {100 * m(0, 'share_of_ceiling'):.0f}% | {m(0, 'peak_mib'):.0f} | {m(1, 'tokens_per_second'):.0f} | "
                  f"{m(1, 'peak_mib'):.0f} | {ratio:.2f} |", flush=True)
    print(f"\nours: level {rounds[-1][0]['level']}{', exact' if a.exact else ''}; theirs: {a.kind}; {a.rounds} rounds of {a.steps} steps")


if __name__ == "__main__":
    main()
