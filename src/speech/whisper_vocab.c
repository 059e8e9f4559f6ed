// Byte-pair tokens of Whisper: the rank file read as a hostile one, text split and merged into tokens, and
// tokens joined into text and words. Unicode's classes come from utf8proc.
#include "speech/whisper_vocab.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/file.h"
#include "base/mem.h"

#define MAX_FILE ((size_t)64 << 20)
#define MAX_RANKS (1 << 20)
#define FIXED (1 + 1 + 6 + PZ_WHISPER_TIMESTAMPS) /* special tokens beside the languages */

const char *const pz_whisper_languages[PZ_WHISPER_LANGUAGES] = {
    "en", "zh", "de", "es", "ru", "ko", "fr", "ja", "pt",  "tr", "pl", "ca", "nl", "ar", "sv", "it", "id",
    "hi", "fi", "vi", "he", "uk", "el", "ms", "cs", "ro",  "da", "hu", "ta", "no", "th", "ur", "hr", "bg",
    "lt", "la", "mi", "ml", "cy", "sk", "te", "fa", "lv",  "bn", "sr", "az", "sl", "kn", "et", "mk", "br",
    "eu", "is", "hy", "ne", "mn", "bs", "kk", "sq", "sw",  "gl", "mr", "pa", "si", "km", "sn", "yo", "so",
    "af", "oc", "ka", "be", "tg", "sd", "gu", "am", "yi",  "lo", "uz", "fo", "ht", "ps", "tk", "nn", "mt",
    "sa", "lb", "my", "bo", "tl", "mg", "as", "tt", "haw", "ln", "ha", "ba", "jw", "su", "yue"};

struct token {
    uint32_t at, n; /* in `bytes` */
};

struct pz_whisper_vocab {
    struct pz_whisper_special special;
    int n_ranks, n_vocab;
    struct token *tokens;
    unsigned char *bytes;
    int *slots; /* hash table of ranks, −1 empty */
    uint32_t slot_mask;
};

int pz_whisper_language_find(const char *code)
{
    for (int i = 0; code && i < PZ_WHISPER_LANGUAGES; i++)
        if (strcmp(pz_whisper_languages[i], code) == 0)
            return i;
    return -1;
}

const struct pz_whisper_special *pz_whisper_vocab_special(const struct pz_whisper_vocab *v)
{
    return &v->special;
}

int pz_whisper_vocab_size(const struct pz_whisper_vocab *v)
{
    return v->n_vocab;
}

void pz_whisper_vocab_close(struct pz_whisper_vocab **v)
{
    if (!v || !*v)
        return;
    pz_free((*v)->tokens);
    pz_free((*v)->bytes);
    pz_free((*v)->slots);
    pz_free(*v);
    *v = NULL;
}

/* ---- the rank file ---- */

static uint32_t hash(const unsigned char *s, size_t n)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ s[i]) * 16777619u;
    return h ^ h >> 15;
}

/* Rank of a byte string, −1 when there is none. */
static int rank_of(const struct pz_whisper_vocab *v, const unsigned char *s, size_t n)
{
    for (uint32_t i = hash(s, n) & v->slot_mask; v->slots[i] >= 0; i = (i + 1) & v->slot_mask) {
        const struct token *t = &v->tokens[v->slots[i]];
        if (t->n == n && memcmp(v->bytes + t->at, s, n) == 0)
            return v->slots[i];
    }
    return -1;
}

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Bytes of `n` base64 characters, −1 when it is none. A lone "=" is the empty string. */
static int base64(const char *s, size_t n, unsigned char *out)
{
    uint32_t bits = 0;
    int have = 0, made = 0;
    while (n && s[n - 1] == '=')
        n--;
    for (size_t i = 0; i < n; i++) {
        int d = base64_digit(s[i]);
        if (d < 0)
            return -1;
        bits = bits << 6 | (uint32_t)d;
        have += 6;
        if (have >= 8) {
            have -= 8;
            out[made++] = (unsigned char)(bits >> have);
        }
    }
    return n % 4 == 1 ? -1 : made;
}

struct reader {
    struct pz_log *log;
    const char *name, *text, *end;
    int line;
};

