#!/usr/bin/env python3
"""Draws tokens/s against depth while a long text is read: ours from the progress of `juan read --json`, or measured at some depths of a text on
the shelf by `juan bench`; llama.cpp's from llama-bench.

    juan read book.txt --as book --fast --json > read.jsonl
    juan bench MODEL --entry book --keep 128 -p 4096 -n 0 -r 1 -d 0,262144,524288 --cpu avx2 --json > avx2.json
    llama-bench -m MODEL.gguf -p 512 -n 0 -d 0,4096,8192,16384,32768 -r 1 -o json > llama.json
    bench/depth.py --title 'AVX-512, two cores' --juan 'juan, AVX-512=read.jsonl' --juan 'juan, AVX2=avx2.json' --llama llama.cpp=llama.json > depth.svg

Either may be given several times. Between depths of `juan bench` seconds a token are taken for a straight line. Beyond what was measured
llama.cpp's curve is drawn dashed: a token costs a + b * depth, fitted to the figures. With --table the same as text.
"""
import argparse
import html
import json
import math
import sys

COLOURS = ["#0b6e4f", "#c8553d", "#3d5a98", "#8a6d1b"]
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 900, 460, 84, 200, 60, 62
PARTS = 24  # of a read, each one point


def read_depths(result):
    """[(depth, tokens/s)] of juan bench, and (tokens, seconds) of reading to the deepest."""
    points = sorted((r["depth"], r["tokens_per_second"]["median"]) for r in result["results"] if r["test"] == "prefill")
    seconds = sum((b - a) * (1 / s + 1 / t) / 2 for (a, s), (b, t) in zip(points, points[1:]))
    return points, (points[-1][0], seconds)


def read_progress(path):
    """[(depth, tokens/s)] between moments of a read that began with nothing, and the last (tokens, seconds)."""
    lines = open(path).read().splitlines()
    if len(lines) == 1 and "results" in lines[0]:
        return read_depths(json.loads(lines[0]))
    moments = []
    for line in lines:
        p = json.loads(line)
        if p.get("phase") == "tokens" and p["tokens"] and p["tokens_per_second"]:
            moments.append((p["tokens"], p["tokens"] / p["tokens_per_second"]))
    step, out, last = moments[-1][0] / PARTS, [], moments[0]
    for m in moments:
        if m[0] - last[0] >= step:
            out.append(((m[0] + last[0]) / 2, (m[0] - last[0]) / (m[1] - last[1])))
            last = m
    return out, moments[-1]


def read_bench(path):
    return sorted((r["n_depth"], r["avg_ts"]) for r in json.load(open(path)) if r["n_prompt"])


def fit(points):
    """a, b of seconds a token = a + b * depth, least squares."""
    n = len(points)
    mx, my = sum(d for d, _ in points) / n, sum(1 / t for _, t in points) / n
    b = sum((d - mx) * (1 / t - my) for d, t in points) / sum((d - mx) ** 2 for d, _ in points)
    return my - b * mx, b


