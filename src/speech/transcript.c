// Transcript and value parsing. Every byte is hostile: strict UTF-8, every length bounded, names restricted.
// What words sound like is not known here.
#include "speech/transcript.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

/** Bytes of the code point at s (n left), 0 when it is not strict UTF-8; *code receives it. */
static size_t utf8_step(const unsigned char *s, size_t n, uint32_t *code)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len;
    uint32_t c;

    if (n == 0 || s[0] == 0)
        return 0;
    if (s[0] < 0x80) {
        *code = s[0];
        return 1;
    }
    len = s[0] >= 0xF0 && s[0] < 0xF8   ? 4
          : s[0] >= 0xE0 && s[0] < 0xF0 ? 3
          : s[0] >= 0xC2 && s[0] < 0xE0 ? 2
                                        : 0;
    if (len == 0 || len > n)
        return 0;
    c = s[0] & (0xFFu >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if ((s[i] & 0xC0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3Fu);
    }
    if (c < least[len] || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF))
        return 0;
    *code = c;
    return len;
}

bool pz_utf8_valid(const char *s, size_t n)
{
    uint32_t c;

    while (n) {
        size_t k = utf8_step((const unsigned char *)s, n, &c);

        if (!k)
            return false;
        s += k;
        n -= k;
    }
    return true;
}

static bool is_space(uint32_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f' || c == 0x85 ||
           c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200B) || c == 0x2028 || c == 0x2029 ||
           c == 0x202F || c == 0x205F || c == 0x3000 || c == 0xFEFF;
}

/** Part of a word: letters and digits of any script, and marks on them. */
static bool is_word_char(uint32_t c)
{
    if (c < 0x80)
        return isalnum((int)c);
    if (is_space(c))
        return false;
    return !(c < 0xC0 && c != 0xAA && c != 0xB5 && c != 0xBA) && c != 0xD7 && c != 0xF7 &&
           !(c >= 0x2010 && c <= 0x206F) && !(c >= 0x3001 && c <= 0x3003) && !(c >= 0x3008 && c <= 0x3011) &&
           !(c >= 0xFF01 && c <= 0xFF0F) && c != 0xFF1A && c != 0xFF1B && c != 0xFF1F && c != 0x964 &&
           c != 0x965;
}

static bool makes_pause(uint32_t c)
{
    return c == ',' || c == '.' || c == ';' || c == ':' || c == '!' || c == '?' || c == 0x2013 ||
           c == 0x2014 || c == 0x2026 || c == 0x3001 || c == 0x3002 || c == 0xFF0C || c == 0x964;
}

struct parser {
    struct pz_log *log;
    struct pz_transcript *t;
    int cap_words, cap_variables;
    char word[64];
    size_t word_n, keep_n; /* bytes so far; bytes up to the last word character */
    bool pause;
    int variable;
    size_t at; /* byte position, for messages */
};

static enum pz_status end_word(struct parser *p)
{
    struct pz_transcript *t = p->t;
    struct pz_transcript_word *w;

    p->word_n = 0;
    if (p->keep_n == 0) {
        if (p->pause && t->n_words)
            t->words[t->n_words - 1].pause_after = true;
        p->pause = false;
        return PZ_OK;
    }
    if (t->n_words == PZ_TRANSCRIPT_MAX_WORDS)
        return pz_fail(p->log, PZ_ERR_INPUT, "transcript: more than %d words", PZ_TRANSCRIPT_MAX_WORDS);
    if (t->n_words == p->cap_words) {
        int want = p->cap_words ? p->cap_words * 2 : 64;
        void *m = t->words ? pz_regrow(t->words, (size_t)t->n_words, (size_t)want, sizeof *t->words)
                           : pz_calloc((size_t)want, sizeof *t->words);

        if (!m)
            return PZ_ERR_NOMEM;
        t->words = m;
        p->cap_words = want;
    }
    w = &t->words[t->n_words++];
    memcpy(w->text, p->word, p->keep_n);
    w->text[p->keep_n] = 0;
    w->variable = p->variable;
    w->pause_after = p->pause;
    p->keep_n = 0;
    p->pause = false;
    return PZ_OK;
}

