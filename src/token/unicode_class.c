/* Spreads the generated ranges into the table of the basic plane. Stateless. */
#include "token/unicode_class.h"

#include <string.h>

void unicode_table_fill(unicode_table *t)
{
    for (uint32_t i = 0; i < unicode_range_count; i++) {
        uint32_t first = unicode_ranges[i] >> 8, end = i + 1 < unicode_range_count ? unicode_ranges[i + 1] >> 8 : 0x110000;
        if (first > 0xFFFF) break;
        if (end > 0x10000) end = 0x10000;
        memset(t->basic + first, (int)(unicode_ranges[i] & 0xFF), end - first);
    }
}

uint8_t unicode_class_beyond(uint32_t cp)
{
    if (cp > 0x10FFFF) return UNI_CN;
    uint32_t low = 0, high = unicode_range_count; /* ranges[low] begins at or before cp, ranges[high] after it */
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (unicode_ranges[middle] >> 8 <= cp) low = middle; else high = middle;
    }
    return (uint8_t)unicode_ranges[low];
}
