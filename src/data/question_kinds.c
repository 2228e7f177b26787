/* Making one question.
 *
 * A unit is what a question is made of: the clause that a mark stands in, with the clauses before it until it says enough by itself.
 * Chinese asks without moving words, so a unit becomes a question when the word that asks takes the answer's place.
 */
#include "data/question_kinds.h"

#include <string.h>

enum { UNIT_MIN = 12, UNIT_MAX = 48, SENTENCE_WHOLE = 44, SENTENCE_MIN = 8, SENTENCE_MAX = 60, SAID_MIN = 5, SAID_SHOWN = 30 };

cj_err view_open(passage_view *v, const name_table *names, const char *text, size_t bytes, cj_diag *d)
{
    v->names = names;
    TRY(chars_open(&v->text, text, bytes, d));
    v->n_sentences = chars_sentences(&v->text, v->sentence, PASSAGE_SENTENCES);
    v->n_marks = marks_find(names, &v->text, v->mark, PASSAGE_MARKS);
    return CJ_OK;
}

void view_close(passage_view *v) { chars_close(&v->text); }

int view_seeds(const passage_view *v, question_seed *out, int most)
{
    int n = 0;
    for (int i = 0; i < v->n_marks && n + 3 < most; i++) {
        out[n++] = (question_seed){QUESTION_HIDDEN, i};
        out[n++] = (question_seed){QUESTION_ASKED, i};
        out[n++] = (question_seed){QUESTION_WHERE, i};
    }
    for (int i = 2; i + 1 < v->text.n && n < most; i++)
        if (char_is_one_of(v->text.c[i], "道曰说說云")) out[n++] = (question_seed){QUESTION_SAID, i};
    for (int i = 0; i + 1 < v->n_sentences && n < most; i++) out[n++] = (question_seed){QUESTION_NEXT, i};
    return n;
}

/* ---- pieces of a passage ---- */

static cj_err put_chars(buf *out, const char_text *t, int begin, int end, cj_diag *d)
{
    return buf_append(out, t->bytes + t->at[begin], t->at[end] - t->at[begin], d);
}

static int size_of(char_range r) { return r.end - r.begin; }

/* Without the breaks, opening and closing marks at its ends. */
static char_range bare(const char_text *t, char_range r)
{
    while (r.begin < r.end && (char_is_break(t->c[r.begin]) || char_opens(t->c[r.begin]) || char_closes(t->c[r.begin]) || t->c[r.begin] == ' ' || t->c[r.begin] == 0x3000)) r.begin++;
    while (r.end > r.begin && (char_is_break(t->c[r.end - 1]) || char_is_one_of(t->c[r.end - 1], "”’」』\"") || t->c[r.end - 1] == '.')) r.end--;
    return r;
}

static char_range sentence_of(const passage_view *v, int at)
{
    for (int i = 0; i < v->n_sentences; i++)
        if (at >= v->sentence[i].begin && at < v->sentence[i].end) return v->sentence[i];
    return (char_range){at, at};
}

/* How often the characters r occur in the passage. */
static int occurrences(const char_text *t, char_range r)
{
    int n = 0;
    for (int i = 0; i + size_of(r) <= t->n; i++) n += !memcmp(t->c + i, t->c + r.begin, (size_t)size_of(r) * sizeof *t->c);
    return n;
}

static int occurrences_in(const char_text *t, char_range r, char_range where)
{
    int n = 0;
    for (int i = where.begin; i + size_of(r) <= where.end; i++) n += !memcmp(t->c + i, t->c + r.begin, (size_t)size_of(r) * sizeof *t->c);
    return n;
}

/* Text that people write: no line ends, hardly any letters or signs of another kind. */
static bool readable(const char_text *t, char_range r)
{
    int odd = 0;
    for (int i = r.begin; i < r.end; i++) {
        if (t->c[i] == '\n' || t->c[i] == 0xFFFD || t->c[i] < ' ') return false;
        odd += t->chinese ? !char_is_chinese(t->c[i]) && !char_is_break(t->c[i]) : t->c[i] > 0x2E80;
    }
    return odd * 3 <= size_of(r);
}