/** One code point of running text. */
static enum pz_status take_char(struct parser *p, const char *s, size_t k, uint32_t c)
{
    if (is_space(c))
        return end_word(p);
    if (c < 0x20 || c == 0x7F)
        return pz_fail(p->log, PZ_ERR_INPUT,
                       "transcript: control character at byte %zu; save it as plain text", p->at);
    if (!is_word_char(c) && p->keep_n == 0) { // punctuation in front of a word
        p->pause |= makes_pause(c);
        return PZ_OK;
    }
    if (p->word_n + k >= sizeof p->word)
        return pz_fail(p->log, PZ_ERR_INPUT, "transcript: word of more than %zu bytes at byte %zu",
                       sizeof p->word - 1, p->at);
    if (is_word_char(c) && p->pause && p->keep_n && p->word_n > p->keep_n) {
        // "wait...what", "one,two": two words with a pause; "3.5", "o'clock" and "push-ups" stay one.
        bool number = isdigit((unsigned char)p->word[p->keep_n - 1]) && c < 0x80 && isdigit((int)c);

        if (!number) {
            enum pz_status st = end_word(p);

            if (st < PZ_OK)
                return st;
        }
        p->pause = false;
    }
    memcpy(p->word + p->word_n, s, k);
    p->word_n += k;
    if (is_word_char(c))
        p->keep_n = p->word_n;
    else
        p->pause |= makes_pause(c);
    return PZ_OK;
}

enum pz_status pz_variable_name(struct pz_log *log, const char *in, char out[65])
{
    size_t n = strlen(in);

    out[0] = 0;
    if (n < 1 || n > 64 || !(isalpha((unsigned char)in[0]) || in[0] == '_'))
        return pz_fail(log, PZ_ERR_INPUT,
                       "variable name \"%.64s\": 1 to 64 letters, digits, '_' or '-', a letter first", in);
    for (size_t i = 0; i < n; i++) {
        if (!isalnum((unsigned char)in[i]) && in[i] != '_' && in[i] != '-') {
            out[0] = 0;
            return pz_fail(log, PZ_ERR_INPUT,
                           "variable name \"%.64s\": '%c' is not a letter, digit, '_' or '-'", in,
                           isprint((unsigned char)in[i]) ? in[i] : '?');
        }
        out[i] = in[i] == '-' ? '_' : in[i];
    }
    out[n] = 0;
    return PZ_OK;
}

/** "{name=spoken words}" whose '{' is at s[0]; *used receives its bytes. */
static enum pz_status take_variable(struct parser *p, const char *s, size_t n, int *cap, size_t *used)
{
    struct pz_transcript *t = p->t;
    const char *close = memchr(s, '}', n), *eq;
    struct pz_transcript_variable *v;
    char name[66];
    size_t len;
    enum pz_status st;

    eq = close ? memchr(s, '=', (size_t)(close - s)) : NULL;
    if (!eq)
        return pz_fail(p->log, PZ_ERR_INPUT,
                       "transcript: '{' at byte %zu does not begin {name=spoken words}; write {{ for a brace",
                       p->at);
    len = (size_t)(eq - s) - 1;
    if (len >= sizeof name)
        len = sizeof name - 1;
    memcpy(name, s + 1, len);
    name[len] = 0;
    if (t->n_variables == *cap) {
        int want = *cap ? *cap * 2 : 8;
        void *m = t->variables
                      ? pz_regrow(t->variables, (size_t)t->n_variables, (size_t)want, sizeof *t->variables)
                      : pz_calloc((size_t)want, sizeof *t->variables);

        if (!m)
            return PZ_ERR_NOMEM;
        t->variables = m;
        *cap = want;
    }
    v = &t->variables[t->n_variables];
    *v = (struct pz_transcript_variable){.first_word = t->n_words};
    st = pz_variable_name(p->log, name, v->name);
    if (st < PZ_OK)
        return st;
    len = (size_t)(close - eq) - 1;
    if (len >= sizeof v->spoken)
        return pz_fail(p->log, PZ_ERR_INPUT, "transcript: variable %s: more than %zu bytes of spoken words",
                       v->name, sizeof v->spoken - 1);
    memcpy(v->spoken, eq + 1, len);
    v->spoken[len] = 0;
    if (memchr(v->spoken, '{', len))
        return pz_fail(p->log, PZ_ERR_INPUT, "transcript: variable %s: '{' inside its words", v->name);
    p->variable = t->n_variables++;
    for (size_t i = 0; i < len;) {
        uint32_t c = 0;
        size_t k = utf8_step((const unsigned char *)v->spoken + i, len - i, &c);

        if (!k)
            return pz_fail(p->log, PZ_ERR_INPUT, "transcript: not UTF-8 at byte %zu", p->at);
        st = take_char(p, v->spoken + i, k, c);
        if (st < PZ_OK)
            return st;
        i += k;
    }
    st = end_word(p);
    if (st < PZ_OK)
        return st;
    p->variable = -1;
    v->n_words = t->n_words - v->first_word;
    if (v->n_words == 0)
        return pz_fail(p->log, PZ_ERR_INPUT, "transcript: variable %s has no spoken words: write {%s=words}",
                       v->name, v->name);
    *used = (size_t)(close - s) + 1;
    return PZ_OK;
}

