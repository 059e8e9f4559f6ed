/* Speaks a script. Does: flite per sentence, phones and words with times, small silences at word borders,
 * resampling 16 → 48 kHz, early reflections, room tone, loudness. Does not: choose the words. Source: fact
 * sheet synth.md §6; EBU R128 through libebur128. */
#include "speech.h"

#include <ebur128.h>
#include <flite/flite.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"

cst_voice *register_cmu_us_rms(const char *voxdir);
cst_voice *register_cmu_us_awb(const char *voxdir);
cst_voice *register_cmu_us_slt(const char *voxdir);

enum { MAX_SEC = 60, TAPS = 48 };

struct token {
    char text[32], say[48], variable[32];
    int pause_ms, ends;
};

struct talk {
    struct pz_log *log;
    struct pz_syn_speech *s;
    float *pcm16; /**< 16 kHz, MAX_SEC long */
    int n16;
    struct token tok[PZ_SYN_MAX_WORD];
    int n_tok;
};

static void copy_text(char *dst, size_t cap, const char *a, size_t n)
{
    n = n < cap - 1 ? n : cap - 1;
    memcpy(dst, a, n);
    dst[n] = 0;
}

static enum pz_status parse(struct talk *t, const char *script)
{
    const char *p = script;
    int pause = 0;
    while (*p) {
        while (*p == ' ' || *p == '\n')
            p++;
        size_t n = strcspn(p, " \n");
        if (!n)
            break;
        if (*p == '~') {
            int ms = 0;
            if (sscanf(p + 1, "%d", &ms) != 1 || ms < 0 || ms > 3000)
                return pz_fail(t->log, PZ_ERR_INPUT, "script: bad pause at \"%.20s\"", p);
            pause += ms;
        } else {
            if (t->n_tok >= PZ_SYN_MAX_WORD)
                return pz_fail(t->log, PZ_ERR_INPUT, "script: more than %d words", PZ_SYN_MAX_WORD);
            struct token *k = &t->tok[t->n_tok++];
            const char *a = p, *end = p + n;
            if (*a == '{') {
                const char *eq = memchr(a, '=', n), *close = memchr(a, '}', n);
                if (!eq || !close || close < eq)
                    return pz_fail(t->log, PZ_ERR_INPUT, "script: bad variable at \"%.20s\"", p);
                copy_text(k->variable, sizeof k->variable, a + 1, (size_t)(eq - a - 1));
                a = eq + 1;
            }
            size_t nw = strcspn(a, " \n}[.,!?");
            copy_text(k->text, sizeof k->text, a, nw);
            const char *br = memchr(a, '[', (size_t)(end - a)),
                       *bc = br ? memchr(br, ']', (size_t)(end - br)) : NULL;
            if (br && bc)
                copy_text(k->say, sizeof k->say, br + 1, (size_t)(bc - br - 1));
            else
                copy_text(k->say, sizeof k->say, k->text, strlen(k->text));
            char last = end[-1];
            k->pause_ms = pause;
            k->ends = last == '.' || last == '!' || last == '?' ? 2 : last == ',' ? 1 : 0;
            pause = 0;
            size_t used = strlen(t->s->transcript);
            const char *tail = last == '.'   ? "."
                               : last == '!' ? "!"
                               : last == '?' ? "?"
                               : last == ',' ? ","
                                             : "";
            char mark[96];
            if (k->variable[0])
                snprintf(mark, sizeof mark, "{%s=%s}%s", k->variable, k->text, tail);
            else
                snprintf(mark, sizeof mark, "%s%s", k->text, tail);
            if (used + strlen(mark) + 2 >= sizeof t->s->transcript)
                return pz_fail(t->log, PZ_ERR_INPUT, "script: too long");
            if (used)
                strcat(t->s->transcript, " ");
            strcat(t->s->transcript, mark);
        }
        p += n;
    }
    return t->n_tok ? PZ_OK : pz_fail(t->log, PZ_ERR_INPUT, "script: empty");
}