/* The unit around a mark, breaks at its end included; empty: there is none of a good size. */
static char_range unit_of(const passage_view *v, char_range mark)
{
    const char_range none = {mark.begin, mark.begin}, s = sentence_of(v, mark.begin);
    const int least = v->text.chinese ? UNIT_MIN : 3 * UNIT_MIN, most = v->text.chinese ? UNIT_MAX : 4 * UNIT_MAX;
    if (mark.end > s.end) return none;
    char_range u = chars_clause(&v->text, s, mark.begin);
    while (u.end < mark.end) u.end = chars_clause(&v->text, s, u.end).end;
    while (size_of(u) < least + size_of(mark) && u.begin > s.begin) u.begin = chars_clause(&v->text, s, u.begin - 1).begin;
    while (size_of(u) < least + size_of(mark) && u.end < s.end) u.end = chars_clause(&v->text, s, u.end).end;
    bool good = size_of(bare(&v->text, u)) >= least + size_of(mark) - 2 && size_of(u) <= most + size_of(mark) && readable(&v->text, u);
    return good && occurrences_in(&v->text, mark, u) == 1 ? u : none;
}

/* What is quoted for a unit: its sentence when that is short. */
static char_range quote_of(const passage_view *v, char_range unit)
{
    const char_range s = sentence_of(v, unit.begin);
    char_range q = size_of(s) <= (v->text.chinese ? SENTENCE_WHOLE : 4 * SENTENCE_WHOLE) && readable(&v->text, s) ? s : unit;
    while (q.begin < q.end && (v->text.c[q.begin] == ' ' || char_closes(v->text.c[q.begin]))) q.begin++;
    return q;
}

/* Whether a piece takes no part of a speech without the rest. */
static bool balanced(const char_text *t, char_range r)
{
    int open = 0;
    for (int i = r.begin; i < r.end; i++) {
        if (char_is_one_of(t->c[i], "“「『（(")) open++;
        else if (char_is_one_of(t->c[i], "”」』）)") && --open < 0) return false;
    }
    return !open;
}

static const char *draw(random_state *r, const char *const *list)
{
    int n = 0;
    while (list[n]) n++;
    return list[random_below(r, n)];
}

/* pattern with {} for the text that has been made into `inside`. */
static cj_err put_pattern(buf *out, const char *pattern, const buf *inside, cj_diag *d)
{
    const char *at = strstr(pattern, "{}");
    TRY(buf_append(out, pattern, (size_t)(at - pattern), d));
    TRY(buf_append(out, inside->data ? inside->data : "", inside->len, d));
    return buf_puts(out, at + 2, d);
}

/* The bare unit with `word` in the mark's place and, if `other` is not empty, the characters `instead` in the place of other. */
static cj_err put_unit(buf *out, const char_text *t, char_range unit, char_range mark, const char *word, char_range other, char_range instead, cj_diag *d)
{
    const char_range u = bare(t, unit);
    for (int i = u.begin < mark.begin ? u.begin : mark.begin; i < u.end || i == mark.begin;) {
        if (i == mark.begin) {
            TRY(buf_puts(out, word, d));
            i = mark.end;
        } else if (i == other.begin && size_of(other)) {
            TRY(put_chars(out, t, instead.begin, instead.end, d));
            i = other.end;
        } else {
            TRY(put_chars(out, t, i, i + 1, d));
            i++;
        }
    }
    return CJ_OK;
}

/* ---- hidden, asked ---- */

static const char *const hidden_chinese[] = {"「{}」中空缺处是什么？", "文中“{}”，空缺的是什么？", "“{}”，横线处原文是什么？", "请补全原文：{}", NULL};
static const char *const hidden_english[] = {"What is missing in “{}”?", "Which words of the text stand for the line in “{}”?", NULL};
static const char *const asked_chinese[] = {"{}？", "{}？", "文中说，{}？", "请问{}？", "根据上文，{}？", "按文中所述，{}？", NULL};

