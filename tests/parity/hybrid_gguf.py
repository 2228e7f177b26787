"""A folder of the qwen3_5 kind as a GGUF file, in the form that llama.cpp's converter gives it: norms with 1 added, decays as they are used, and the
heads of values ordered round the heads of keys (the first of each, then the second of each, ...)."""
import importlib.util
import json
import math
import os
import struct
from array import array

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
spec = importlib.util.spec_from_file_location("make_gguf", os.path.join(ROOT, "tools", "make_gguf.py"))
make = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make)

NAMES = {"input_layernorm.weight": "attn_norm.weight", "post_attention_layernorm.weight": "post_attention_norm.weight",
         "self_attn.q_proj.weight": "attn_q.weight", "self_attn.k_proj.weight": "attn_k.weight", "self_attn.v_proj.weight": "attn_v.weight",
         "self_attn.o_proj.weight": "attn_output.weight", "self_attn.q_norm.weight": "attn_q_norm.weight",
         "self_attn.k_norm.weight": "attn_k_norm.weight", "mlp.gate_proj.weight": "ffn_gate.weight", "mlp.up_proj.weight": "ffn_up.weight",
         "mlp.down_proj.weight": "ffn_down.weight", "linear_attn.A_log": "ssm_a", "linear_attn.dt_bias": "ssm_dt.bias",
         "linear_attn.conv1d.weight": "ssm_conv1d.weight", "linear_attn.in_proj_a.weight": "ssm_alpha.weight",
         "linear_attn.in_proj_b.weight": "ssm_beta.weight", "linear_attn.in_proj_qkv.weight": "attn_qkv.weight",
         "linear_attn.in_proj_z.weight": "attn_gate.weight", "linear_attn.norm.weight": "ssm_norm.weight",
         "linear_attn.out_proj.weight": "ssm_out.weight"}


def read(path):
    """{name: (shape, numbers)} of a safetensors file of F32."""
    data = open(path, "rb").read()
    n = struct.unpack("<Q", data[:8])[0]
    head = json.loads(data[8:8 + n])
    head.pop("__metadata__", None)
    return {k: (v["shape"], array("f", data[8 + n + v["data_offsets"][0]:8 + n + v["data_offsets"][1]])) for k, v in head.items()}


def round_keys(rows, keys):
    """Heads (lists) that lie side by side for each head of keys, in the other order."""
    each = len(rows) // keys
    return [rows[k * each + i] for i in range(each) for k in range(keys)]


def heads_of(numbers, heads):
    size = len(numbers) // heads
    return [numbers[i * size:(i + 1) * size] for i in range(heads)]


def joined(parts):
    out = array("f")
    for p in parts:
        out.extend(p)
    return out


def changed(name, shape, numbers, c):
    keys, heads = c["linear_num_key_heads"], c["linear_num_value_heads"]
    if name == "ssm_a":
        numbers = array("f", [-math.exp(x) for x in numbers])
    elif "norm" in name and name != "ssm_norm.weight":
        numbers = array("f", [x + 1 for x in numbers])
    if name in ("ssm_a", "ssm_dt.bias", "ssm_alpha.weight", "ssm_beta.weight", "attn_gate.weight"):
        numbers = joined(round_keys(heads_of(numbers, heads), keys))
    elif name in ("attn_qkv.weight", "ssm_conv1d.weight"):
        first = 2 * keys * c["linear_key_head_dim"] * (len(numbers) // shape[0])
        numbers = joined([numbers[:first], *round_keys(heads_of(numbers[first:], heads), keys)])
    elif name == "ssm_out.weight":
        numbers = joined(joined(round_keys(heads_of(row, heads), keys)) for row in heads_of(numbers, shape[0]))
    return [n for n in shape if n > 1], numbers


def write(folder, path):
    c = json.load(open(os.path.join(folder, "config.json")))
    stored, out = read(os.path.join(folder, "model.safetensors")), {}
    for name, (shape, numbers) in stored.items():
        name = name.removeprefix("model.")
        whole = {"embed_tokens.weight": "token_embd.weight", "norm.weight": "output_norm.weight", "lm_head.weight": "output.weight"}.get(name)
        ours = whole or NAMES[name.split(".", 2)[2]]
        shape, numbers = changed(ours, shape, numbers, c)
        out[whole or f"blk.{name.split('.')[1]}.{ours}"] = (shape, numbers)
    f = "qwen35"
    keys = {"general.architecture": f, "general.alignment": make.ALIGNMENT, f"{f}.context_length": c["max_position_embeddings"],
            f"{f}.embedding_length": c["hidden_size"], f"{f}.block_count": c["num_hidden_layers"], f"{f}.feed_forward_length": c["intermediate_size"],
            f"{f}.attention.head_count": c["num_attention_heads"], f"{f}.attention.head_count_kv": c["num_key_value_heads"],
            f"{f}.attention.key_length": c["head_dim"], f"{f}.attention.value_length": c["head_dim"],
            f"{f}.attention.layer_norm_rms_epsilon": c["rms_norm_eps"], f"{f}.rope.freq_base": c["rope_parameters"]["rope_theta"],
            f"{f}.rope.dimension_count": int(c["head_dim"] * c["rope_parameters"]["partial_rotary_factor"]), f"{f}.full_attention_interval": 4,
            f"{f}.ssm.conv_kernel": c["linear_conv_kernel_dim"], f"{f}.ssm.group_count": c["linear_num_key_heads"],
            f"{f}.ssm.time_step_rank": c["linear_num_value_heads"], f"{f}.ssm.state_size": c["linear_key_head_dim"],
            f"{f}.ssm.inner_size": c["linear_num_value_heads"] * c["linear_value_head_dim"]}
    described, offset = b"", 0
    for name, (shape, numbers) in out.items():
        described += make.text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *reversed(shape), 0, offset)
        offset += -(-4 * len(numbers) // make.ALIGNMENT) * make.ALIGNMENT
    head = b"GGUF" + struct.pack("<IQQ", 3, len(out), len(keys))
    head += b"".join(make.text(k) + struct.pack("<I", t) + v for k, (t, v) in ((k, make.value(v)) for k, v in keys.items())) + described
    with open(path, "wb") as g:
        g.write(head + bytes(-len(head) % make.ALIGNMENT))
        for _, numbers in out.values():
            g.write(numbers.tobytes())
            g.write(bytes(-g.tell() % make.ALIGNMENT))
