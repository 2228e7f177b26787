/* Prompts. The examples are our own sentences; they show a base model the form and that the answer is short and from the text. */
#include "reader/prompt.h"

#include <string.h>

#include "base/utf8.h"
#include "data/qa_form.h"
#include "engine/prompt.h"

/* What is said in one language. */
typedef struct wording {
    const char *examples;              /* before the text, for a base model */
    const char *pairs;                 /* the same without passages, for a question about a text that was read: every token of it looks at all of that */
    const char *text, *question, *answer; /* labels of its form */
    const char *instruction;           /* before the text, for a model that chats */
    const char *ask;                   /* between the text and the question */
    const char *after;                 /* before the question, for a model that chats and has the text before it */
    const char *neutral;               /* a question that asks for nothing in particular, in the words of all questions */
    const char *summarise;             /* before a text that is to be summarised */
} wording;

static const wording chinese = {
    .examples = "阅读短文，回答问题。\n\n"
                "短文：老周在码头边开了一家修表铺，每逢初一关门歇业。铺子里最贵的一块表，是一位船长留下的怀表。\n"
                "问题：修表铺在什么日子歇业？\n"
                "答案：初一\n\n"
                "短文：山下的村子共有四十二户人家。村里的水都从北坡的石井里挑来，井边立着一棵老槐树。\n"
                "问题：村里的水从哪里挑来？\n"
                "答案：北坡的石井\n\n"
                "短文：那年冬天，赵先生托学生小林把一封信送到省城，信里夹着三张船票。\n"
                "问题：信是谁送到省城的？\n"
                "答案：学生小林\n\n",
    .pairs = "问题：修表铺在什么日子歇业？\n答案：初一\n\n问题：信是谁送到省城的？\n答案：学生小林\n",
    .text = "短文：",
    .question = "\n问题：",
    .answer = "\n答案：",
    .instruction = "请阅读下面的文字，然后根据文字回答问题。只回答问题本身，尽量用原文的词语；文中没有答案时，回答“文中没有说明”。\n\n",
    .ask = "\n\n问题：",
    .after = "请根据上面的文字回答问题。只回答问题本身，尽量用原文的词语；文中没有答案时，回答“文中没有说明”。\n\n问题：",
    .neutral = "这段文字讲了什么？谁？什么？哪里？多少？什么时候？怎么？为什么？",
    .summarise = "请用两三句话概括下面的文字，写出人物与事件，只写概括：\n\n",
};

static const wording english = {
    .examples = "Read the passage and answer the question.\n\n"
                "Passage: Mr Harlow kept a watch shop by the harbour and closed it on the first day of every month. The dearest watch in it had been left by a captain.\n"
                "Question: On which day was the shop closed?\n"
                "Answer: the first day of every month\n\n"
                "Passage: The village below the hill had forty-two houses. All its water was carried from the stone well on the north slope.\n"
                "Question: Where did the water come from?\n"
                "Answer: the stone well on the north slope\n\n"
                "Passage: That winter the teacher gave a letter to his pupil Lin, who took it to the city. Three tickets lay in it.\n"
                "Question: Who took the letter to the city?\n"
                "Answer: his pupil Lin\n\n",
    .pairs = "Question: On which day was the shop closed?\nAnswer: the first day of every month\n\nQuestion: Who took the letter to the city?\nAnswer: his pupil Lin\n",
    .text = "Passage: ",
    .question = "\nQuestion: ",
    .answer = "\nAnswer:",
    .instruction = "Read the text below, then answer the question from it. Answer in a few words, taken from the text where possible; if the text does not say, answer \"The text does not say.\"\n\n",
    .ask = "\n\nQuestion: ",
    .after = "Answer the question from the text above. Answer in a few words, taken from the text where possible; if the text does not say, answer \"The text does not say.\"\n\nQuestion: ",
    .neutral = "What is this text about? Who? What? Where? How many? When? How? Why?",
    .summarise = "Summarise the text below in two or three sentences: who and what it is about. Write the summary only.\n\n",
};

/* Chinese as soon as one Chinese character is in the text. */
static const wording *wording_of(const char *text, size_t n)
{
    uint32_t cp;
    for (size_t i = 0; i < n;) {
        i += (size_t)utf8_decode(text + i, n - i, &cp);
        if (cp >= 0x2E80 && cp != UTF8_INVALID) return &chinese;
    }
    return &english;
}

static const wording *wording_for(const char *question) { return wording_of(question, strlen(question)); }

static cj_err begin(prompt *p, const engine *e, const tokenizer **t, cj_diag *d)
{
    *p = (prompt){0};
    token_list_init(&p->tokens);
    return engine_need_tokenizer(e, t, d);
}

/* ---- a base model ---- */

static cj_err add(prompt *p, const tokenizer *t, const char *s, cj_diag *d) { return tokenizer_encode(t, s, strlen(s), 0, &p->tokens, d); }