/* A date by a reign's years (永安五年): what comes before belongs to it and would be left standing. */
static bool counts_reigns(const char_text *t, char_range r)
{
    for (int i = r.begin; i < r.end && i < r.begin + 4; i++)
        if (char_is_one_of(t->c[i], "年")) return true;
    return false;
}

static const char *asking_when(const passage_view *v, const text_mark *m, random_state *r)
{
    static const char *const any[] = {"什么时候", "何时", NULL}, *const day[] = {"什么时候", "何时", "哪一天", NULL};
    const uint32_t last = v->text.c[m->at.end - 1];
    if (counts_reigns(&v->text, m->at)) return "";
    return char_is_one_of(last, "年") ? "哪一年" : draw(r, char_is_one_of(last, "日") ? day : any);
}

/* The word that asks for a mark; "": none does here. */
static const char *asking_word(const passage_view *v, const text_mark *m, char_range unit, random_state *r)
{
    static const char *const where[] = {"哪里", "什么地方", "何处", NULL},
                      *const office[] = {"哪个部门", "谁", "什么单位", NULL}, *const who[] = {"谁", "谁", "哪个人", NULL}, *const title[] = {"哪部作品或文件", "《什么》", NULL};
    const char_text *t = &v->text;
    const uint32_t after = m->at.end < t->n ? t->c[m->at.end] : 0;
    const bool first = m->at.begin == bare(t, unit).begin || char_is_break(t->c[m->at.begin - 1]);
    switch (m->kind) {
    case MARK_DATE: return asking_when(v, m, r);
    case MARK_PLACE: return draw(r, where);
    case MARK_OFFICE: return draw(r, office);
    case MARK_TITLE: return draw(r, title);
    case MARK_NUMBER:
        if (m->at.begin && char_is_one_of(t->c[m->at.begin - 1], "这這那每（(")) return "";
        return random_below(r, 4) || char_is_one_of(t->c[m->unit], "%％") ? "多少" : "几";
    default: /* a name: only as the one who acts */
        return first && after && char_is_chinese(after) && !char_is_one_of(after, "道曰说說云的之、和与與") ? draw(r, who) : "";
    }
}

/* What takes the mark's place, and how much of the mark it takes: of a number the unit of measure stays. */
static char_range asked_part(const text_mark *m) { return m->kind == MARK_NUMBER ? (char_range){m->at.begin, m->unit} : m->at; }

static cj_err about_mark(const passage_view *v, question_kind kind, const text_mark *m, char_range unit, char_range other, char_range instead,
                         random_state *r, made_question *q, bool *good, cj_diag *d)
{
    const bool hidden = kind == QUESTION_HIDDEN, chinese = v->text.chinese;
    const char *word = hidden ? "____" : chinese && balanced(&v->text, bare(&v->text, unit)) ? asking_word(v, m, unit, r) : "";
    buf inside;
    *good = *word != 0;
    if (!*good) return CJ_OK;
    buf_init(&inside, 1 << 16);
    cj_err e = put_unit(&inside, &v->text, unit, hidden ? m->at : asked_part(m), word, other, instead, d);
    const char *pattern = draw(r, !hidden ? asked_chinese : chinese ? hidden_chinese : hidden_english);
    if (!e) e = put_pattern(&q->question, pattern, &inside, d);
    buf_deinit(&inside);
    q->unit = unit;
    q->quote = quote_of(v, unit);
    q->answer = m->at;
    return e;
}

/* ---- said, where, next ---- */

