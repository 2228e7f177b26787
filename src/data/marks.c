/* Finding what can be asked for. */
#include "data/marks.h"

#include <string.h>

#include "base/utf8.h"

/* ---- characters ---- */

bool char_is_one_of(uint32_t c, const char *set)
{
    char s[5] = {0};
    utf8_encode(c, s);
    return c && strstr(set, s);
}

bool char_ends_sentence(uint32_t c) { return char_is_one_of(c, "。！？…；!?"); }
bool char_is_break(uint32_t c) { return char_ends_sentence(c) || char_is_one_of(c, "，：,:;"); }
bool char_closes(uint32_t c) { return char_is_one_of(c, "”’」』）》】\"')]"); }
bool char_opens(uint32_t c) { return char_is_one_of(c, "“「『‘\""); }
bool char_is_chinese(uint32_t c) { return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF); }
static bool is_space(uint32_t c) { return char_is_one_of(c, " \t\r\n\v\f　") || c == 0xA0; }
static bool is_digit(uint32_t c) { return (c >= '0' && c <= '9') || (c >= 0xFF10 && c <= 0xFF19); }
static bool is_numeral(uint32_t c) { return char_is_one_of(c, "〇零一二三四五六七八九十百千万亿两廿卅"); }
static bool is_capital(uint32_t c) { return c >= 'A' && c <= 'Z'; }
static bool is_letter(uint32_t c) { return is_capital(c) || (c >= 'a' && c <= 'z'); }

cj_err chars_open(char_text *t, const char *bytes, size_t n, cj_diag *d)
{
    size_t count = utf8_count(bytes, n), at = 0;
    int chinese = 0;
    *t = (char_text){.bytes = bytes, .n = (int)count};
    t->c = mem_alloc((count + 1) * sizeof *t->c);
    t->at = mem_alloc((count + 1) * sizeof *t->at);
    if (!t->c || !t->at) {
        chars_close(t);
        return diag_nomem(d, 2 * (count + 1) * sizeof *t->c);
    }
    for (int i = 0; i < t->n; i++) {
        t->at[i] = (uint32_t)at;
        at += (size_t)utf8_decode(bytes + at, n - at, &t->c[i]);
        chinese += char_is_chinese(t->c[i]);
    }
    t->c[t->n] = 0;
    t->at[t->n] = (uint32_t)n;
    t->chinese = chinese > t->n / 3;
    return CJ_OK;
}

void chars_close(char_text *t)
{
    mem_free(t->c);
    mem_free(t->at);
    *t = (char_text){0};
}

static char_range trimmed(const char_text *t, int begin, int end)
{
    while (begin < end && is_space(t->c[begin])) begin++;
    while (end > begin && is_space(t->c[end - 1])) end--;
    return (char_range){begin, end};
}

/* Whether a sentence is over after the character at i: a Latin stop only before white space and after a small letter. */
static bool ends_at(const char_text *t, int i)
{
    if (t->c[i] == '.') return (i + 1 == t->n || is_space(t->c[i + 1])) && i > 1 && !is_capital(t->c[i - 1]);
    return char_ends_sentence(t->c[i]);
}

int chars_sentences(const char_text *t, char_range *out, int most)
{
    int n = 0, begin = 0;
    for (int i = 0; i < t->n && n < most; i++) {
        bool line = t->c[i] == '\n';
        if (!line && !ends_at(t, i)) continue;
        int end = line ? i : i + 1;
        while (!line && end < t->n && (char_closes(t->c[end]) || char_ends_sentence(t->c[end]))) end++;
        char_range s = trimmed(t, begin, end);
        if (s.end > s.begin) out[n++] = s;
        begin = end;
        i = line ? i : end - 1;
    }
    char_range rest = trimmed(t, begin, t->n);
    if (n < most && rest.end > rest.begin) out[n++] = rest;
    return n;
}

char_range chars_clause(const char_text *t, char_range s, int at)
{
    char_range c = {at, at};
    while (c.begin > s.begin && !char_is_break(t->c[c.begin - 1])) c.begin--;
    while (c.end < s.end && !char_is_break(t->c[c.end])) c.end++;
    while (c.end < s.end && (char_is_break(t->c[c.end]) || char_closes(t->c[c.end]))) c.end++;
    return c;
}

/* ---- names ---- */

static uint64_t pack(const uint32_t *c, int n)
{
    uint64_t key = 0;
    for (int i = 0; i < n; i++) key = key << 16 | (c[i] & 0xFFFF);
    return key;
}

