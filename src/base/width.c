/* Terminal columns of a character, by utf8proc. */
#include <utf8proc.h>

#include "base/utf8.h"

int utf8_width(uint32_t cp) { return cp > 0x10FFFF ? 1 : utf8proc_charwidth((utf8proc_int32_t)cp); }