static enum pz_status add_silence(struct talk *t, float sec)
{
    int n = (int)(sec * 16000.f);
    if (n <= 0)
        return PZ_OK;
    if (t->n16 + n > MAX_SEC * 16000 || t->s->n_phone >= PZ_SYN_MAX_PHONE)
        return pz_fail(t->log, PZ_ERR_INPUT, "script: longer than %d s", MAX_SEC);
    struct pz_syn_speech *s = t->s;
    /* Neighbouring pauses are one pause. */
    struct pz_syn_phone *last = s->n_phone ? &s->phone[s->n_phone - 1] : NULL;
    if (!last || strcmp(last->name, "pau") != 0) {
        last = &s->phone[s->n_phone++];
        memset(last, 0, sizeof *last);
        strcpy(last->name, "pau");
        last->start = (float)t->n16 / 16000.f;
        last->word = -1;
    }
    t->n16 += n;
    last->end = (float)t->n16 / 16000.f;
    return PZ_OK;
}

/** Copy one phone's samples, faded at a border to inserted silence. */
static enum pz_status add_phone(struct talk *t, const cst_wave *w, const char *name, float a, float b,
                                int word, int stress, int fade_in, int fade_out)
{
    struct pz_syn_speech *s = t->s;
    int i0 = (int)(a * (float)w->sample_rate), i1 = (int)(b * (float)w->sample_rate);
    i1 = i1 < w->num_samples ? i1 : w->num_samples;
    int n = i1 - i0;
    if (n <= 0)
        return PZ_OK;
    if (t->n16 + n > MAX_SEC * 16000 || s->n_phone >= PZ_SYN_MAX_PHONE)
        return pz_fail(t->log, PZ_ERR_INPUT, "script: longer than %d s", MAX_SEC);
    struct pz_syn_phone *p = &s->phone[s->n_phone++];
    memset(p, 0, sizeof *p);
    copy_text(p->name, sizeof p->name, name, strlen(name));
    p->start = (float)t->n16 / 16000.f;
    p->word = word;
    p->stress = stress;
    double e = 0;
    for (int i = 0; i < n; i++) {
        float v = (float)w->samples[i0 + i] / 32768.f;
        const int F = 320;
        if (fade_in && i < F)
            v *= .5f - .5f * cosf(3.14159f * (float)i / (float)F);
        if (fade_out && n - 1 - i < F)
            v *= .5f - .5f * cosf(3.14159f * (float)(n - 1 - i) / (float)F);
        t->pcm16[t->n16++] = v;
        e += (double)v * v;
    }
    p->energy = (float)sqrt(e / n);
    p->end = (float)t->n16 / 16000.f;
    return PZ_OK;
}

static enum pz_status say_sentence(struct talk *t, cst_voice *voice, int first, int last, const char *text)
{
    enum pz_status st = PZ_OK;
    cst_utterance *u = flite_synth_text(text, voice);
    cst_wave *w = u ? utt_wave(u) : NULL;
    if (!w || w->sample_rate != 16000) {
        if (u)
            delete_utterance(u);
        return pz_fail(t->log, PZ_ERR_INTERNAL, "flite: no 16 kHz sound for \"%s\"", text);
    }
    float a = 0;
    int word = first - 1;
    const cst_item *cur = NULL;
    for (const cst_item *seg = relation_head(utt_relation(u, "Segment")); seg; seg = item_next(seg)) {
        const char *name = item_feat_string(seg, "name");
        float b = item_feat_float(seg, "end");
        bool edge = !item_prev(seg) || !item_next(seg);
        if (!strcmp(name, "pau")) {
            /* Pauses are the script's business: flite's own are cut to a natural comma. */
            if (!edge)
                PZ_TRY(add_silence(t, .13f));
            a = b;
            continue;
        }
        const cst_item *syl = item_parent(item_as(seg, "SylStructure")), *wd = syl ? item_parent(syl) : NULL;
        bool fresh = false;
        if (wd && (!cur || !item_equal(cur, wd))) {
            cur = wd;
            /* flite splits "I'll" into "i" and "'ll": one word here. */
            fresh = item_feat_string(wd, "name")[0] != '\'';
            word += fresh;
            if (word > last)
                word = last;
        }
        const cst_item *next = item_next(seg), *ns = next ? item_parent(item_as(next, "SylStructure")) : NULL,
                       *nw = ns ? item_parent(ns) : NULL;
        bool out = nw && wd && !item_equal(nw, wd) && item_feat_string(nw, "name")[0] != '\'' &&
                   word + 1 <= last && t->tok[word + 1].pause_ms > 0;
        bool in = fresh && word > first && t->tok[word].pause_ms > 0;
        if (in)
            PZ_TRY(add_silence(t, (float)t->tok[word].pause_ms * .001f));
        int stress = syl && item_feat_present(syl, "stress") && !strcmp(item_feat_string(syl, "stress"), "1");
        PZ_TRY(add_phone(t, w, name, a, b, word, stress && strchr("aeiou", name[0]) != NULL, in, out));
        a = b;
    }
fail:
    delete_utterance(u);
    return st;
}

