/* The class of a code point: general category and the few properties that pre-tokenizers and normalisation ask for.
 * Unicode 16.0, whatever libraries are installed, so that the same text has the same tokens everywhere. */
#ifndef TOKEN_UNICODE_CLASS_H
#define TOKEN_UNICODE_CLASS_H

#include <stddef.h>
#include <stdint.h>

#include "base/utf8.h"

/* The order is that of tools/unicode_ranges.py. */
enum unicode_category {
    UNI_CN, UNI_CC, UNI_CF, UNI_CO, UNI_CS, UNI_LL, UNI_LM, UNI_LO, UNI_LT, UNI_LU, UNI_MC, UNI_ME, UNI_MN, UNI_ND, UNI_NL, UNI_NO,
    UNI_PC, UNI_PD, UNI_PE, UNI_PF, UNI_PI, UNI_PO, UNI_PS, UNI_SC, UNI_SK, UNI_SM, UNI_SO, UNI_ZL, UNI_ZP, UNI_ZS
};
enum { UNI_CATEGORY = 0x1F, UNI_SPACE = 0x20, UNI_HAN = 0x40, UNI_NFC_CHECK = 0x80 };

/* A set of classes is 64 bits: bit c holds category c of what is no white space, bit 32 + c of what is. */
#define UNI_BIT(category) (UINT64_C(1) << (category))
#define UNI_LETTER (UNI_BIT(UNI_LL) | UNI_BIT(UNI_LM) | UNI_BIT(UNI_LO) | UNI_BIT(UNI_LT) | UNI_BIT(UNI_LU))
#define UNI_MARK (UNI_BIT(UNI_MC) | UNI_BIT(UNI_ME) | UNI_BIT(UNI_MN))
#define UNI_NUMBER (UNI_BIT(UNI_ND) | UNI_BIT(UNI_NL) | UNI_BIT(UNI_NO))
#define UNI_PUNCTUATION (UNI_BIT(UNI_PC) | UNI_BIT(UNI_PD) | UNI_BIT(UNI_PE) | UNI_BIT(UNI_PF) | UNI_BIT(UNI_PI) | UNI_BIT(UNI_PO) | \
                         UNI_BIT(UNI_PS))
#define UNI_SYMBOL (UNI_BIT(UNI_SC) | UNI_BIT(UNI_SK) | UNI_BIT(UNI_SM) | UNI_BIT(UNI_SO))
#define UNI_ANY_SPACE UINT64_C(0xFFFFFFFF00000000)

/* Classes of the basic plane in one table of 64 KiB, for speed; the rest is looked up in the ranges. */
typedef struct unicode_table {
    uint8_t basic[0x10000];
} unicode_table;

void unicode_table_fill(unicode_table *t);
uint8_t unicode_class_beyond(uint32_t cp); /* for cp > 0xFFFF; UTF8_INVALID is unassigned */

static inline uint8_t unicode_class(const unicode_table *t, uint32_t cp)
{
    return cp < 0x10000 ? t->basic[cp] : unicode_class_beyond(cp);
}

static inline bool unicode_in(uint8_t klass, uint64_t set) { return set >> (klass & (UNI_CATEGORY | UNI_SPACE)) & 1; }

/* The ranges themselves: ascending, the first begins at 0. */
extern const uint32_t unicode_range_count;
extern const uint32_t unicode_ranges[];

#endif
