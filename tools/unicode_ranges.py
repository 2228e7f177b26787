#!/usr/bin/env python3
"""Writes src/token/unicode_ranges.c: the class of every code point, as ranges.

    pip install unicodedata2==16.0.0 regex
    tools/unicode_ranges.py > src/token/unicode_ranges.c

Unicode 16.0 is what the regular expressions of the published tokenizers are run with today. A class byte is the general
category (bits 0-4, the order of CATEGORIES), white space (bit 5), script Han (bit 6) and "NFC may change it or what stands
before it" (bit 7). The order of CATEGORIES is that of the enum in src/token/unicode_class.h.
"""
import sys

import regex
import unicodedata2 as ud

CATEGORIES = ["Cn", "Cc", "Cf", "Co", "Cs", "Ll", "Lm", "Lo", "Lt", "Lu", "Mc", "Me", "Mn", "Nd", "Nl", "No",
              "Pc", "Pd", "Pe", "Pf", "Pi", "Po", "Ps", "Sc", "Sk", "Sm", "So", "Zl", "Zp", "Zs"]
SPACES = {*range(0x09, 0x0E), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000}


def second_halves():
    """Characters that canonical composition may join to the one before them."""
    found = {*range(0x1161, 0x1176), *range(0x11A8, 0x11C3)}
    for cp in range(0x110000):
        parts = ud.decomposition(chr(cp)).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            found.add(int(parts[1], 16))
    return found


def class_of(cp, seconds):
    c = chr(cp)
    value = CATEGORIES.index(ud.category(c))
    if cp in SPACES:
        value |= 0x20
    if regex.match(r"\p{Han}", c) and ud.category(c) != "Cn":
        value |= 0x40
    surrogate = 0xD800 <= cp < 0xE000
    if not surrogate and (cp in seconds or ud.combining(c) or ud.normalize("NFC", c) != c):
        value |= 0x80
    return value


def main():
    assert ud.unidata_version == "16.0.0", ud.unidata_version
    seconds = second_halves()
    ranges, last = [], None
    for cp in range(0x110000):
        value = class_of(cp, seconds)
        if value != last:
            ranges.append(cp << 8 | value)
            last = value
    print("/* Written by tools/unicode_ranges.py from Unicode 16.0; do not edit. An entry is the first code point of a range in its\n"
          " * upper 24 bits and the class of the range in the lower 8 (unicode_class.h). */")
    print('#include "token/unicode_class.h"\n')
    print(f"const uint32_t unicode_range_count = {len(ranges)};")
    print("const uint32_t unicode_ranges[] = {")
    for i in range(0, len(ranges), 11):
        print("    " + " ".join(f"0x{r:X}," for r in ranges[i:i + 11]))
    print("};")
    print(len(ranges), "ranges", file=sys.stderr)


main()