/** Windowed-sinc interpolation by three, with two early reflections of a furnished room. */
static void upsample(const float *in, int n, float *out)
{
    float k[3][TAPS];
    for (int p = 0; p < 3; p++)
        for (int i = 0; i < TAPS; i++) {
            float x = (float)(i - TAPS / 2 + 1) - (float)p / 3.f,
                  w = .5f + .5f * cosf(3.14159265f * x / (TAPS / 2));
            float y = 3.14159265f * x * .985f;
            k[p][i] = (fabsf(x) < 1e-4f ? 1.f : sinf(y) / y) * (fabsf(x) < TAPS / 2 ? w : 0.f);
        }
    for (int i = 0; i < n; i++)
        for (int p = 0; p < 3; p++) {
            float s = 0;
            for (int j = 0; j < TAPS; j++) {
                int q = i + j - TAPS / 2 + 1;
                if (q >= 0 && q < n)
                    s += k[p][j] * in[q];
            }
            out[3 * i + p] = s;
        }
    for (int i = 3 * n - 1; i >= 0; i--) {
        float r = 0;
        if (i > 560)
            r += .075f * out[i - 560];
        if (i > 1130)
            r += .05f * out[i - 1130];
        if (i > 1810)
            r -= .035f * out[i - 1810];
        out[i] += r;
    }
}

static enum pz_status level(struct pz_log *log, struct pz_syn_speech *s, unsigned long seed)
{
    ebur128_state *e = ebur128_init(1, PZ_SYN_RATE, EBUR128_MODE_I);
    double lufs = 0;
    if (!e || ebur128_add_frames_float(e, s->pcm, (size_t)s->n_samples) ||
        ebur128_loudness_global(e, &lufs)) {
        if (e)
            ebur128_destroy(&e);
        return pz_fail(log, PZ_ERR_INTERNAL, "libebur128 refused the speech");
    }
    ebur128_destroy(&e);
    float g = powf(10.f, (float)(-20.0 - lufs) / 20.f);
    struct pz_rng r;
    pz_rng_init(&r, seed, 77);
    /* Room tone: noise with a gentle fall towards the highs, RMS −60 dBFS; it never stops. */
    float lo = 0, mid = 0;
    for (int i = 0; i < s->n_samples; i++) {
        float n = pz_rng_normal(&r);
        lo += .02f * (n - lo);
        mid += .25f * (n - mid);
        float room = .0022f * mid + .0020f * lo + .00012f * n;
        float v = s->pcm[i] * g;
        v = v > .7f ? .7f + .3f * tanhf((v - .7f) / .3f) : v < -.7f ? -.7f + .3f * tanhf((v + .7f) / .3f) : v;
        s->pcm[i] = v + room;
    }
    return PZ_OK;
}

