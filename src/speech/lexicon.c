// Pronunciation: CMU dictionary, flite's letter-to-sound, `--say`. IPA and likeness live in ipa.c.
//
// The dictionary is indexed once with a hash of line offsets (about 2 MB for 135 000 lines) over the mapped
// file.
#include "speech/lexicon.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "base/mem.h"
#include "speech/flite_say.h"
#include "speech/spell.h"

#define DICT_PATH "/usr/share/pocketsphinx/model/en-us/cmudict-en-us.dict"
#define SLOTS (1u << 19) /* power of two, at least twice the lines accepted */
#define MAX_LINES (SLOTS / 2)
#define WORD_MAX 64

struct pz_lexicon {
    struct pz_map map;
    char language[24]; /* "" = English */
    uint32_t *slots;   /* [SLOTS] offset of a line + 1, 0 = free; base forms only */
};

static uint32_t hash_word(const char *w, size_t n)
{
    uint32_t h = 2166136261u;

    for (size_t i = 0; i < n; i++)
        h = (h ^ (uint32_t)tolower((unsigned char)w[i])) * 16777619u;
    return h ^ h >> 15;
}

/** Length of the headword that starts a line. */
static size_t head_len(const struct pz_lexicon *l, size_t at)
{
    size_t n = 0;

    while (at + n < l->map.n_bytes && !isspace(l->map.data[at + n]))
        n++;
    return n;
}

enum pz_status pz_lexicon_open(struct pz_log *log, const char *dict_path, struct pz_lexicon **lex)
{
    const char *path = dict_path ? dict_path : DICT_PATH;
    enum pz_status st;
    struct pz_lexicon *l = pz_calloc(1, sizeof *l);
    uint32_t lines = 0;

    *lex = NULL;
    if (!l)
        return PZ_ERR_NOMEM;
    if (!pz_file_exists(path)) {
        st = pz_fail(log, PZ_ERR_WEIGHTS,
                     "pronunciation dictionary %s is missing; install the Debian package pocketsphinx-en-us",
                     path);
        goto fail;
    }
    PZ_TRY(pz_map_open(log, path, &l->map));
    l->slots = pz_calloc(SLOTS, sizeof *l->slots);
    if (!l->slots || l->map.n_bytes > UINT32_MAX / 2) {
        st = l->slots ? pz_fail(log, PZ_ERR_FORMAT, "%s: too large for a dictionary", path) : PZ_ERR_NOMEM;
        goto fail;
    }
    for (size_t at = 0; at < l->map.n_bytes;) {
        size_t n = head_len(l, at);
        const uint8_t *nl = memchr(l->map.data + at, '\n', l->map.n_bytes - at);

        if (n && n < WORD_MAX && l->map.data[at + n - 1] != ')') {
            uint32_t s = hash_word((const char *)l->map.data + at, n) & (SLOTS - 1);

            if (++lines > MAX_LINES) {
                st = pz_fail(log, PZ_ERR_FORMAT, "%s: more than %u words", path, MAX_LINES);
                goto fail;
            }
            while (l->slots[s])
                s = (s + 1) & (SLOTS - 1);
            l->slots[s] = (uint32_t)at + 1;
        }
        if (!nl)
            break;
        at = (size_t)(nl - l->map.data) + 1;
    }
    *lex = l;
    return PZ_OK;
fail:
    pz_lexicon_close(&l);
    return st;
}

void pz_lexicon_close(struct pz_lexicon **lex)
{
    if (!*lex)
        return;
    pz_map_close(&(*lex)->map);
    pz_free((*lex)->slots);
    pz_free(*lex);
    *lex = NULL;
}

/** Offset of a word's line, or −1. */
static int64_t find(const struct pz_lexicon *l, const char *word)
{
    size_t n = strlen(word);
    uint32_t s;

    if (!n || n >= WORD_MAX)
        return -1;
    for (s = hash_word(word, n) & (SLOTS - 1); l->slots[s]; s = (s + 1) & (SLOTS - 1)) {
        size_t at = l->slots[s] - 1;

        if (head_len(l, at) == n && strncasecmp((const char *)l->map.data + at, word, n) == 0)
            return (int64_t)at;
    }
    return -1;
}

bool pz_lexicon_has(const struct pz_lexicon *lex, const char *word)
{
    return find(lex, word) >= 0;
}

/** Phones of the line at `at`, whose headword has `n` bytes. Returns the offset behind the line; out->n 0 if
 * malformed. */
static size_t parse_line(const struct pz_lexicon *l, size_t at, size_t n, struct pz_pron *out)
{
    size_t i = at + n;
    bool good = true;

    out->n = 0;
    while (i < l->map.n_bytes && l->map.data[i] != '\n') {
        char name[8];
        size_t k = 0;
        int id;

        if (isspace(l->map.data[i])) {
            i++;
            continue;
        }
        while (i < l->map.n_bytes && !isspace(l->map.data[i])) {
            if (k + 1 < sizeof name)
                name[k++] = (char)l->map.data[i];
            i++;
        }
        name[k] = 0;
        id = pz_phone_from_name(name);
        if (id <= PZ_PH_SIL || out->n == PZ_PRON_MAX)
            good = false;
        else
            out->phones[out->n++] = (uint8_t)id;
    }
    if (!good)
        out->n = 0;
    return i < l->map.n_bytes ? i + 1 : i;
}