static name_count *find_name(const name_table *names, uint64_t key)
{
    uint64_t h = key * 0x9E3779B97F4A7C15u;
    for (uint64_t i = h >> 32;; i++) {
        name_count *s = &names->slot[i & (uint64_t)(names->slots - 1)];
        if (!s->key || s->key == key) return s;
    }
}

static cj_err count_name(name_table *names, uint64_t key, cj_diag *d)
{
    if (!names->slot) {
        names->slot = mem_array(2 * MARKS_NAMES_MAX, sizeof *names->slot);
        if (!names->slot) return diag_nomem(d, 2 * MARKS_NAMES_MAX * sizeof *names->slot);
        names->slots = 2 * MARKS_NAMES_MAX;
    }
    name_count *s = find_name(names, key);
    if (!s->key) {
        if (names->used == MARKS_NAMES_MAX) return CJ_OK; /* what comes that late is no leading name */
        s->key = key;
        names->used++;
    }
    s->n++;
    return CJ_OK;
}

void names_close(name_table *names)
{
    mem_free(names->slot);
    *names = (name_table){0};
}

/* How somebody says something, which stands between the name and "said". */
static bool is_manner(uint32_t c)
{
    return char_is_one_of(c, "笑忙问問答又便因乃怒喜叹嘆喝骂罵冷大急遂亦即却卻也哭泣连連对對告谢謝应應叫喊回低高声聲厉含泪陪点頭头摇手着了一面说說道曰故才只且就听聽罢罷见見口应骇惊驚拜奏接起身指拍案想呼");
}

/* What no name has in it. */
static bool is_no_name(uint32_t c)
{
    return !char_is_chinese(c) || char_is_one_of(c, "的不有他她它我你您只自己暗悄得这這那其者之而个個么麼众眾人们們二三四五六七八九十两各皆俱都来來去出入到将將把被与與和同如若等此彼何谁誰是在于於为為吾汝余某左右内中外上下前后後时時日夜今忽正方已再却曾所以及但可");
}

static bool says(uint32_t c) { return char_is_one_of(c, "道曰说說云"); }

/* The name that a clause which ends before `verb` begins with, the manner taken off; empty: none. */
static char_range speaker(const char_text *t, int verb)
{
    int begin = verb, end = verb;
    while (begin > 0 && verb - begin < 12 && char_is_chinese(t->c[begin - 1])) begin--;
    if (verb - begin == 12) return (char_range){verb, verb}; /* a long clause: no telling what is the name */
    while (end > begin && is_manner(t->c[end - 1])) end--;
    bool good = end - begin >= 2 && end - begin <= MARKS_NAME_CHARS;
    for (int i = begin; good && i < end; i++) good = !is_no_name(t->c[i]);
    return good ? (char_range){begin, end} : (char_range){verb, verb};
}

/* Where what is said begins, after "said" at `verb` and a colon or a comma; 0: nothing is. */
static int speech_begin(const char_text *t, int verb)
{
    int i = verb + 1;
    if (!says(t->c[verb])) return 0;
    bool colon = char_is_one_of(t->c[i], "：:"), comma = char_is_one_of(t->c[i], "，,");
    if (colon || comma) i++;
    bool quoted = i < t->n && char_opens(t->c[i]);
    return quoted ? i + 1 : colon ? i : 0;
}

cj_err names_count(name_table *names, const char_text *t, cj_diag *d)
{
    for (int i = 2; i + 1 < t->n; i++) {
        if (!speech_begin(t, i)) continue;
        char_range n = speaker(t, i);
        if (n.end > n.begin) TRY(count_name(names, pack(t->c + n.begin, n.end - n.begin), d));
    }
    return CJ_OK;
}

int names_at(const name_table *names, const char_text *t, int at)
{
    for (int n = MARKS_NAME_CHARS; names->slot && n >= 2; n--) {
        if (at + n > t->n) continue;
        const name_count *s = find_name(names, pack(t->c + at, n));
        if (s->key && s->n >= names->needed && char_is_chinese(t->c[at])) return n;
    }
    return 0;
}

