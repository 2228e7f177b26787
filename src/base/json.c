/* Strict JSON parsing by json-c. */
#include "base/json.h"

#include <limits.h>

cj_err json_parse(const char *text, size_t n, const char *what, json_object **out, cj_diag *d)
{
    if (n > INT_MAX) return diag_fail(d, CJ_E_LIMIT, MSG_FILE_TOO_LARGE, "%s" ARG "%zu" ARG "%d", what, n, INT_MAX);
    json_tokener *t = json_tokener_new_ex(64);
    if (!t) return diag_nomem(d, sizeof t);
    json_tokener_set_flags(t, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    json_object *o = json_tokener_parse_ex(t, text, (int)n);
    enum json_tokener_error e = json_tokener_get_error(t);
    size_t end = json_tokener_get_parse_end(t);
    if (e == json_tokener_continue && !o) { /* a bare number ends only at a terminator */
        o = json_tokener_parse_ex(t, "\n", 1);
        e = json_tokener_get_error(t);
    }
    if (e == json_tokener_success) /* nothing but white space may follow */
        for (; end < n; end++)
            if (text[end] != ' ' && text[end] != '\n' && text[end] != '\r' && text[end] != '\t') {
                e = json_tokener_error_parse_unexpected;
                break;
            }
    json_tokener_free(t);
    if (e != json_tokener_success) {
        json_object_put(o);
        return diag_fail(d, CJ_E_INPUT, MSG_JSON_BAD, "%s" ARG "%s" ARG "%zu", what, json_tokener_error_desc(e), end);
    }
    *out = o;
    return CJ_OK;
}