int pz_lexicon_pronounce(const struct pz_lexicon *lex, const char *word, struct pz_pron *out, int max)
{
    int64_t at = find(lex, word);
    size_t n = strlen(word), pos;
    int got = 0;

    if (max < 1)
        return 0;
    if (lex->language[0] || pz_script_voice(word)) {
        const char *voice = lex->language[0] ? lex->language : pz_script_voice(word);
        bool switched;

        // Another language's phones are nearest to those of its own rules; the dictionary would mislead.
        if (pz_espeak_phones(voice, word, NULL, &out[0], &switched) == PZ_OK && out[0].n > 0 && !switched)
            return 1;
        if (lex->language[0])
            at = -1;
    }
    if (at >= 0) {
        // Alternatives follow their base form: "word(2) …".
        for (pos = (size_t)at; pos < lex->map.n_bytes && got < max;) {
            size_t k = head_len(lex, pos);
            bool alt = k > n + 2 && lex->map.data[pos + n] == '(' && lex->map.data[pos + k - 1] == ')';

            if ((pos != (size_t)at && !alt) || strncasecmp((const char *)lex->map.data + pos, word, n) != 0)
                break;
            pos = parse_line(lex, pos, k, &out[got]);
            if (out[got].n)
                got++;
        }
        if (got)
            return got;
    }
    got = pz_flite_spell(word, &out[0]) ? 1 : 0;
    if (got && got < max && pz_spell_plain(word, &out[got]) &&
        (out[got].n != out[0].n || memcmp(out[got].phones, out[0].phones, (size_t)out[0].n) != 0))
        got++;
    if (got > 1 && got < max) { // "a" as in most of India: the vowel of "but"
        bool changed = false;

        out[got] = out[got - 1];
        for (int i = 0; i < out[got].n; i++)
            if (out[got].phones[i] == PZ_PH_AA) {
                out[got].phones[i] = PZ_PH_AH;
                changed = true;
            }
        got += changed;
    }
    return got;
}

enum pz_status pz_lexicon_set_language(struct pz_lexicon *lex, struct pz_log *log, const char *language)
{
    struct pz_pron p;
    struct pz_job job = {.log = log};
    bool switched;

    lex->language[0] = 0;
    if (!language || strncasecmp(language, "en", 2) == 0)
        return PZ_OK;
    for (const char *c = language; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("-_+", *c))
            return pz_fail(log, PZ_ERR_USAGE, "--language %.40s: not a language; see espeak-ng --voices",
                           language);
    if (strlen(language) >= sizeof lex->language || !language[0])
        return pz_fail(log, PZ_ERR_USAGE, "--language %.40s: not a language; see espeak-ng --voices",
                       language);
    if (pz_espeak_phones(language, "a", &job, &p, &switched) < PZ_OK)
        return pz_fail(log, PZ_ERR_UNSUPPORTED,
                       "--language %s needs espeak-ng with that voice; install the Debian package espeak-ng",
                       language);
    memcpy(lex->language, language, strlen(language) + 1);
    return PZ_OK;
}

/** ARPAbet: every token is a phone name. */
static bool parse_arpabet(const char *text, struct pz_pron *out)
{
    out->n = 0;
    while (*text) {
        char name[8];
        size_t k = 0;
        int id;

        if (isspace((unsigned char)*text)) {
            text++;
            continue;
        }
        while (*text && !isspace((unsigned char)*text)) {
            if (k + 1 >= sizeof name)
                return false;
            name[k++] = *text++;
        }
        name[k] = 0;
        id = pz_phone_from_name(name);
        if (id <= PZ_PH_SIL || out->n == PZ_PRON_MAX)
            return false;
        out->phones[out->n++] = (uint8_t)id;
    }
    return out->n > 0;
}

enum pz_status pz_say_parse(const struct pz_lexicon *lex, struct pz_log *log, const char *text,
                            struct pz_pron *out)
{
    bool foreign = false, marked = text[0] == '/' || text[0] == '[', upper = true;

    out->n = 0;
    if (strlen(text) > 1024)
        return pz_fail(log, PZ_ERR_INPUT, "--say: pronunciation of more than 1024 bytes");
    for (const char *p = text; *p; p++) {
        foreign |= (unsigned char)*p >= 0x80;
        upper &= !islower((unsigned char)*p);
    }
    if (!marked && !foreign && upper && parse_arpabet(text, out))
        return PZ_OK;
    if (marked || foreign) {
        if (pz_ipa_parse(text, out))
            return PZ_OK;
        return pz_fail(log, PZ_ERR_INPUT, "--say: \"%s\" has signs that are not IPA or more than %d phones",
                       text, PZ_PRON_MAX);
    }
    // A respelling: pieces between hyphens and spaces are read one by one, like syllables.
    {
        char piece[WORD_MAX];
        size_t k = 0;

        for (const char *p = text;; p++) {
            if (isalpha((unsigned char)*p) || *p == '\'') {
                if (k + 1 < sizeof piece)
                    piece[k++] = (char)tolower((unsigned char)*p);
                continue;
            }
            piece[k] = 0;
            if (k) {
                struct pz_pron one;

                if (pz_lexicon_pronounce(lex, piece, &one, 1) < 1 || out->n + one.n > PZ_PRON_MAX)
                    return pz_fail(log, PZ_ERR_INPUT, "--say: cannot read \"%s\" aloud", piece);
                memcpy(out->phones + out->n, one.phones, (size_t)one.n);
                out->n += one.n;
            }
            k = 0;
            if (!*p)
                break;
        }
    }
    return out->n ? PZ_OK : pz_fail(log, PZ_ERR_INPUT, "--say: \"%s\" holds nothing to say", text);
}