static cj_err who_said(const passage_view *v, int at, random_state *r, made_question *q, bool *good, cj_diag *d)
{
    static const char *const patterns[] = {"“{}”这句话是谁说的？", "谁说了“{}”？", "文中是谁说“{}”？", "“{}”出自谁之口？", NULL};
    speech s;
    buf inside;
    *good = speech_at(v->names, &v->text, at, &s) && size_of(s.said) >= SAID_MIN && readable(&v->text, s.clause);
    if (!*good || !readable(&v->text, s.said)) {
        *good = false;
        return CJ_OK;
    }
    int end = s.said.end; /* of a long speech its beginning is enough */
    while (end - s.said.begin > SAID_SHOWN) {
        do end--;
        while (end > s.said.begin && !char_is_break(v->text.c[end]));
    }
    *good = end - s.said.begin >= SAID_MIN;
    if (!*good) return CJ_OK;
    buf_init(&inside, 1 << 12);
    cj_err e = put_chars(&inside, &v->text, s.said.begin, end, d);
    if (!e) e = put_pattern(&q->question, draw(r, patterns), &inside, d);
    buf_deinit(&inside);
    q->unit = q->quote = s.clause;
    q->answer = s.name;
    return e;
}

/* 第十二条 at the beginning of a sentence: its end; begin: none. */
static int article_label(const char_text *t, char_range s)
{
    int i = s.begin + 1;
    if (!char_is_one_of(t->c[s.begin], "第")) return s.begin;
    while (i < s.end && char_is_one_of(t->c[i], "〇零一二三四五六七八九十百千0123456789")) i++;
    return i > s.begin + 1 && i + 1 < s.end && char_is_one_of(t->c[i], "条條") ? i + 1 : s.begin;
}

/* Which sentence tells of the mark; of an article, which one it is. */
static cj_err where_is(const passage_view *v, const text_mark *m, random_state *r, made_question *q, bool *good, cj_diag *d)
{
    static const char *const article[] = {"哪一条规定了“{}”？", "“{}”是第几条规定的？", "关于“{}”的规定在哪一条？", NULL};
    static const char *const mention[] = {"文中哪一句提到了{}？", "关于{}，文中是怎么写的？", "{}在文中是怎样提到的？", NULL};
    static const char *const english[] = {"Which sentence mentions {}?", "What does the text say of {}?", NULL};
    const char_text *t = &v->text;
    const char_range s = sentence_of(v, m->at.begin), u = unit_of(v, m->at);
    const int label = article_label(t, s);
    const bool law = label > s.begin && u.begin > label && s.end - s.begin <= 2 * SENTENCE_MAX && readable(t, s);
    buf inside;
    *good = size_of(u) && (law || (occurrences(t, m->at) == 1 && size_of(m->at) >= 2 && m->kind != MARK_OFFICE && m->kind != MARK_NUMBER));
    if (!*good) return CJ_OK;
    buf_init(&inside, 1 << 14);
    const char_range shown = law ? bare(t, u) : m->at;
    cj_err e = put_chars(&inside, t, shown.begin, shown.end, d);
    if (!e) e = put_pattern(&q->question, draw(r, law ? article : t->chinese ? mention : english), &inside, d);
    buf_deinit(&inside);
    q->unit = u;
    q->quote = law ? s : quote_of(v, u);
    q->answer = law ? (char_range){s.begin, label} : bare(t, q->quote);
    return e;
}

static cj_err what_follows(const passage_view *v, int i, random_state *r, made_question *q, bool *good, cj_diag *d)
{
    static const char *const chinese[] = {"“{}”后面一句是什么？", "“{}”的下一句是什么？", "“{}”之后接着写了什么？", NULL};
    static const char *const english[] = {"What comes after “{}”?", "Which sentence follows “{}”?", NULL};
    const char_range a = v->sentence[i], b = v->sentence[i + 1];
    const int least = v->text.chinese ? SENTENCE_MIN : 4 * SENTENCE_MIN, most = v->text.chinese ? SENTENCE_MAX : 4 * SENTENCE_MAX;
    buf inside;
    *good = size_of(a) >= least && size_of(b) >= least && size_of(a) <= most && size_of(b) <= most && readable(&v->text, a) && readable(&v->text, b) &&
            occurrences(&v->text, a) == 1;
    for (int k = a.end; *good && k < b.begin; k++) *good = v->text.c[k] != '\n';
    if (!*good) return CJ_OK;
    buf_init(&inside, 1 << 12);
    const char_range shown = bare(&v->text, a);
    cj_err e = put_chars(&inside, &v->text, shown.begin, shown.end, d);
    if (!e) e = put_pattern(&q->question, draw(r, v->text.chinese ? chinese : english), &inside, d);
    buf_deinit(&inside);
    q->unit = q->quote = b;
    q->answer = bare(&v->text, b);
    return e;
}