class Picture:
    def __init__(self, title, most_x, low, high):
        self.most, self.low, self.high, self.out, self.names = most_x, low, high, [], []
        self.out.append(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="13">')
        self.out.append(f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/><text x="{LEFT}" y="28" font-size="17">{html.escape(title)}</text>')

    def x(self, depth):
        return LEFT + depth / self.most * (WIDTH - LEFT - RIGHT)

    def y(self, rate):
        span = math.log(self.high / self.low)
        return HEIGHT - BOTTOM - math.log(max(rate, self.low) / self.low) / span * (HEIGHT - TOP - BOTTOM)

    def text(self, x, y, s, anchor="middle", colour="#222"):
        self.out.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{html.escape(s)}</text>')

    def axes(self):
        decade = self.low
        while decade <= self.high:
            for k in (1, 2, 5):
                if decade * k > self.high:
                    break
                y = self.y(decade * k)
                self.out.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
                self.text(LEFT - 8, y + 4, f"{decade * k:g}", "end")
            decade *= 10
        step = 10 ** math.floor(math.log10(self.most))
        step = step / 4 if self.most / step < 2 else step
        for i in range(int(self.most / step) + 1):
            self.text(self.x(i * step), HEIGHT - BOTTOM + 20, f"{i * step / 1000:,.0f}K" if i else "0")
        self.text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 16, "tokens before")
        self.text(LEFT - 8, TOP - 14, "tokens/s", "end")

    def curve(self, points, colour, dashed=False, dots=False):
        d = " ".join(f"{'L' if i else 'M'}{self.x(a):.1f} {self.y(b):.1f}" for i, (a, b) in enumerate(points))
        dash = ' stroke-dasharray="6 5"' if dashed else ""
        self.out.append(f'<path d="{d}" fill="none" stroke="{colour}" stroke-width="2.2"{dash}/>')
        for a, b in points if dots else []:
            self.out.append(f'<circle cx="{self.x(a):.1f}" cy="{self.y(b):.1f}" r="3.4" fill="{colour}"/>')

    def name(self, at, lines, colour):
        self.names.append((self.y(at), lines, colour))

    def write(self, out):
        """Names stand at the ends of their curves, those of near ones below each other."""
        free = 0
        for y, lines, colour in sorted(self.names):
            y = max(y, free)
            for i, s in enumerate(lines):
                self.text(WIDTH - RIGHT + 10, y + 4 + 16 * i, s, "start", colour)
            free = y + 16 * len(lines) + 10
        out.write("\n".join(self.out) + "\n</svg>\n")


def hours(seconds):
    return f"{seconds / 3600:.1f} h" if seconds >= 7200 else f"{seconds / 60:.1f} min"


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--title", default="Reading speed against depth")
    p.add_argument("--juan", action="append", default=[], metavar="NAME=FILE")
    p.add_argument("--llama", action="append", default=[], metavar="NAME=FILE")
    p.add_argument("--table", action="store_true")
    a = p.parse_args()
    mine = [(n, *read_progress(f)) for n, f in (s.rsplit("=", 1) for s in a.juan)]
    if not mine:
        p.error("at least one --juan NAME=FILE is needed")
    theirs = [(n, read_bench(f)) for n, f in (s.rsplit("=", 1) for s in a.llama)]
    most = max(end[0] for _, _, end in mine)
    fits = {n: fit(points) for n, points in theirs}
    if a.table:
        for n, points, end in mine:
            print(f"{n}: {end[0]:,} tokens in {hours(end[1])}")
            print("  " + "  ".join(f"{d / 1000:.0f}K {t:.0f}" for d, t in points))
        for n, points in theirs:
            k, b = fits[n]
            print(f"{n}: {'  '.join(f'{d} {t:.0f}' for d, t in points)}; {most:,} tokens would take {hours(k * most + b * most * most / 2)}")
        return
    rates = [t for _, points, _ in mine for _, t in points] + [t for _, points in theirs for _, t in points] + [1 / (k + b * most) for k, b in fits.values()]
    pic = Picture(a.title, most, 10 ** math.floor(math.log10(min(rates))), max(rates) * 1.3)
    pic.axes()
    for i, (n, points, end) in enumerate(mine):
        pic.curve(points, COLOURS[i % 4])
        pic.name(points[-1][1], [n, f"{end[0]:,} tokens", f"in {hours(end[1])}"], COLOURS[i % 4])
    for i, (n, points) in enumerate(theirs, len(mine)):
        k, b = fits[n]
        last = points[-1][0]
        grid = [last + (most - last) * j / 100 for j in range(101)]
        pic.curve(points, COLOURS[i % 4], dots=True)
        pic.curve([(d, 1 / (k + b * d)) for d in grid], COLOURS[i % 4], dashed=True)
        pic.name(1 / (k + b * most), [n, f"to {last:,} measured,", f"the whole {hours(k * most + b * most * most / 2)}"], COLOURS[i % 4])
    pic.write(sys.stdout)


main()