bool speech_at(const name_table *names, const char_text *t, int at, speech *out)
{
    enum { SAID_MAX = 80 };
    int begin = at > 1 && at + 1 < t->n ? speech_begin(t, at) : 0, end = begin;
    if (!begin) return false;
    char_range name = speaker(t, at);
    if (name.end == name.begin || names_at(names, t, name.begin) != name.end - name.begin) return false;
    while (end < t->n && end - begin < SAID_MAX && t->c[end] != '\n' && !char_ends_sentence(t->c[end]) && !char_closes(t->c[end])) end++;
    if (end == t->n || !(char_ends_sentence(t->c[end]) || char_closes(t->c[end]))) return false;
    int close = end;
    while (close < t->n && (char_ends_sentence(t->c[close]) || char_closes(t->c[close]))) close++;
    *out = (speech){name, {name.begin, close}, {begin, end}};
    return true;
}

/* ---- marks ---- */

static bool word_at(const char_text *t, int at, const char *word)
{
    size_t n = strlen(word);
    return at < t->n && t->at[t->n] - t->at[at] >= n && !memcmp(t->bytes + t->at[at], word, n);
}

/* The longest of some words, parted by spaces, that stands at `at`: its characters. The longer ones come first in the list. */
static int any_word(const char_text *t, int at, const char *words)
{
    char word[32];
    for (const char *w = words; *w;) {
        size_t n = strcspn(w, " ");
        memcpy(word, w, n);
        word[n] = 0;
        if (word_at(t, at, word)) return (int)utf8_count(word, n);
        w += n + strspn(w + n, " ");
    }
    return 0;
}

static const char units[] = "平方公里 立方米 个工作日 平方米 个月 公里 千米 厘米 毫米 公斤 千克 小时 分钟 万元 亿元 万人 万名 元 米 吨 斤 里 丈 尺 寸 亩 户 人 名 个 個 只 条 條 匹 艘 辆 輛 座 "
                            "间 間 层 層 级 級 岁 歲 年 天 日 倍 次 回 卷 篇 册 種 种 项 項 处 處 所 家 位 件 份 把 张 張 句 杯 碗 担 石 枝 员 員 里路 公頃 公顷 枚 颗 顆 粒 支 根 封 首 场 場 届 屆 % ％";

/* A numeral at `at` that is no ordinal: its end; `at`: none. */
static int numeral_end(const char_text *t, int at)
{
    int i = at;
    if (at && (is_digit(t->c[at - 1]) || is_numeral(t->c[at - 1]) || is_letter(t->c[at - 1]) || char_is_one_of(t->c[at - 1], "第.-—"))) return at;
    if (is_digit(t->c[i]))
        while (is_digit(t->c[i]) || (char_is_one_of(t->c[i], ".,") && is_digit(t->c[i + 1])) || (i > at && char_is_one_of(t->c[i], "万亿"))) i++;
    else
        while (is_numeral(t->c[i])) i++;
    return i;
}

/* 一九五三年五月, 2011年11月17日, 五月初九: its end; `at`: none. */
static int date_end(const char_text *t, int at)
{
    int i = at, end = at, parts = 0;
    for (const char *unit = "年月日"; *unit; unit += 3) {
        int n = numeral_end(t, i);
        if (n == i && i > at && t->c[i] == 0x521D) n = numeral_end(t, i + 1), n = n > i + 1 ? n : i; /* 初九 */
        if (n == i && i > at) break;
        if (n > i && char_is_one_of(t->c[n], "年月日") && word_at(t, n, (char[]){unit[0], unit[1], unit[2], 0})) {
            i = end = n + 1;
            parts++;
        } else if (i > at) break;
    }
    bool year = parts == 1 && t->c[end - 1] == 0x5E74 && end - at == 5; /* four figures: a year, not a number of years */
    return parts > 1 || year ? end : at;
}

static text_mark number_at(const char_text *t, int at)
{
    text_mark none = {.at = {at, at}};
    int end = date_end(t, at), n;
    if (end > at) return (text_mark){MARK_DATE, {at, end}, end};
    end = numeral_end(t, at);
    if (end == at) return none;
    bool one = end == at + 1 && char_is_one_of(t->c[at], "一两千万百十亿");
    if (!t->chinese) return is_digit(t->c[at]) ? (text_mark){MARK_NUMBER, {at, end}, end} : none;
    n = one ? 0 : any_word(t, end, units);
    return n ? (text_mark){MARK_NUMBER, {at, end + n}, end} : none;
}

