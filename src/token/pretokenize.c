/* The passes of a pre-tokenizer, and the table of those that are known by name. The matchers are in pre_rules.c. */
#include "token/pretokenize.h"

#include <string.h>

#include "token/pre_rules.h"

struct pre_tokenizer {
    const char *names; /* separated by spaces */
    pre_rule passes[PRE_PASSES_MAX];
    bool ignore_merges, add_bos;
    const char *cuts_as; /* one whose expressions are known, and which differs in nothing but these two; NULL: none, or they are known by its own name */
};

/* The base pattern of today's models, with other letters, counts of digits and tails:
 * (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,k}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+ */
#define WORDS(contractions_, letters_, digits, tail_)                                                                   \
    .match = pre_match_words, .contractions = contractions_, .letters = letters_, .no_prefix = UNI_LETTER | UNI_NUMBER, \
    .numbers = UNI_NUMBER, .digits_max = digits, .others = (uint32_t)~((letters_) | UNI_NUMBER), .tail = tail_,         \
    .newlines = true
#define BASE(digits) {WORDS(PRE_ANY_CASE, UNI_LETTER, digits, PRE_TAIL_NEWLINES)}
/* 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
#define GPT2                                                                                                      \
    {                                                                                                             \
        .match = pre_match_words, .contractions = PRE_LOWER_CASE, .letters = UNI_LETTER, .prefix_is_space = true, \
        .numbers = UNI_NUMBER, .others = (uint32_t)~(UNI_LETTER | UNI_NUMBER)                                     \
    }
/* [punctuation of ASCII][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+ */
#define DEEPSEEK_WORDS                                                                                                      \
    {                                                                                                                       \
        .match = pre_match_words, .ascii_punctuation_word = true, .letters = UNI_LETTER | UNI_MARK,                         \
        .no_prefix = UNI_LETTER | UNI_PUNCTUATION | UNI_SYMBOL, .others = UNI_PUNCTUATION | UNI_SYMBOL,                     \
        .tail = PRE_TAIL_NEWLINES, .newlines = true                                                                         \
    }
#define DIGITS(max) {.match = pre_match_class, .letters = UNI_NUMBER, .digits_max = (max)}

static const pre_tokenizer known[] = {
    {.names = "gpt-2 phi-2 mpt olmo jais trillion granite-docling jina-es jina-de jina-v2-es jina-v2-de gigachat a.x-4.0 mellum "
              "modern-bert jina-v1-en jina-v2-code roberta-bpe",
     .passes = {GPT2}},
    {.names = "smollm starcoder refact command-r codeshell exaone minerva-7b mellum2", .passes = {DIGITS(1), GPT2}},
    {.names = "qwen2 deepseek-r1-qwen hunyuan stablelm2 megrez grok-2 bailingmoe bailingmoe2 llada-moe solar-open kormo f2llmv2",
     .passes = {BASE(1)}},
    {.names = "qwen35",
     .passes = {{WORDS(PRE_ANY_CASE, UNI_LETTER | UNI_MARK, 1, PRE_TAIL_NEWLINES)}}},
    {.names = "seed-coder", .passes = {{WORDS(PRE_ANY_CASE, UNI_LETTER, 1, PRE_TAIL_NONE)}}},
    {.names = "glm4 chatglm-bpe dbrx smaug-bpe", .passes = {BASE(3)}},
    {.names = "llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano",
     .passes = {BASE(3)}, .ignore_merges = true, .add_bos = true, .cuts_as = "glm4"},
    {.names = "minicpm5", .passes = {DIGITS(3), BASE(0)}, .ignore_merges = true},
    {.names = "gpt-4o llama4 kanana2 talkie minimax-m2", .passes = {{WORDS(PRE_ANY_CASE, UNI_LETTER, 3, PRE_TAIL_NEWLINES_SLASHES), .cased = true}}},
    {.names = "kimi-k2", .passes = {{WORDS(PRE_ANY_CASE, UNI_LETTER, 3, PRE_TAIL_NEWLINES), .cased = true, .han_apart = true}}},
    {.names = "tekken",
     .passes = {{WORDS(PRE_NO_CONTRACTIONS, UNI_LETTER, 1, PRE_TAIL_NEWLINES_SLASHES), .cased = true}},
     .ignore_merges = true, .add_bos = true},
    {.names = "deepseek-v3 hunyuan-dense joyai-llm",
     .passes = {DIGITS(3), {.match = pre_match_ranges, .ranges = pre_ranges_deepseek_v3_cjk}, DEEPSEEK_WORDS}},
    {.names = "deepseek-llm",
     .passes = {{.match = pre_match_newline},
                {.match = pre_match_ranges, .ranges = pre_ranges_deepseek_letters, .prefix_is_space = true},
                {.match = pre_match_ranges, .ranges = pre_ranges_deepseek_punctuation, .prefix_is_space = true},
                {.match = pre_match_trailing_space},
                {.match = pre_match_ranges, .ranges = pre_ranges_deepseek_cjk},
                DIGITS(0)}},
    {.names = "deepseek-coder",
     .passes = {{.match = pre_match_newline},
                {.match = pre_match_class, .letters = UNI_LETTER, .prefix_is_space = true},
                {.match = pre_match_class, .letters = UNI_PUNCTUATION, .prefix_is_space = true},
                {.match = pre_match_ranges, .ranges = pre_ranges_deepseek_cjk},
                DIGITS(1)}},
    {.names = "default",
     .passes = {{.match = pre_match_ascii_punctuation}, GPT2, DIGITS(0), {.match = pre_match_three_digits}}},
};

