/* Sessions of golden models, and the logits behind a text as they come and as a cold session computes them. After cmocka.h. */
#ifndef SUPPORT_SESSION_CASE_H
#define SUPPORT_SESSION_CASE_H

#include <string.h>

#include "engine/engine.h"

enum { VOCAB = 320 }; /* of the golden models */

static inline engine *engine_of(const engine_options *opt)
{
    engine *e = NULL;
    cj_diag d = {0};
    if (engine_open(&e, opt, &d)) {
        char text[1024];
        cj_diag_text(&d, CJ_LANG_EN, text, sizeof text);
        fail_msg("%s", text);
    }
    return e;
}

static inline void last_logits(session *s, const int32_t *t, int64_t n, int64_t *reused, float *out)
{
    session_call call = {.want = WANT_LAST};
    assert_int_equal(session_eval(s, t, n, &call, reused, NULL), CJ_OK);
    assert_int_equal(session_count(s), n);
    memcpy(out, session_logits(s), VOCAB * sizeof *out);
}

static inline void cold(engine *e, const int32_t *t, int64_t n, float *out)
{
    session *s = NULL;
    assert_int_equal(session_open(&s, e, 0, NULL), CJ_OK);
    last_logits(s, t, n, NULL, out);
    session_close(&s);
}

#endif
