/* Prompts. The examples are our own sentences; they show a base model the form and that the answer is short and from the text. */
#include "reader/prompt.h"

#include <string.h>

static const char examples[] =
    "阅读短文，回答问题。\n\n"
    "短文：老周在码头边开了一家修表铺，每逢初一关门歇业。铺子里最贵的一块表，是一位船长留下的怀表。\n"
    "问题：修表铺在什么日子歇业？\n"
    "答案：初一\n\n"
    "短文：山下的村子共有四十二户人家。村里的水都从北坡的石井里挑来，井边立着一棵老槐树。\n"
    "问题：村里的水从哪里挑来？\n"
    "答案：北坡的石井\n\n"
    "短文：那年冬天，赵先生托学生小林把一封信送到省城，信里夹着三张船票。\n"
    "问题：信是谁送到省城的？\n"
    "答案：学生小林\n\n";

static cj_err add(prompt *p, const tokenizer *t, const char *s, size_t n, unsigned flags, cj_diag *d)
{
    return tokenizer_encode(t, s, n, flags, &p->tokens, d);
}

/* The begin token, where the model wants one. */
static cj_err add_begin(prompt *p, const tokenizer *t, cj_diag *d)
{
    const token_specials *s = tokenizer_specials(t);
    return s->add_bos && s->bos >= 0 ? token_list_push(&p->tokens, s->bos, 0, 0, d) : CJ_OK;
}

static cj_err add_text(prompt *p, const tokenizer *t, const char *text, size_t bytes, cj_diag *d)
{
    p->text = (int64_t)p->tokens.count;
    TRY(add(p, t, text, bytes, TOKEN_VERBATIM, d));
    p->text_end = (int64_t)p->tokens.count;
    return CJ_OK;
}

static cj_err add_question(prompt *p, const tokenizer *t, const char *question, cj_diag *d)
{
    p->question = (int64_t)p->tokens.count;
    TRY(add(p, t, "\n问题：", strlen("\n问题："), 0, d));
    TRY(add(p, t, question, strlen(question), 0, d));
    return add(p, t, "\n答案：", strlen("\n答案："), 0, d);
}

cj_err prompt_close(prompt *p, const engine *e, const char *text, size_t bytes, const char *question, cj_diag *d)
{
    const tokenizer *t;
    *p = (prompt){.stop = "\n"};
    token_list_init(&p->tokens);
    TRY(engine_need_tokenizer(e, &t, d));
    TRY(add_begin(p, t, d));
    TRY(add(p, t, examples, sizeof examples - 1, 0, d));
    TRY(add(p, t, "短文：", strlen("短文："), 0, d));
    p->fixed = (int64_t)p->tokens.count;
    TRY(add_text(p, t, text, bytes, d));
    return add_question(p, t, question, d);
}

cj_err prompt_find(prompt *p, const engine *e, const char *text, size_t bytes, const char *question, cj_diag *d)
{
    const tokenizer *t;
    *p = (prompt){.stop = "\n"};
    token_list_init(&p->tokens);
    TRY(engine_need_tokenizer(e, &t, d));
    TRY(add_begin(p, t, d));
    p->fixed = (int64_t)p->tokens.count;
    TRY(add_text(p, t, text, bytes, d));
    return add_question(p, t, question, d);
}

void prompt_deinit(prompt *p) { token_list_deinit(&p->tokens); }