const pre_tokenizer *pre_tokenizer_find(const char *name)
{
    size_t n = strlen(name);
    if (!n || strchr(name, ' ')) return NULL;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        for (const char *p = known[i].names; (p = strstr(p, name)); p += n)
            if ((p == known[i].names || p[-1] == ' ') && (p[n] == ' ' || !p[n])) return &known[i];
    return NULL;
}

bool pre_tokenizer_ignores_merges(const pre_tokenizer *p) { return p->ignore_merges; }
bool pre_tokenizer_adds_bos(const pre_tokenizer *p) { return p->add_bos; }

/* ---- from tokenizer.json ---- */

#define PATTERN_CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define PATTERN_BASE(digits)                                                                                         \
    PATTERN_CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|" PATTERN_SPACE
#define PATTERN_SPACE "\\s+(?!\\S)|\\s+"
#define PATTERN_GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|" PATTERN_SPACE
#define PATTERN_UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define PATTERN_LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define PATTERN_CASED(suffix, digits)                                                                                   \
    "[^\\r\\n\\p{L}\\p{N}]?" PATTERN_UPPER "*" PATTERN_LOWER "+" suffix "|[^\\r\\n\\p{L}\\p{N}]?" PATTERN_UPPER         \
    "+" PATTERN_LOWER "*" suffix "|" digits "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|" PATTERN_SPACE

static const struct {
    const char *name;
    const char *patterns[PRE_PASSES_MAX];
} recognised[] = {
    {"gpt-2", {PATTERN_GPT2}},
    {"smollm", {"\\p{N}", PATTERN_GPT2}},
    {"qwen2", {PATTERN_BASE("\\p{N}")}},
    {"glm4", {PATTERN_BASE("\\p{N}{1,3}")}},
    {"minicpm5", {"\\p{N}{1,3}", PATTERN_BASE("\\p{N}+")}},
    {"qwen35",
     {PATTERN_CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|"
      PATTERN_SPACE}},
    {"seed-coder",
     {PATTERN_CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|\\s*[\\r\\n]+|" PATTERN_SPACE}},
    {"bailingmoe",
     {"'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]|" PATTERN_SPACE}},
    {"gpt-4o", {PATTERN_CASED(PATTERN_CONTRACTIONS "?", "\\p{N}{1,3}")}},
    {"tekken", {PATTERN_CASED("", "\\p{N}")}},
    {"deepseek-coder", {"[\r\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", "[一-龥ࠀ-一가-퟿]+", "\\p{N}"}},
    {"deepseek-v3",
     {"\\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+",
      "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|"
      "\\s*[\r\n]+|" PATTERN_SPACE}},
};

const char *pre_tokenizer_recognise(const char *const *patterns, size_t count)
{
    for (size_t i = 0; i < sizeof recognised / sizeof *recognised; i++) {
        size_t same = 0;
        while (same < count && same < PRE_PASSES_MAX && recognised[i].patterns[same] &&
               strcmp(recognised[i].patterns[same], patterns[same]) == 0)
            same++;
        if (same == count && (same == PRE_PASSES_MAX || !recognised[i].patterns[same])) return recognised[i].name;
    }
    return NULL;
}

const char *const *pre_tokenizer_patterns(const pre_tokenizer *p)
{
    const pre_tokenizer *as = p->cuts_as ? pre_tokenizer_find(p->cuts_as) : p;
    for (size_t i = 0; i < sizeof recognised / sizeof *recognised; i++)
        if (pre_tokenizer_find(recognised[i].name) == as) return recognised[i].patterns;
    return NULL;
}

/* ---- the passes ---- */

typedef struct split_job {
    const pre_tokenizer *p;
    pre_cursor cursor;
    pre_emit *emit;
    void *self;
    cj_diag *d;
} split_job;

static cj_err split(split_job *job, int pass, size_t start, size_t end)
{
    if (pass == PRE_PASSES_MAX || !job->p->passes[pass].match) return job->emit(job->self, start, end, job->d);
    const pre_rule *rule = &job->p->passes[pass];
    size_t gap = start;
    for (size_t at = start; at < end;) {
        job->cursor.start = start; /* deeper passes have moved them */
        job->cursor.end = end;
        size_t match_end = rule->match(&job->cursor, at, rule);
        if (match_end == at) {
            at = pre_next(&job->cursor, at);
            continue;
        }
        if (gap < at) TRY(split(job, pass + 1, gap, at));
        TRY(split(job, pass + 1, at, match_end));
        at = gap = match_end;
    }
    return gap < end ? split(job, pass + 1, gap, end) : CJ_OK;
}

cj_err pre_tokenizer_split(const pre_tokenizer *p, const unicode_table *u, const char *text, size_t n, pre_emit *emit,
                           void *self, cj_diag *d)
{
    split_job job = {.p = p, .cursor = {.table = u, .text = text}, .emit = emit, .self = self, .d = d};
    return split(&job, 0, 0, n);
}
