#!/usr/bin/env python3
"""Writes tests/fixtures/tokenizer: a text of many scripts and what another implementation makes of it.

    pip install tokenizers
    tools/tokenizer_expectations.py ../shared/tokenizers

mixed.txt is made here, from a seed. NAME.ids are its token ids by the Hugging Face tokenizers library, special tokens found,
none added. pieces.txt has a line for each pre-tokenizer: its name and the bytes of each piece, cut by the library's regular
expressions (the patterns below are the published ones).
"""
import os
import random
import sys

from tokenizers import Regex, Tokenizer, pre_tokenizers

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "..", "tests", "fixtures", "tokenizer")
MODELS = ["qwen3", "deepseek-v3", "llama-2-7b", "minimind"]

CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
SPACE = r"\s+(?!\S)|\s+"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|" + SPACE
BASE = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|" + SPACE
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}%s]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}%s]"
CASED = (r"[^\r\n\p{L}\p{N}]?" + UPPER + "*" + LOWER + r"+%s|[^\r\n\p{L}\p{N}]?" + UPPER + "+" + LOWER + r"*%s|%s"
         r"| ?[^\s\p{L}\p{N}]+%s|\s*[\r\n]+|" + SPACE)


def cased(han, suffix, digits, tail):
    return CASED % (han, han, suffix, han, han, suffix, digits, tail)


CODER_CJK = "[一-龥ࠀ-一가-퟿]+"
PRE = {
    "gpt-2": [GPT2],
    "smollm": [r"\p{N}", GPT2],
    "qwen2": [BASE % r"\p{N}"],
    "glm4": [BASE % r"\p{N}{1,3}"],
    "llama-bpe": [BASE % r"\p{N}{1,3}"],
    "minicpm5": [r"\p{N}{1,3}", BASE % r"\p{N}+"],
    "qwen35": [CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|" + SPACE],
    "seed-coder": [CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|" + SPACE],
    "bailingmoe": [r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|" + SPACE],
    "gpt-4o": [cased("", CONTRACTIONS + "?", r"\p{N}{1,3}", r"[\r\n/]*")],
    "tekken": [cased("", "", r"\p{N}", r"[\r\n/]*")],
    "kimi-k2": [r"[\p{Han}]+|" + cased(r"&&[^\p{Han}]", CONTRACTIONS + "?", r"\p{N}{1,3}", r"[\r\n]*")],
    "deepseek-v3": [r"\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+",
                    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|"""
                    r"\s*[\r\n]+|" + SPACE],
    "deepseek-coder": [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", CODER_CJK, r"\p{N}"],
    "default": [r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"],
}

WORDS = """the The don't I'm it's we'LL HelloWorld camelCase XMLHttpRequest iPhone def return x=1; <b> <table> 12345 3.14 1,000,000
http://a.b/c?d=e 'S 're it'D 'ſ K's ... !!! -- __init__ ▁ 红楼梦 贾宝玉 林黛玉 一百二十回 1791年 ＡＢＣ １２３ naïve ǅungla ʰa ǈ'll
<|im_start|> <|endoftext|> <think> <｜User｜> <s> </s> ÀÉÎ éàü ΑΒγδ Привет мир שלום مرحبا नमस्ते ไทย 안녕 こんにちは カタカナ ２０２４ Ⅻ ½ ²""".split()


def script(first, last):
    return [chr(c) for c in range(first, last + 1)]


POOLS = [script(33, 126), list("\n\r\t    \u3000\u00a0\u2003"), script(0x4E00, 0x9FA5), script(0x3041, 0x30FF), script(0xAC00, 0xAD00),
         script(0xC0, 0x24F), script(0x400, 0x4FF), script(0x620, 0x6D3), script(0x905, 0x939), script(0xE01, 0xE3A),
         list("，。！？：；“”‘’「」《》、（）—…"), script(0x1F300, 0x1F5FF), list("0123456789"), script(0x300, 0x36F),
         script(0x20000, 0x20050), script(0x2010, 0x2046), script(0xF900, 0xF9FF), list("/\\\n\r"), list("aA'sS"),
         ["\x01", "\x7f", "\u200d", "\ufe0f", "\ufffd"]]


def mixed(seed, size):
    rng, out = random.Random(seed), []
    while sum(map(len, out)) < size:
        if rng.random() < 0.4:
            out.append(rng.choice(WORDS) + rng.choice(["", " ", " ", "\n", "  "]))
        else:
            out.append("".join(rng.choices(rng.choice(POOLS), k=rng.choice([1, 1, 2, 3, 5, 8]))))
    return "".join(out)


def pieces(patterns, text):
    steps = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(p), "isolated") for p in patterns])
    return [len(piece.encode()) for piece, _ in steps.pre_tokenize_str(text)]


def main(folder):
    os.makedirs(OUT, exist_ok=True)
    text = mixed(3, 2600)
    with open(os.path.join(OUT, "mixed.txt"), "w", encoding="utf8", newline="") as f:
        f.write(text)
    for model in MODELS:
        ids = Tokenizer.from_file(os.path.join(folder, model, "tokenizer.json")).encode(text, add_special_tokens=False).ids
        with open(os.path.join(OUT, model + ".ids"), "w") as f:
            f.write(" ".join(map(str, ids)) + "\n")
    with open(os.path.join(OUT, "pieces.txt"), "w") as f:
        for name, patterns in PRE.items():
            f.write(" ".join([name, *map(str, pieces(patterns, text))]) + "\n")


main(sys.argv[1])
