/* The matchers of pre-tokenizers. Stateless. Every one looks at a bounded number of characters, or at a run that it then
 * consumes, so that cutting a text takes linear time whatever the text is. */
#include "token/pre_rules.h"

static inline bool at_end(const pre_cursor *c, size_t at) { return at >= c->end; }

/* The class of the character at `at` < end; *next is where the one after it begins. */
static inline uint8_t class_at(const pre_cursor *c, size_t at, size_t *next)
{
    unsigned char byte = (unsigned char)c->text[at];
    if (byte < 0x80) {
        *next = at + 1;
        return c->table->basic[byte];
    }
    uint32_t cp;
    *next = at + (size_t)utf8_decode(c->text + at, c->end - at, &cp);
    return unicode_class(c->table, cp);
}

static inline bool is_ascii_letter(char byte) { return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z'); }

static inline bool is_line_end(char byte) { return byte == '\n' || byte == '\r'; }

/* Where the run of characters in `set` that begins at `at` ends; at most max of them (0: any number). */
static size_t run_end(const pre_cursor *c, size_t at, uint64_t set, int max)
{
    size_t next;
    for (int n = 0; !at_end(c, at) && (!max || n < max) && unicode_in(class_at(c, at, &next), set); n++) at = next;
    return at;
}

/* 's 't 'm 'd 're 've 'll after an apostrophe at `at`; without regard to case also 'ſ, the long s. */
static size_t contraction_end(const pre_cursor *c, size_t at, pre_contractions kind)
{
    if (kind == PRE_NO_CONTRACTIONS || c->end - at < 2 || c->text[at] != '\'') return at;
    unsigned char fold = kind == PRE_ANY_CASE ? 0x20 : 0; /* set in small letters */
    unsigned char a = (unsigned char)c->text[at + 1], b = c->end - at > 2 ? (unsigned char)c->text[at + 2] : 0;
    if (kind == PRE_ANY_CASE && a == 0xC5 && b == 0xBF) return at + 3;
    if (a >= 0x80) return at;
    a |= fold;
    if (a == 's' || a == 't' || a == 'm' || a == 'd') return at + 2;
    if (b >= 0x80) return at;
    b |= fold;
    if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return at + 3;
    return at;
}

#define UPPER (UNI_BIT(UNI_LU) | UNI_BIT(UNI_LT) | UNI_BIT(UNI_LM) | UNI_BIT(UNI_LO) | UNI_MARK)
#define LOWER (UNI_BIT(UNI_LL) | UNI_BIT(UNI_LM) | UNI_BIT(UNI_LO) | UNI_MARK)

typedef struct cased_ends {
    size_t upper;  /* of the run of UPPER */
    size_t common; /* after the last character of that run that is in LOWER too; 0: none */
    size_t lower;  /* of the run of LOWER behind it */
} cased_ends;

static cased_ends cased_scan(const pre_cursor *c, size_t at, const pre_rule *rule)
{
    cased_ends e = {.upper = at};
    size_t next;
    for (; !at_end(c, e.upper); e.upper = next) {
        uint8_t k = class_at(c, e.upper, &next);
        if (!unicode_in(k, UPPER) || (rule->han_apart && (k & UNI_HAN))) break;
        if (unicode_in(k, LOWER)) e.common = next;
    }
    for (e.lower = e.upper; !at_end(c, e.lower); e.lower = next) {
        uint8_t k = class_at(c, e.lower, &next);
        if (!unicode_in(k, LOWER) || (rule->han_apart && (k & UNI_HAN))) break;
    }
    return e;
}

/* UPPER* LOWER+ (first form), else UPPER+ LOWER* (second form), either after one more character that is no letter, number or
 * line end. The longest UPPER* that leaves something for LOWER+ wins, as backtracking finds it. */
static size_t cased_word_end(const pre_cursor *c, size_t at, size_t after, bool may_prefix, bool is_word, const pre_rule *rule)
{
    cased_ends here = {.upper = at}, behind = {.upper = after};
    if (may_prefix) {
        behind = cased_scan(c, after, rule);
        if (behind.lower > behind.upper) return behind.lower;
        if (behind.common) return behind.common;
    }
    if (is_word) {
        here = cased_scan(c, at, rule);
        if (here.lower > here.upper) return here.lower;
        if (here.common) return here.common;
    }
    return may_prefix && behind.upper > after ? behind.upper : here.upper;
}

static size_t word_end(const pre_cursor *c, size_t at, size_t next, uint8_t first, const pre_rule *rule)
{
    char byte = c->text[at];
    bool may_prefix = rule->prefix_is_space ? byte == ' ' : !is_line_end(byte) && !unicode_in(first, rule->no_prefix);
    if (rule->cased) {
        size_t end = cased_word_end(c, at, next, may_prefix, unicode_in(first, UPPER | LOWER), rule);
        return end > at ? contraction_end(c, end, rule->contractions) : at;
    }
    if (unicode_in(first, rule->letters)) return run_end(c, next, rule->letters, 0);
    if (!may_prefix) return at;
    size_t end = run_end(c, next, rule->letters, 0);
    return end > next ? end : at;
}

static size_t others_end(const pre_cursor *c, size_t at, const pre_rule *rule)
{
    size_t begin = c->text[at] == ' ' ? at + 1 : at, end = run_end(c, begin, rule->others, 0);
    if (end == begin) return at;
    if (rule->tail != PRE_TAIL_NONE)
        while (!at_end(c, end) && (is_line_end(c->text[end]) || (rule->tail == PRE_TAIL_NEWLINES_SLASHES && c->text[end] == '/')))
            end++;
    return end;
}

/* \s*[\r\n]+ if the rule has it, else \s+(?!\S), else \s+ */
static size_t space_end(const pre_cursor *c, size_t at, const pre_rule *rule)
{
    size_t end = at, last = at, after_line_end = 0;
    while (!at_end(c, end)) {
        size_t next;
        if (!(class_at(c, end, &next) & UNI_SPACE)) break;
        if (is_line_end(c->text[end])) after_line_end = next;
        last = end;
        end = next;
    }
    if (rule->newlines && after_line_end) return after_line_end;
    return at_end(c, end) || last == at ? end : last; /* the last space belongs to what follows */
}

size_t pre_match_words(const pre_cursor *c, size_t at, const pre_rule *rule)
{
    size_t next, end;
    uint8_t first = class_at(c, at, &next);
    char byte = c->text[at];
    if (rule->han_apart && (first & UNI_HAN)) {
        while (!at_end(c, next) && (class_at(c, next, &end) & UNI_HAN)) next = end;
        return next;
    }
    if (byte == '\'' && !rule->cased && (end = contraction_end(c, at, rule->contractions)) > at) return end;
    if (rule->ascii_punctuation_word && (unsigned char)byte < 0x80 && unicode_in(first, UNI_PUNCTUATION | UNI_SYMBOL)) {
        for (end = next; !at_end(c, end) && is_ascii_letter(c->text[end]);) end++;
        if (end > next) return end;
    }
    if ((end = word_end(c, at, next, first, rule)) > at) return end;
    if (unicode_in(first, rule->numbers)) return run_end(c, at, rule->numbers, rule->digits_max);
    if (rule->prefix_is_space && byte == ' ' && (end = run_end(c, next, rule->numbers, 0)) > next) return end;
    if ((end = others_end(c, at, rule)) > at) return end;
    return first & UNI_SPACE ? space_end(c, at, rule) : at;
}

size_t pre_match_class(const pre_cursor *c, size_t at, const pre_rule *rule)
{
    size_t next, begin = at;
    if (rule->prefix_is_space && (class_at(c, at, &next) & UNI_SPACE)) begin = next;
    size_t end = run_end(c, begin, rule->letters, rule->digits_max);
    return end > begin ? end : at;
}

static bool in_ranges(const pre_range *r, uint32_t cp)
{
    for (; r->last; r++)
        if (cp <= r->last) return cp >= r->first;
    return false;
}

size_t pre_match_ranges(const pre_cursor *c, size_t at, const pre_rule *rule)
{
    size_t begin = at, end;
    if (rule->prefix_is_space && (class_at(c, at, &end) & UNI_SPACE)) begin = end;
    for (end = begin; !at_end(c, end);) {
        uint32_t cp;
        int length = utf8_decode(c->text + end, c->end - end, &cp);
        if (!in_ranges(rule->ranges, cp)) break;
        end += (size_t)length;
    }
    return end > begin ? end : at;
}

size_t pre_match_newline(const pre_cursor *c, size_t at, const pre_rule *rule) { return is_line_end(c->text[at]) ? at + 1 : at; }

size_t pre_match_trailing_space(const pre_cursor *c, size_t at, const pre_rule *rule)
{
    size_t before = at, next;
    if (at > c->start) {
        do before--;
        while (before > c->start && ((unsigned char)c->text[before] & 0xC0) == 0x80 && at - before < 4);
        if (class_at(c, before, &next) & UNI_SPACE && next == at) return at; /* its run was tried from its beginning */
    }
    size_t end = run_end(c, at, UNI_ANY_SPACE, 0);
    return at_end(c, end) ? end : at;
}

size_t pre_match_ascii_punctuation(const pre_cursor *c, size_t at, const pre_rule *rule)
{
    size_t next;
    while (!at_end(c, at)) {
        bool in = unicode_in(class_at(c, at, &next), UNI_PUNCTUATION);
        if (!in)
            for (const char *p = "$+<=>^~|"; *p; p++) in |= c->text[at] == *p;
        if (!in) break;
        at = next;
    }
    return at;
}

size_t pre_match_three_digits(const pre_cursor *c, size_t at, const pre_rule *rule)
{
    if (c->end - at < 3) return at;
    for (int i = 0; i < 3; i++)
        if (c->text[at + (size_t)i] < '0' || c->text[at + (size_t)i] > '9') return at;
    return at + 3;
}

/* [一-龥぀-ゟ゠-ヿ] */
const pre_range pre_ranges_deepseek_v3_cjk[] = {
    {0x3040, 0x309F}, {0x30A0, 0x30FF}, {0x4E00, 0x9FA5}, {0, 0},
};
/* [一-龥ࠀ-一가-퟿] */
const pre_range pre_ranges_deepseek_cjk[] = {
    {0x800, 0x4E00}, {0x4E00, 0x9FA5}, {0xAC00, 0xD7FF}, {0, 0},
};
/* [!-/:-~！-／：-～‘-‟　-。] */
const pre_range pre_ranges_deepseek_punctuation[] = {
    {0x21, 0x2F}, {0x3A, 0x7E}, {0x2018, 0x201F}, {0x3000, 0x3002}, {0xFF01, 0xFF0F}, {0xFF1A, 0xFF5E}, {0, 0},
};
/* The letters of scripts with two cases, as its pattern lists them. */
const pre_range pre_ranges_deepseek_letters[] = {
    {0x41, 0x5A}, {0x61, 0x7A}, {0xB5, 0xB5}, {0xC0, 0xD6}, {0xD8, 0xF6}, {0xF8, 0x1BA}, {0x1BC, 0x1BF}, {0x1C4, 0x293},
    {0x295, 0x2AF}, {0x370, 0x373}, {0x376, 0x376}, {0x377, 0x377}, {0x37B, 0x37D}, {0x37F, 0x37F}, {0x386, 0x386},
    {0x388, 0x38A}, {0x38C, 0x38C}, {0x38E, 0x3A1}, {0x3A3, 0x3F5}, {0x3F7, 0x481}, {0x48A, 0x52F}, {0x531, 0x556},
    {0x10A0, 0x10C5}, {0x13A0, 0x13F5}, {0x13F8, 0x13FD}, {0x1C90, 0x1CBA}, {0x1CBD, 0x1CBF}, {0x1D00, 0x1D2B},
    {0x1D6B, 0x1D77}, {0x1D79, 0x1D9A}, {0x1E00, 0x1F15}, {0x1F18, 0x1F1D}, {0x1F20, 0x1F45}, {0x1F48, 0x1F4D},
    {0x1F50, 0x1F57}, {0x1F59, 0x1F59}, {0x1F5B, 0x1F5B}, {0x1F5D, 0x1F5D}, {0x1F5F, 0x1F7D}, {0x1F80, 0x1FB4},
    {0x1FB6, 0x1FBC}, {0x1FBE, 0x1FBE}, {0x1FC2, 0x1FC4}, {0x1FC6, 0x1FCC}, {0x1FD0, 0x1FD3}, {0x1FD6, 0x1FDB},
    {0x1FE0, 0x1FEC}, {0x1FF2, 0x1FF4}, {0x1FF6, 0x1FFC}, {0x2102, 0x2102}, {0x2107, 0x2107}, {0x210A, 0x2113},
    {0x2115, 0x2115}, {0x2119, 0x211D}, {0x2124, 0x2124}, {0x2126, 0x2126}, {0x2128, 0x2128}, {0x212A, 0x212D},
    {0x212F, 0x2134}, {0x2139, 0x2139}, {0x213C, 0x213F}, {0x2145, 0x2149}, {0x214E, 0x214E}, {0x2183, 0x2183},
    {0x2184, 0x2184}, {0x2C00, 0x2C7B}, {0x2C7E, 0x2CE4}, {0x2CEB, 0x2CEE}, {0x2CF2, 0x2CF2}, {0x2CF3, 0x2CF3},
    {0xA640, 0xA66D}, {0xA680, 0xA69B}, {0xA722, 0xA76F}, {0xA771, 0xA787}, {0xA78B, 0xA78E}, {0xAB70, 0xABBF},
    {0xFB00, 0xFB06}, {0xFB13, 0xFB17}, {0xFF21, 0xFF3A}, {0xFF41, 0xFF5A}, {0x10400, 0x1044F}, {0x104B0, 0x104D3},
    {0x104D8, 0x104FB}, {0x10C80, 0x10CB2}, {0x10CC0, 0x10CF2}, {0x118A0, 0x118DF}, {0x1E900, 0x1E943}, {0, 0},
};