enum pz_status pz_syn_speak(struct pz_log *log, const char *script, const char *voice, float stretch,
                            unsigned long seed, struct pz_syn_speech *s)
{
    enum pz_status st = PZ_OK;
    memset(s, 0, sizeof *s);
    struct talk *t = pz_calloc(1, sizeof *t);
    if (t)
        t->pcm16 = pz_calloc((size_t)MAX_SEC * 16000, sizeof(float));
    if (!t || !t->pcm16) {
        pz_free(t);
        return pz_fail(log, PZ_ERR_NOMEM, "speech: out of memory");
    }
    t->log = log;
    t->s = s;
    PZ_TRY(parse(t, script));
    flite_init();
    cst_voice *v = !strcmp(voice, "slt")   ? register_cmu_us_slt(NULL)
                   : !strcmp(voice, "awb") ? register_cmu_us_awb(NULL)
                                           : register_cmu_us_rms(NULL);
    if (!v)
        PZ_TRY(pz_fail(log, PZ_ERR_INTERNAL, "flite: no voice %s", voice));
    feat_set_float(v->features, "duration_stretch", stretch);
    for (int a = 0; a < t->n_tok;) {
        char text[1024] = "";
        int b = a;
        for (;; b++) {
            size_t n = strlen(text);
            snprintf(text + n, sizeof text - n, "%s%s%s", n ? " " : "", t->tok[b].say,
                     t->tok[b].ends == 1   ? ","
                     : t->tok[b].ends == 2 ? "."
                                           : "");
            if (t->tok[b].ends == 2 || b == t->n_tok - 1)
                break;
        }
        PZ_TRY(add_silence(t, (float)t->tok[a].pause_ms * .001f));
        PZ_TRY(say_sentence(t, v, a, b, text));
        a = b + 1;
    }
    PZ_TRY(add_silence(t, .8f));
    s->n_word = t->n_tok;
    for (int i = 0; i < t->n_tok; i++) {
        strcpy(s->word[i].text, t->tok[i].text);
        strcpy(s->word[i].variable, t->tok[i].variable);
        s->word[i].start = -1;
    }
    for (int i = 0; i < s->n_phone; i++) {
        struct pz_syn_phone *p = &s->phone[i];
        if (p->word < 0)
            continue;
        struct pz_syn_word *w = &s->word[p->word];
        if (w->start < 0)
            w->start = p->start;
        w->end = p->end;
    }
    for (int i = 0; i < s->n_word; i++)
        if (s->word[i].start < 0)
            PZ_TRY(pz_fail(log, PZ_ERR_INTERNAL, "speech: the word \"%s\" got no phones", s->word[i].text));
    s->n_samples = t->n16 * 3;
    s->pcm = pz_calloc((size_t)s->n_samples, sizeof *s->pcm);
    if (!s->pcm)
        PZ_TRY(pz_fail(log, PZ_ERR_NOMEM, "speech: out of memory"));
    upsample(t->pcm16, t->n16, s->pcm);
    PZ_TRY(level(log, s, seed));
fail:
    pz_free(t->pcm16);
    pz_free(t);
    if (st < PZ_OK)
        pz_syn_speech_close(s);
    return st;
}

void pz_syn_speech_close(struct pz_syn_speech *s)
{
    pz_free(s->pcm);
    memset(s, 0, sizeof *s);
}

static void put32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

enum pz_status pz_syn_wav_write(struct pz_log *log, const char *path, const float *pcm, int n, int rate)
{
    size_t bytes = 44 + 2 * (size_t)n;
    uint8_t *b = pz_calloc(bytes, 1);
    if (!b)
        return pz_fail(log, PZ_ERR_NOMEM, "wav: out of memory");
    memcpy(b, "RIFF....WAVEfmt ", 16);
    put32(b + 4, (uint32_t)bytes - 8);
    put32(b + 16, 16);
    b[20] = 1;
    b[22] = 1;
    put32(b + 24, (uint32_t)rate);
    put32(b + 28, (uint32_t)rate * 2);
    b[32] = 2;
    b[34] = 16;
    memcpy(b + 36, "data", 4);
    put32(b + 40, (uint32_t)n * 2);
    for (int i = 0; i < n; i++) {
        float v = pcm[i] * 32767.f;
        int q = (int)lrintf(v < -32768.f ? -32768.f : v > 32767.f ? 32767.f : v);
        b[44 + 2 * i] = (uint8_t)q;
        b[45 + 2 * i] = (uint8_t)(q >> 8);
    }
    enum pz_status st = pz_file_write(log, path, b, bytes);
    pz_free(b);
    return st;
}