static enum pz_status broken(const struct reader *r, const char *what)
{
    return pz_fail(r->log, PZ_ERR_FORMAT, "'%s', line %d: %s", r->name, r->line, what);
}

/* One line: "base64 rank". */
static enum pz_status read_line(struct reader *r, struct pz_whisper_vocab *v, size_t *filled, bool *seen)
{
    const char *stop = memchr(r->text, '\n', (size_t)(r->end - r->text)), *p = r->text;
    stop = stop ? stop : r->end;
    r->line++;
    r->text = stop < r->end ? stop + 1 : stop;
    if (stop > p && stop[-1] == '\r')
        stop--;
    if (stop == p)
        return PZ_OK;
    const char *gap = memchr(p, ' ', (size_t)(stop - p));
    if (!gap || gap == p || gap + 1 == stop || stop - gap > 8)
        return broken(r, "not of the form \"base64 rank\"");
    int rank = 0;
    for (const char *d = gap + 1; d < stop; d++) {
        if (*d < '0' || *d > '9')
            return broken(r, "the rank is no number");
        rank = 10 * rank + (*d - '0');
    }
    if (rank >= v->n_ranks || seen[rank])
        return broken(r, "a rank is missing or appears twice");
    int n = base64(p, (size_t)(gap - p), v->bytes + *filled);
    if (n < 0)
        return broken(r, "not base64");
    v->tokens[rank] = (struct token){(uint32_t)*filled, (uint32_t)n};
    *filled += (size_t)n;
    seen[rank] = true;
    v->special.multilingual |= n == 0;
    return PZ_OK;
}

static enum pz_status fill_table(struct reader *r, struct pz_whisper_vocab *v)
{
    for (int i = 0; i < v->n_ranks; i++) {
        const struct token *t = &v->tokens[i];
        if (t->n == 0) /* keeps its rank, never made of text */
            continue;
        if (rank_of(v, v->bytes + t->at, t->n) >= 0)
            return broken(r, "a token appears twice");
        uint32_t at = hash(v->bytes + t->at, t->n) & v->slot_mask;
        while (v->slots[at] >= 0)
            at = (at + 1) & v->slot_mask;
        v->slots[at] = i;
    }
    for (int c = 0; c < 256; c++)
        if (rank_of(v, &(unsigned char){(unsigned char)c}, 1) < 0)
            return broken(r, "a single byte has no token");
    return PZ_OK;
}

static enum pz_status set_special(const struct reader *r, struct pz_whisper_vocab *v)
{
    struct pz_whisper_special *s = &v->special;
    s->n_languages = v->n_vocab - v->n_ranks - FIXED;
    if (s->n_languages < 1 || s->n_languages > PZ_WHISPER_LANGUAGES)
        return pz_fail(r->log, PZ_ERR_WEIGHTS,
                       "'%s' has %d ranks: they do not belong to a model of %d tokens", r->name, v->n_ranks,
                       v->n_vocab);
    s->end_of_text = v->n_ranks;
    s->start = s->end_of_text + 1;
    s->first_language = s->start + 1;
    s->translate = s->first_language + s->n_languages;
    s->transcribe = s->translate + 1;
    s->start_of_lm = s->translate + 2;
    s->start_of_prev = s->translate + 3;
    s->no_speech = s->translate + 4;
    s->no_timestamps = s->translate + 5;
    s->first_timestamp = s->translate + 6;
    return PZ_OK;
}

static int count_lines(const char *text, size_t n)
{
    int lines = 0;
    for (size_t i = 0; i < n && lines <= MAX_RANKS; i++)
        lines += text[i] != '\n' && text[i] != '\r' && (i == 0 || text[i - 1] == '\n');
    return lines;
}

