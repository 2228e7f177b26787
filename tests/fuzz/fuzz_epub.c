/* EPUB, as it is read behind the fence: archives of any bytes, and archives of any parts. */
#include "zip_parts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    zip_extract(epub_extract, data, size);
    return 0;
}