/* ---- */

/* Quote and answer are what they have to be, and the question does not tell the answer. */
static bool sound(const passage_view *v, const made_question *q)
{
    const char_text *t = &v->text;
    if (size_of(q->answer) < 1 || q->answer.begin < q->quote.begin || q->answer.end > q->quote.end) return false;
    return !memmem(q->question.data, q->question.len, t->bytes + t->at[q->answer.begin], t->at[q->answer.end] - t->at[q->answer.begin]);
}

cj_err question_from(const passage_view *v, question_seed s, random_state *r, made_question *q, bool *good, cj_diag *d)
{
    const char_range none = {0};
    const text_mark *m = s.kind == QUESTION_SAID || s.kind == QUESTION_NEXT ? NULL : &v->mark[s.at];
    const char_range unit = m ? unit_of(v, m->at) : none;
    buf_clear(&q->question);
    q->kind = s.kind;
    *good = !m || size_of(unit);
    if (!*good) return CJ_OK;
    switch (s.kind) {
    case QUESTION_SAID: TRY(who_said(v, s.at, r, q, good, d)); break;
    case QUESTION_NEXT: TRY(what_follows(v, s.at, r, q, good, d)); break;
    case QUESTION_WHERE: TRY(where_is(v, m, r, q, good, d)); break;
    default: TRY(about_mark(v, s.kind, m, unit, none, none, r, q, good, d)); break;
    }
    *good = *good && sound(v, q);
    return CJ_OK;
}

static bool same_unit(const char_text *t, const text_mark *a, const text_mark *b)
{
    int n = a->at.end - a->unit;
    return n == b->at.end - b->unit && !memcmp(t->c + a->unit, t->c + b->unit, (size_t)n * sizeof *t->c);
}

/* A mark of the same kind, a number of the same things, whose words are not in the unit. */
static const text_mark *another(const passage_view *v, const text_mark *m, char_range unit, random_state *r)
{
    int from = (int)random_below(r, v->n_marks);
    for (int k = 0; k < v->n_marks; k++) {
        const text_mark *o = &v->mark[(from + k) % v->n_marks];
        if (o->kind == m->kind && (m->kind != MARK_NUMBER || same_unit(&v->text, o, m)) && !occurrences_in(&v->text, o->at, unit)) return o;
    }
    return NULL;
}

cj_err question_swapped(const passage_view *v, int mark, random_state *r, made_question *q, bool *good, cj_diag *d)
{
    const text_mark *m = &v->mark[mark], *other = NULL, *instead = NULL;
    const char_range unit = unit_of(v, m->at);
    *good = false;
    if (!size_of(unit)) return CJ_OK;
    const char_range shown = bare(&v->text, unit);
    for (int i = 0; i < v->n_marks && !instead; i++) {
        other = &v->mark[i];
        if (i == mark || other->at.begin < shown.begin || other->at.end > shown.end) continue;
        if (other->kind == MARK_NAME || other->kind == MARK_NUMBER || other->kind == MARK_PLACE || other->kind == MARK_TITLE) instead = another(v, other, unit, r);
    }
    if (!instead) return CJ_OK;
    buf_clear(&q->question);
    const question_kind form = random_below(r, 3) && v->text.chinese ? QUESTION_ASKED : QUESTION_HIDDEN;
    TRY(about_mark(v, form, m, unit, other->at, instead->at, r, q, good, d));
    q->kind = QUESTION_ABSENT;
    q->quote = q->answer = (char_range){0};
    return CJ_OK;
}