enum pz_status pz_whisper_vocab_parse(struct pz_log *log, const char *text, size_t n, const char *name,
                                      int n_vocab, struct pz_whisper_vocab **out)
{
    struct reader r = {.log = log, .name = name, .text = text, .end = text + n};
    struct pz_whisper_vocab *v = *out = pz_calloc(1, sizeof *v);
    enum pz_status st = PZ_ERR_NOMEM;
    bool *seen = NULL;
    size_t filled = 0;
    uint32_t slots = 1024;
    if (!v)
        goto memory;
    v->n_vocab = n_vocab;
    v->n_ranks = count_lines(text, n);
    if (n > MAX_FILE || v->n_ranks > MAX_RANKS || v->n_ranks < 256) {
        st = pz_fail(log, PZ_ERR_FORMAT, "'%s' is no list of ranks", name);
        goto fail;
    }
    while (slots < 2 * (uint32_t)v->n_ranks)
        slots *= 2;
    v->slot_mask = slots - 1;
    v->tokens = pz_calloc((size_t)v->n_ranks, sizeof *v->tokens);
    v->bytes = pz_calloc(n + 4, 1);
    v->slots = pz_calloc(slots, sizeof *v->slots);
    seen = pz_calloc((size_t)v->n_ranks, sizeof *seen);
    if (!v->tokens || !v->bytes || !v->slots || !seen)
        goto memory;
    memset(v->slots, 0xff, slots * sizeof *v->slots);
    while (r.text < r.end)
        PZ_TRY(read_line(&r, v, &filled, seen));
    PZ_TRY(set_special(&r, v));
    PZ_TRY(fill_table(&r, v));
    pz_free(seen);
    return PZ_OK;
memory:
    st = pz_fail(log, PZ_ERR_NOMEM, "no memory for '%s'", name);
fail:
    pz_free(seen);
    pz_whisper_vocab_close(out);
    return st;
}

enum pz_status pz_whisper_vocab_open(struct pz_log *log, const char *path, int n_vocab,
                                     struct pz_whisper_vocab **v)
{
    char *text = NULL;
    size_t n = 0;
    *v = NULL;
    if (!pz_file_exists(path))
        return pz_fail(log, PZ_ERR_WEIGHTS, "'%s', the words of Whisper, is missing", path);
    enum pz_status st = pz_file_read(log, path, MAX_FILE, &text, &n);
    if (st >= PZ_OK)
        st = pz_whisper_vocab_parse(log, text, n, path, n_vocab, v);
    pz_free(text);
    return st;
}

/* ---- text to tokens ---- */

enum kind { LETTER, NUMBER, SPACE, OTHER };

static bool is_space(int32_t c)
{
    return (c >= 9 && c <= 13) || c == ' ' || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
           c == 0x3000;
}

/* Class of the character at s; its length in *len. A broken byte is a character of its own. */
static enum kind kind_at(const char *s, size_t n, size_t *len)
{
    utf8proc_int32_t c = -1;
    utf8proc_ssize_t k = utf8proc_iterate((const utf8proc_uint8_t *)s, (utf8proc_ssize_t)n, &c);
    *len = k > 0 ? (size_t)k : 1;
    if (k <= 0)
        return OTHER;
    if (is_space(c))
        return SPACE;
    utf8proc_category_t g = utf8proc_category(c);
    if (g >= UTF8PROC_CATEGORY_LU && g <= UTF8PROC_CATEGORY_LO)
        return LETTER;
    return g >= UTF8PROC_CATEGORY_ND && g <= UTF8PROC_CATEGORY_NO ? NUMBER : OTHER;
}

static size_t contraction(const char *s, size_t n)
{
    static const char *const ends[] = {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        size_t k = strlen(ends[i]);
        if (n >= k && memcmp(s, ends[i], k) == 0)
            return k;
    }
    return 0;
}

/* Bytes of the first piece of a text that is not empty. */
static size_t piece(const char *s, size_t n)
{
    size_t k = contraction(s, n), len, last = 0;
    if (k)
        return k;
    size_t from = s[0] == ' ' ? 1 : 0;
    enum kind kind = from < n ? kind_at(s + from, n - from, &len) : SPACE;
    if (kind != SPACE) {
        for (k = from; k < n && kind_at(s + k, n - k, &len) == kind;)
            k += len;
        return k;
    }
    for (k = 0; k < n && kind_at(s + k, n - k, &len) == SPACE; k += len)
        last = len;
    return k < n && k > last ? k - last : k; /* one space is left to what follows */
}