static cj_err plain_question(prompt *p, const tokenizer *t, const wording *w, const char *question, cj_diag *d)
{
    TRY(add(p, t, w->question, d));
    p->words = (int64_t)p->tokens.count;
    TRY(add(p, t, question, d));
    p->words_end = (int64_t)p->tokens.count;
    return add(p, t, w->answer, d);
}

static cj_err plain(prompt *p, const tokenizer *t, const wording *w, bool examples, const char *text, size_t bytes, const char *question, cj_diag *d)
{
    const token_specials *s = tokenizer_specials(t);
    p->stop = "\n";
    if (s->add_bos && s->bos >= 0) TRY(token_list_push(&p->tokens, s->bos, 0, 0, d));
    if (examples) {
        TRY(add(p, t, w->examples, d));
        TRY(add(p, t, w->text, d));
    }
    p->text = (int64_t)p->tokens.count;
    TRY(tokenizer_encode(t, text, bytes, TOKEN_VERBATIM, &p->tokens, d));
    p->text_end = (int64_t)p->tokens.count;
    return plain_question(p, t, w, question, d);
}

/* ---- a model that chats ---- */

/* {"messages": [the user's one], "enable_thinking": false}; NULL: no memory. */
static json_object *one_message(const buf *content)
{
    json_object *o = json_object_new_object(), *list = json_object_new_array(), *m = json_object_new_object();
    json_object *text = json_object_new_string_len(content->data, (int)content->len);
    if (o && list && m && text) {
        json_object_object_add(m, "role", json_object_new_string("user"));
        json_object_object_add(m, "content", text);
        json_object_array_add(list, m);
        json_object_object_add(o, "messages", list);
        json_object_object_add(o, "enable_thinking", json_object_new_boolean(false)); /* the answer comes at once */
        return o;
    }
    json_object_put(o);
    json_object_put(list);
    json_object_put(m);
    json_object_put(text);
    return NULL;
}

/* The tokens that cover bytes [from, from + bytes) of the rendered prompt, `first` or later. */
static void find_tokens(const token_list *l, size_t from, size_t bytes, int64_t first, int64_t *begin, int64_t *end)
{
    int64_t n = (int64_t)l->count, i = first;
    while (i < n && l->spans[i].end <= from) i++;
    *begin = i;
    while (i < n && l->spans[i].start < from + bytes) i++;
    *end = i;
}

/* Finds the text's tokens and the question's from where their bytes are; spans of the text become bytes of it. */
static void place_text(prompt *p, size_t from, size_t bytes, size_t asked, size_t question_bytes)
{
    token_list *l = &p->tokens;
    find_tokens(l, from, bytes, 0, &p->text, &p->text_end);
    find_tokens(l, asked, question_bytes, p->text_end, &p->words, &p->words_end);
    for (int64_t i = p->text; i < p->text_end; i++) {
        token_span *s = &l->spans[i];
        s->start = s->start > from ? s->start - from : 0;
        s->end = s->end - from < bytes ? s->end - from : bytes;
    }
}

static cj_err chat(prompt *p, const engine *e, const wording *w, const char *text, size_t bytes, const char *question, cj_diag *d)
{
    buf content, rendered;
    size_t before = strlen(w->instruction);
    buf_init(&content, (size_t)INT32_MAX);
    buf_init(&rendered, (size_t)INT32_MAX);
    cj_err err = buf_puts(&content, w->instruction, d);
    if (!err) err = buf_append(&content, text, bytes, d);
    size_t shown = content.len; /* what a template that trims its messages leaves alone */
    if (!err) err = buf_puts(&content, w->ask, d);
    if (!err) err = buf_puts(&content, question, d);
    json_object *request = err ? NULL : one_message(&content);
    if (!err && !request) err = diag_nomem(d, content.len);
    if (!err) err = prompt_chat(e, request, NULL, &rendered, &p->tokens, d);
    const char *at = err ? NULL : memmem(rendered.data, rendered.len, content.data, shown);
    if (!err && !at) err = diag_fail(d, CJ_E_UNSUPPORTED, MSG_ASK_TEMPLATE, "%s", model_path(engine_model(e)));
    if (!err) {
        size_t from = (size_t)(at - rendered.data);
        place_text(p, from + before, bytes, from + shown + strlen(w->ask), strlen(question));
    }
    json_object_put(request);
    buf_deinit(&content);
    buf_deinit(&rendered);
    return err;
}

/* ---- */

cj_err prompt_close(prompt *p, const engine *e, const char *text, size_t bytes, const char *question, cj_diag *d)
{
    const tokenizer *t;
    const wording *w = wording_for(question);
    TRY(begin(p, e, &t, d));
    return prompt_can_chat(e) ? chat(p, e, w, text, bytes, question, d) : plain(p, t, w, true, text, bytes, question, d);
}

