/* JSON: json-c behind one header, always strict and checked for UTF-8 and depth (64). */
#ifndef BASE_JSON_H
#define BASE_JSON_H
#include <json-c/json.h>

#include "base/err.h"
/* Parses text[0..n) into *out (json_object_put it); `what` names the source in messages. */
CJ_NODISCARD cj_err json_parse(const char *text, size_t n, const char *what, json_object **out, cj_diag *d);
#endif