/* Merge the bytes of a piece into tokens. */
static int merge(const struct pz_whisper_vocab *v, const unsigned char *s, size_t n, uint32_t *starts,
                 int *ids, int have, int max)
{
    size_t parts = n;
    int whole = rank_of(v, s, n);
    if (whole >= 0) {
        if (have < max)
            ids[have] = whole;
        return have + 1;
    }
    for (size_t i = 0; i <= n; i++)
        starts[i] = (uint32_t)i;
    for (;;) {
        int best = -1;
        size_t at = 0;
        for (size_t i = 0; i + 2 <= parts; i++) {
            int r = rank_of(v, s + starts[i], starts[i + 2] - starts[i]);
            if (r >= 0 && (best < 0 || r < best)) {
                best = r;
                at = i;
            }
        }
        if (best < 0)
            break;
        memmove(starts + at + 1, starts + at + 2, (parts - at - 1) * sizeof *starts);
        parts--;
    }
    for (size_t i = 0; i < parts; i++, have++)
        if (have < max)
            ids[have] = rank_of(v, s + starts[i], starts[i + 1] - starts[i]);
    return have;
}

int pz_whisper_vocab_encode(const struct pz_whisper_vocab *v, const char *text, size_t n, int *ids, int max)
{
    uint32_t *starts = pz_calloc(n + 2, sizeof *starts);
    int have = 0;
    if (!starts)
        return -1;
    for (size_t at = 0, k; at < n; at += k) {
        k = piece(text + at, n - at);
        have = merge(v, (const unsigned char *)text + at, k, starts, ids, have, max);
    }
    pz_free(starts);
    return have;
}

