"""The NEON kernels, compiled for 64-bit Arm and run by an emulator of it: the same checks as natively, as TAP.

Needs aarch64-linux-gnu-gcc and qemu-aarch64 (tools/install-deps --cross).
"""
import concurrent.futures
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

COMPILER, EMULATOR = "aarch64-linux-gnu-gcc", "qemu-aarch64"
CHECKS = ["check_vec", "check_gemm", "check_attn", "check_attn_train", "check_delta", "check_train"]
FLAGS = ["-std=gnu11", "-O2", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter", "-D_GNU_SOURCE", "-DCJ_BUILD", "-DCHECK_LEVELS_ONLY",
         "-Isrc", "-Iinclude", "-Itests", "-Itests/kernel", "-Itests/kernel/cross"]
SOURCES = ["src/base/mem.c", "src/base/cpu.c", "src/base/clock.c", "src/base/diag.c", "src/base/utf8.c", "src/parallel/*.c", "src/quant/*.c", "src/kernel/*.c",
           "src/kernel/ref/*.c", "src/kernel/arm/neon/*.c", "tests/kernel/*_case.c", "tests/kernel/bench_gemm.c", "tests/kernel/bench_train.c"]


def compile_one(source, folder):
    out = os.path.join(folder, source.replace("/", "_") + ".o")
    subprocess.run([*([shutil.which("ccache")] if shutil.which("ccache") else []), COMPILER, *FLAGS, "-c", source, "-o", out], check=True)
    return out


def build(folder):
    """Paths of the programs."""
    sources = sorted(s for pattern in SOURCES for s in glob.glob(pattern))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as workers:
        objects = list(workers.map(lambda s: compile_one(s, folder), sources + [f"tests/kernel/{c}.c" for c in CHECKS]))
    for i, check in enumerate(CHECKS):
        common = objects[:len(sources)] + [objects[len(sources) + i]]
        subprocess.run([COMPILER, "-static", *common, "-o", f"{folder}/{check}", "-lm", "-lpthread"], check=True)
    return [f"{folder}/{c}" for c in CHECKS]


def run(program):
    """Its results, as lines of TAP without numbers; a skip with the reason that was printed before it."""
    name, results, why = os.path.basename(program), [], ""
    done = subprocess.run([EMULATOR, program], capture_output=True, text=True, env={**os.environ, "CJ_TEST_QUICK": "1"})
    for line in done.stdout.splitlines():
        if line.startswith("SKIP "):
            why = line[5:]
        elif line.startswith("#"):
            results.append(line)
        elif m := re.match(r"((?:not )?ok) \d+ (.*)", line):
            results.append(f"{m[1]} {name}: {m[2]}{' ' + why if m[2].endswith('# SKIP') else ''}")
    if done.returncode < 0 or not results:
        results.append(f"not ok {name} ended with status {done.returncode} {done.stderr.strip()[:200]}")
    return results


def main():
    os.chdir(os.environ.get("CJ_SOURCE") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
    missing = [p for p in (COMPILER, EMULATOR) if not shutil.which(p)]
    if missing:
        print(f"1..0 # SKIP {' and '.join(missing)} not installed: the NEON kernels are checked with them")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        programs = build(folder)
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as workers:
            results = [r for of_one in workers.map(run, programs) for r in of_one]
    print(f"1..{sum(not line.startswith('#') for line in results)}")
    count = 0
    for line in results:
        if not line.startswith("#"):
            count += 1
            verdict, _, rest = line.partition("ok ")
            line = f"{verdict}ok {count} - {rest}"
        print(line)
    return any(line.startswith("not ok") for line in results)


sys.exit(main())