static text_mark title_at(const char_text *t, int at)
{
    enum { TITLE_MAX = 30 };
    int end = at + 1;
    while (end < t->n && end - at < TITLE_MAX && t->c[end] != '\n' && !char_is_one_of(t->c[end], "》《")) end++;
    bool good = end < t->n && char_is_one_of(t->c[end], "》") && end > at + 2;
    return (text_mark){MARK_TITLE, {at, good ? end + 1 : at}, end + 1};
}

/* Where a place's name that begins at `at` ends: after a word for a kind of place that one to four characters stand before. */
static int place_end(const char_text *t, int at)
{
    static const char kinds[] = "县州府省市镇鎮村庄莊寺庙廟城关關河江湖海岛島港店楼樓阁閣园園院宫宮殿桥橋塔洞峰岭嶺宅驿縣區区";
    for (int i = at; i < at + 5 && i < t->n && char_is_chinese(t->c[i]); i++) {
        if (char_is_one_of(t->c[i], "的了这這那一上下里其此他她我你有是不之与與和前后後内內什么麼治务務促进進加建各本该該")) return at;
        if (i == at || !char_is_one_of(t->c[i], kinds)) continue;
        while (char_is_one_of(t->c[i + 1], kinds)) i++;
        return i + 1;
    }
    return at;
}

/* 到扬州, 位于河南省固始县: after a preposition, and what lies within the first too. */
static text_mark place_at(const char_text *t, int at)
{
    int end = at;
    if (!at || !char_is_one_of(t->c[at - 1], "在到至往赴于於从從自离離向入抵过過")) return (text_mark){.at = {at, at}};
    for (int next; (next = place_end(t, end)) > end;) end = next;
    return (text_mark){MARK_PLACE, {at, end}, end};
}

/* 市公安机关应当: an office as the subject of a clause. */
static text_mark office_at(const char_text *t, int at)
{
    enum { OFFICE_MAX = 18 };
    static const char kinds[] = "人民检察院 人民政府 人民法院 主管部门 管理部门 行政部门 委员会 管理局 部门 机关 机构 单位 公司 政府 法院 学校 医院";
    static const char acts[] = "应当 可以 负责 不得 有权 依法 应 须 制定 会同 根据 按照 对 组织 建立";
    const uint32_t before = at ? t->c[at - 1] : '\n';
    if (!char_is_break(before) && !is_space(before) && !char_is_one_of(before, "由")) return (text_mark){.at = {at, at}};
    if (char_is_one_of(t->c[at], "由")) return (text_mark){.at = {at, at}};
    for (int i = at; i < at + OFFICE_MAX && i < t->n && (char_is_chinese(t->c[i]) || char_is_one_of(t->c[i], "、")); i++) {
        int n = i > at ? any_word(t, i, kinds) : 0;
        if (n && any_word(t, i + n, acts)) return (text_mark){MARK_OFFICE, {at, i + n}, i + n};
    }
    return (text_mark){.at = {at, at}};
}

/* Words with capitals, inside a sentence. */
static text_mark latin_name_at(const char_text *t, int at)
{
    int end = at;
    if (at < 2 || t->c[at - 1] != ' ' || !(is_letter(t->c[at - 2]) || t->c[at - 2] == ',')) return (text_mark){.at = {at, at}};
    for (int i = at; is_capital(t->c[i]);) {
        int word = i;
        while (is_letter(t->c[i])) i++;
        if (i - word < 3) break;
        end = i;
        if (t->c[i] != ' ') break;
        i++;
    }
    return (text_mark){MARK_NAME, {at, end}, end};
}

static text_mark mark_at(const name_table *names, const char_text *t, int at)
{
    text_mark m = {.at = {at, at}};
    if (is_digit(t->c[at]) || is_numeral(t->c[at])) m = number_at(t, at);
    else if (char_is_one_of(t->c[at], "《")) return title_at(t, at);
    else if (!t->chinese) return is_capital(t->c[at]) ? latin_name_at(t, at) : m;
    if (m.at.end > at || !char_is_chinese(t->c[at])) return m;
    int n = names_at(names, t, at);
    if (n) return (text_mark){MARK_NAME, {at, at + n}, at + n};
    m = office_at(t, at);
    return m.at.end > at ? m : place_at(t, at);
}

int marks_find(const name_table *names, const char_text *t, text_mark *out, int most)
{
    int n = 0;
    for (int i = 0; i < t->n && n < most;) {
        text_mark m = mark_at(names, t, i);
        if (m.at.end > i) out[n++] = m;
        i = m.at.end > i ? m.at.end : i + 1;
    }
    return n;
}