static int by_value(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

int pz_whisper_vocab_silent(const struct pz_whisper_vocab *v, int *ids, int max)
{
    static const char *const marks[] = {
        "\"",  "#",  "(",  ")",  "*",   "+",  "/",  ":",   ";",   "<",  "=",  ">",  "@",  "[",   "\\",  "]",
        "^",   "_",  "`",  "{",  "|",   "}",  "~",  "「",  "」",  "『", "』", "<<", ">>", "<<<", ">>>", "--",
        "---", "-(", "-[", "('", "(\"", "((", "))", "(((", ")))", "[[", "]]", "{{", "}}", "♪♪",  "♪♪♪"};
    static const char *const notes[] = {"♩", "♪", "♫", "♬", "♭", "♮", "♯"};
    enum { MARKS = sizeof marks / sizeof *marks, NOTES = sizeof notes / sizeof *notes };
    int n = 0, unique = 0, t[8];
    for (int i = 0; i < 2 * (1 + MARKS + NOTES); i++) {
        const char *mark = i < 2            ? (i ? "'" : "-")
                           : i / 2 <= MARKS ? marks[i / 2 - 1]
                                            : notes[i / 2 - 1 - MARKS];
        char text[16];
        int len = snprintf(text, sizeof text, "%s%s", i < 2 || i % 2 ? " " : "", mark);
        int k = pz_whisper_vocab_encode(v, text, (size_t)len, t, 8);
        if (k < 0)
            return -1;
        /* hyphen and quote: never at the beginning of a word; a note may be several tokens */
        if ((k == 1 || i < 2 || i / 2 > MARKS) && n < max)
            ids[n++] = t[0];
    }
    qsort(ids, (size_t)n, sizeof *ids, by_value);
    for (int i = 0; i < n; i++)
        if (i == 0 || ids[i] != ids[unique - 1])
            ids[unique++] = ids[i];
    return unique;
}

/* ---- tokens to text ---- */

/* Bytes of a token (specials by their names); returns their number. */
static size_t token_bytes(const struct pz_whisper_vocab *v, int id, char name[32], const char **out)
{
    const struct pz_whisper_special *s = &v->special;
    *out = name;
    if (id < 0 || id >= s->first_timestamp)
        return 0;
    if (id < v->n_ranks) {
        *out = (const char *)v->bytes + v->tokens[id].at;
        return v->tokens[id].n;
    }
    static const char *const after[] = {"translate",   "transcribe", "startoflm",
                                        "startofprev", "nospeech",   "notimestamps"};
    const char *what = id == s->end_of_text ? "endoftext"
                       : id == s->start     ? "startoftranscript"
                       : id < s->translate  ? pz_whisper_languages[id - s->first_language]
                                            : after[id - s->translate];
    return (size_t)snprintf(name, 32, "<|%s|>", what);
}

/* Length of the character at s, or of the longest piece of one that is broken (*ok false). */
static size_t character(const unsigned char *s, size_t n, bool *ok)
{
    unsigned char c = s[0], lo = 0x80, hi = 0xbf;
    size_t want = c < 0x80                 ? 1
                  : c >= 0xc2 && c <= 0xdf ? 2
                  : c >= 0xe0 && c <= 0xef ? 3
                  : c >= 0xf0 && c <= 0xf4 ? 4
                                           : 0;
    *ok = want > 0;
    if (want < 2)
        return 1;
    lo = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : lo;
    hi = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : hi;
    for (size_t i = 1; i < want; i++) {
        if (i >= n || s[i] < lo || s[i] > hi) {
            *ok = false;
            return i;
        }
        lo = 0x80;
        hi = 0xbf;
    }
    return want;
}

char *pz_whisper_vocab_decode(const struct pz_whisper_vocab *v, const int *ids, int n)
{
    char name[32];
    const char *s;
    size_t bytes = 0, made = 0, len;
    for (int i = 0; i < n; i++)
        bytes += token_bytes(v, ids[i], name, &s);
    unsigned char *raw = pz_calloc(bytes + 1, 1);
    char *out = pz_calloc(3 * bytes + 1, 1);
    size_t at = 0;
    for (int i = 0; raw && out && i < n; i++) {
        size_t k = token_bytes(v, ids[i], name, &s);
        memcpy(raw + at, s, k);
        at += k;
    }
    for (at = 0; raw && out && at < bytes; at += len) {
        bool ok;
        len = character(raw + at, bytes - at, &ok);
        memcpy(out + made, ok ? (const void *)(raw + at) : "\xef\xbf\xbd", ok ? len : 3);
        made += ok ? len : 3;
    }
    if (!raw) {
        pz_free(out);
        out = NULL;
    }
    pz_free(raw);
    return out;
}

/* ---- words ---- */

static size_t characters(const char *s, const char *end)
{
    size_t n = 0;
    for (; *s && (!end || s < end); s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

static const char *nth(const char *s, size_t n)
{
    while (*s && n--)
        do
            s++;
        while (((unsigned char)*s & 0xc0) == 0x80);
    return s;
}

static bool without_spaces(const char *language)
{
    static const char *const codes[] = {"zh", "ja", "th", "lo", "my", "yue"};
    for (size_t i = 0; language && i < sizeof codes / sizeof *codes; i++)
        if (strcmp(codes[i], language) == 0)
            return true;
    return false;
}

/* ASCII punctuation alone, or nothing, between white space. */
static bool is_mark(const char *s)
{
    size_t n;
    while (*s && is_space((unsigned char)*s))
        s++;
    n = strlen(s);
    while (n && is_space((unsigned char)s[n - 1]))
        n--;
    /* the reference asks whether the text lies in the string of all marks, in their order */
    static const char all[] = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";
    for (size_t i = 0; i + n <= sizeof all - 1; i++)
        if (memcmp(all + i, s, n) == 0)
            return true;
    return false;
}

int pz_whisper_vocab_words(const struct pz_whisper_vocab *v, const char *language, const int *ids, int n,
                           int *ends)
{
    static const char broken_mark[] = "\xef\xbf\xbd";
    bool every = without_spaces(language);
    char *full = pz_whisper_vocab_decode(v, ids, n);
    size_t offset = 0;
    int words = 0, from = 0;
    for (int i = 0; full && i < n; i++) {
        char *text = pz_whisper_vocab_decode(v, ids + from, i + 1 - from), *bad;
        if (!text) {
            pz_free(full);
            return -1;
        }
        bad = strstr(text, broken_mark);
        if (!bad || strncmp(nth(full, offset + characters(text, bad)), broken_mark, 3) == 0) {
            bool starts =
                every || words == 0 || ids[from] >= v->special.end_of_text || text[0] == ' ' || is_mark(text);
            if (starts)
                words++;
            ends[words - 1] = i + 1;
            from = i + 1;
            offset += characters(text, NULL);
        }
        pz_free(text);
    }
    if (full && words && from < n)
        ends[words - 1] = n;
    pz_free(full);
    return full ? words : -1;
}