enum pz_status pz_transcript_parse(struct pz_log *log, const char *text, size_t n, struct pz_transcript *t)
{
    enum pz_status st = PZ_OK;
    struct parser p = {.log = log, .t = t, .variable = -1};

    *t = (struct pz_transcript){0};
    if (n > PZ_TRANSCRIPT_MAX_BYTES)
        return pz_fail(log, PZ_ERR_INPUT, "transcript: more than %d bytes", PZ_TRANSCRIPT_MAX_BYTES);
    for (size_t i = 0; i < n;) {
        uint32_t c = 0;
        size_t k = utf8_step((const unsigned char *)text + i, n - i, &c);

        p.at = i;
        if (!k) {
            st = pz_fail(log, PZ_ERR_INPUT, "transcript: not UTF-8 text at byte %zu; save it as UTF-8", i);
            goto fail;
        }
        if ((c == '{' || c == '}') && i + 1 < n && text[i + 1] == text[i]) {
            i += 2; // a literal brace is punctuation: nothing is said
            PZ_TRY(end_word(&p));
            continue;
        }
        if (c == '{') {
            PZ_TRY(end_word(&p));
            PZ_TRY(take_variable(&p, text + i, n - i, &p.cap_variables, &k));
            i += k;
            continue;
        }
        if (c == '}') {
            st = pz_fail(log, PZ_ERR_INPUT,
                         "transcript: '}' at byte %zu without its '{'; write }} for a brace", i);
            goto fail;
        }
        PZ_TRY(take_char(&p, text + i, k, c));
        i += k;
    }
    PZ_TRY(end_word(&p));
    if (t->n_words == 0) {
        st = pz_fail(log, PZ_ERR_INPUT, "transcript: no words in it");
        goto fail;
    }
    return PZ_OK;
fail:
    pz_transcript_free(t);
    return st;
}

void pz_transcript_free(struct pz_transcript *t)
{
    pz_free(t->words);
    pz_free(t->variables);
    *t = (struct pz_transcript){0};
}

enum pz_status pz_value_check(struct pz_log *log, const char *name, const char *value)
{
    size_t n = strlen(value);
    int chars = 0;
    bool speech = false;

    if (!pz_utf8_valid(value, n))
        return pz_fail(log, PZ_ERR_INPUT, "%s: the value is not UTF-8 text", name);
    while (n) {
        uint32_t c = 0;
        size_t k = utf8_step((const unsigned char *)value, n, &c);

        if (c < 0x20 || c == 0x7F || (c >= 0x80 && c < 0xA0))
            return pz_fail(log, PZ_ERR_INPUT, "%s: the value has a control character; give plain text", name);
        speech |= is_word_char(c);
        if (++chars > PZ_VALUE_MAX_CHARS)
            return pz_fail(log, PZ_ERR_INPUT,
                           "%s: the value has more than %d characters; a slot takes a few words", name,
                           PZ_VALUE_MAX_CHARS);
        value += k;
        n -= k;
    }
    if (!speech)
        return pz_fail(log, PZ_ERR_INPUT, "%s: the value is empty; give the words to say", name);
    return PZ_OK;
}