cj_err prompt_qa(prompt *p, const engine *e, const char *text, size_t bytes, const char *question, cj_diag *d)
{
    const tokenizer *t;
    buf asked;
    TRY(begin(p, e, &t, d));
    if (text) TRY(qa_encode(t, true, text, bytes, &p->tokens, d));
    p->text = text && tokenizer_specials(t)->add_bos && tokenizer_specials(t)->bos >= 0; /* after the begin token */
    p->stop = "\n\n"; /* an empty line, where a model has no end token */
    p->text_end = p->words = (int64_t)p->tokens.count;
    buf_init(&asked, (size_t)INT32_MAX);
    cj_err err = qa_put_question(&asked, question, d);
    if (!err) err = qa_encode(t, false, asked.data, asked.len, &p->tokens, d);
    p->words_end = (int64_t)p->tokens.count;
    buf_deinit(&asked);
    return err;
}

cj_err prompt_find(prompt *p, const engine *e, const char *text, size_t bytes, const char *question, cj_diag *d)
{
    const tokenizer *t;
    TRY(begin(p, e, &t, d));
    return plain(p, t, wording_for(question), false, text, bytes, question, d);
}

cj_err prompt_question(prompt *p, const engine *e, const char *question, cj_diag *d)
{
    const tokenizer *t;
    TRY(begin(p, e, &t, d));
    return plain_question(p, t, wording_for(question), question, d);
}

cj_err prompt_message(buf *out, const char *text, size_t bytes, const char *question, cj_diag *d)
{
    const wording *w = wording_for(question);
    if (bytes) {
        TRY(buf_puts(out, w->instruction, d));
        TRY(buf_append(out, text, bytes, d));
    }
    TRY(buf_puts(out, bytes ? w->ask : w->after, d));
    return buf_puts(out, question, d);
}

/* A request in the middle of a timeline: nothing begins here. */
static cj_err chat_within(prompt *p, const engine *e, json_object *request, cj_diag *d)
{
    json_object_object_add(request, "bos_token", json_object_new_string(""));
    return prompt_chat(e, request, NULL, NULL, &p->tokens, d);
}

static cj_err chat_after(prompt *p, const engine *e, const char *question, cj_diag *d)
{
    buf content;
    buf_init(&content, (size_t)INT32_MAX);
    cj_err err = prompt_message(&content, NULL, 0, question, d);
    json_object *request = err ? NULL : one_message(&content);
    if (!err && !request) err = diag_nomem(d, content.len);
    if (!err) err = chat_within(p, e, request, d);
    json_object_put(request);
    buf_deinit(&content);
    return err;
}

cj_err prompt_summary(prompt *p, const engine *e, const char *text, size_t bytes, cj_diag *d)
{
    const tokenizer *t;
    buf content;
    TRY(begin(p, e, &t, d));
    buf_init(&content, (size_t)INT32_MAX);
    cj_err err = buf_puts(&content, wording_of(text, bytes < 4096 ? bytes : 4096)->summarise, d);
    if (!err) err = buf_append(&content, text, bytes, d);
    json_object *request = err ? NULL : one_message(&content);
    if (!err && !request) err = diag_nomem(d, content.len);
    if (!err) err = prompt_chat(e, request, NULL, NULL, &p->tokens, d);
    json_object_put(request);
    buf_deinit(&content);
    return err;
}

cj_err prompt_conversation(prompt *p, const engine *e, json_object *messages, bool within, const session *held, cj_diag *d)
{
    const tokenizer *t;
    TRY(begin(p, e, &t, d));
    json_object *request = json_object_new_object();
    if (!request) return diag_nomem(d, 0);
    json_object_object_add(request, "messages", json_object_get(messages));
    json_object_object_add(request, "enable_thinking", json_object_new_boolean(false));
    cj_err err = within ? chat_within(p, e, request, d) : prompt_chat(e, request, held, NULL, &p->tokens, d);
    json_object_put(request);
    return err;
}

cj_err prompt_turn(prompt *p, const engine *e, prompt_place place, const char *text, size_t bytes, const char *question, cj_diag *d)
{
    const tokenizer *t;
    const wording *w = wording_for(question);
    TRY(begin(p, e, &t, d));
    const token_specials *s = tokenizer_specials(t);
    p->stop = "\n";
    if (place == PROMPT_BEGINS && s->add_bos && s->bos >= 0) TRY(token_list_push(&p->tokens, s->bos, 0, 0, d));
    if (place != PROMPT_BEGINS) TRY(add(p, t, "\n\n", d));
    if (place != PROMPT_GOES_ON) TRY(add(p, t, bytes ? w->examples : w->pairs, d));
    p->opening = (int64_t)p->tokens.count;
    if (bytes) {
        TRY(add(p, t, w->text, d));
        TRY(tokenizer_encode(t, text, bytes, TOKEN_VERBATIM, &p->tokens, d));
    }
    return plain_question(p, t, w, question, d);
}

cj_err prompt_after(prompt *p, const engine *e, const char *question, cj_diag *d)
{
    const tokenizer *t;
    if (!prompt_can_chat(e)) return prompt_turn(p, e, PROMPT_AFTER_TEXT, NULL, 0, question, d);
    TRY(begin(p, e, &t, d));
    return chat_after(p, e, question, d);
}

const char *prompt_neutral_question(const char *question) { return wording_for(question)->neutral; }

void prompt_deinit(prompt *p) { token_list_deinit(&p->tokens); }
