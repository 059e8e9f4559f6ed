/* Makes a speech file. Does: sentences from phrases.c spoken by four flite voices, each entry resampled by a
 * factor of its own (another speaker: pitch and formants move together) while durations are stretched the
 * other way, phones and words with times. Does not: noise, rooms, equalisers (the trainer's). */
#include <flite/flite.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bank.h"
#include "base/mem.h"
#include "phrases.h"
#include "weights/safetensors.h"

cst_voice *register_cmu_us_kal16(const char *voxdir);
cst_voice *register_cmu_us_rms(const char *voxdir);
cst_voice *register_cmu_us_awb(const char *voxdir);
cst_voice *register_cmu_us_slt(const char *voxdir);

static const char kPhones[] =
    "pau aa ae ah ao aw ax ay b ch d dh eh er ey f g hh ih iy jh k l m n ng ow oy p r s "
    "sh t th uh uw v w y z zh";

struct growing {
    char *p;
    size_t n, cap, size;
};

static void *grow(struct growing *g, size_t n)
{
    if (g->n + n > g->cap) {
        size_t cap = 2 * (g->n + n) + 1024;
        void *q = pz_regrow(g->p, g->cap, cap, g->size);
        if (!q)
            return NULL;
        g->p = q;
        g->cap = cap;
    }
    void *at = g->p + g->n * g->size;
    g->n += n;
    return at;
}

enum {
    WAVE,
    WOFF,
    PID,
    PEND,
    PENERGY,
    PSTRESS,
    POFF,
    WSTART,
    WEND,
    WORDOFF,
    TEXT,
    TOFF,
    VOICE,
    SPEAKER,
    N_LIST
};

static int add(struct growing *g, const void *v, size_t n)
{
    void *p = grow(g, n);
    if (p)
        memcpy(p, v, n * g->size);
    return p != NULL;
}

static uint8_t id_of(const char *name)
{
    int k = 0;
    for (const char *p = kPhones; *p; k++) {
        size_t n = strcspn(p, " ");
        if (strlen(name) == n && !strncmp(p, name, n))
            return (uint8_t)k;
        p += n + (p[n] == ' ');
    }
    return 6; /* a neutral vowel stands for what flite may add */
}

/** Windowed-sinc value of in at x. */
static float sample_at(const short *in, int n, double x, double cut)
{
    int i0 = (int)floor(x);
    double s = 0, sum = 0;
    for (int i = i0 - 11; i <= i0 + 12; i++) {
        double d = x - i, w = .5 + .5 * cos(3.14159265358979 * d / 12.5), y = 3.14159265358979 * d * cut;
        double k = (fabs(y) < 1e-9 ? 1. : sin(y) / y) * w;
        sum += k;
        if (i >= 0 && i < n)
            s += k * in[i];
    }
    return (float)(s / sum);
}

struct entry {
    struct growing *l;
    double t; /**< seconds of the entry so far */
    float rate;
};

static int put_phone(struct entry *e, const char *name, double end, float energy, int stress)
{
    uint8_t id = id_of(name), st = (uint8_t)stress;
    float fe = (float)end;
    return add(&e->l[PID], &id, 1) && add(&e->l[PEND], &fe, 1) && add(&e->l[PENERGY], &energy, 1) &&
           add(&e->l[PSTRESS], &st, 1);
}

static float rms(const int16_t *w, int64_t a, int64_t b)
{
    double s = 0;
    for (int64_t i = a; i < b; i++)
        s += (double)w[i] * w[i];
    return b > a ? (float)sqrt(s / (double)(b - a)) / 32768.f : 0.f;
}

/** One sentence behind what the entry holds: sound first, then its phones and words. */
static int put_sentence(struct entry *e, cst_voice *v, const char *text, int64_t first)
{
    cst_utterance *u = flite_synth_text(text, v);
    cst_wave *w = u ? utt_wave(u) : NULL;
    int ok = w && w->sample_rate == PZ_SYN_BANK_RATE && w->num_samples > 800;
    int n = ok ? (int)((double)w->num_samples / (double)e->rate) : 0;
    int64_t at = (int64_t)e->l[WAVE].n;
    int16_t *out = ok ? grow(&e->l[WAVE], (size_t)n) : NULL;
    ok = ok && out;
    for (int i = 0; ok && i < n; i++) {
        float s = sample_at(w->samples, w->num_samples, (double)i * (double)e->rate,
                            e->rate > 1.f ? .98 / (double)e->rate : .98);
        out[i] = (int16_t)lrintf(fminf(fmaxf(s, -32767.f), 32767.f));
    }
    const int16_t *all = (const int16_t *)(void *)e->l[WAVE].p;
    double a = 0, t0 = (double)(at - first) / PZ_SYN_BANK_RATE;
    const cst_item *cur = NULL;
    for (const cst_item *seg = ok ? relation_head(utt_relation(u, "Segment")) : NULL; ok && seg;
         seg = item_next(seg)) {
        double b = item_next(seg) ? (double)item_feat_float(seg, "end") / (double)e->rate
                                  : (double)n / PZ_SYN_BANK_RATE;
        b = fmin(b, (double)n / PZ_SYN_BANK_RATE);
        if (b - a < .004)
            continue;
        const cst_item *syl = item_parent(item_as(seg, "SylStructure")), *wd = syl ? item_parent(syl) : NULL;
        const char *name = item_feat_string(seg, "name");
        int stress = syl && item_feat_present(syl, "stress") && !strcmp(item_feat_string(syl, "stress"), "1");
        ok = put_phone(e, name, t0 + b,
                       rms(all, at + (int64_t)(a * PZ_SYN_BANK_RATE), at + (int64_t)(b * PZ_SYN_BANK_RATE)),
                       stress && strchr("aeiou", name[0]) != NULL);
        if (wd) {
            float f = (float)(t0 + a), g = (float)(t0 + b);
            if (!cur || !item_equal(cur, wd))
                ok = ok && add(&e->l[WSTART], &f, 1) && add(&e->l[WEND], &g, 1);
            else
                memcpy(e->l[WEND].p + (e->l[WEND].n - 1) * sizeof g, &g, sizeof g);
            cur = wd;
        }
        a = b;
    }
    if (u)
        delete_utterance(u);
    return ok;
}

static int close_entry(struct growing *l, int voice, float rate, float stretch)
{
    int64_t w = (int64_t)l[WAVE].n;
    int32_t p = (int32_t)l[PID].n, q = (int32_t)l[WSTART].n, t = (int32_t)l[TEXT].n;
    uint8_t v = (uint8_t)voice;
    float sp[2] = {rate, stretch};
    return add(&l[WOFF], &w, 1) && add(&l[POFF], &p, 1) && add(&l[WORDOFF], &q, 1) && add(&l[TOFF], &t, 1) &&
           (voice < 0 || (add(&l[VOICE], &v, 1) && add(&l[SPEAKER], sp, 2)));
}

/** Level of an entry to −20 dBFS of its louder parts. */
static void level(int16_t *w, int64_t n)
{
    double s = 0, m = 0;
    for (int64_t i = 0; i + 800 <= n; i += 800) {
        double r = (double)rms(w, i, i + 800);
        if (r > .01) {
            s += r * r;
            m += 1;
        }
    }
    double g = m > 0 ? .1 / sqrt(s / m) : 1;
    for (int64_t i = 0; i < n; i++)
        w[i] = (int16_t)lrint(fmin(fmax((double)w[i] * g, -32767.), 32767.));
}

static uint8_t to_mulaw(int16_t s)
{
    int v = s, sign = v < 0 ? 0x80 : 0;
    v = (v < 0 ? -v : v) + 132;
    v = v > 32767 ? 32767 : v;
    int e = 7;
    while (e > 0 && !(v & (0x4000 >> (7 - e))))
        e--;
    return (uint8_t) ~(sign | e << 4 | (v >> (e + 3) & 15));
}

static enum pz_status write(struct pz_log *log, const char *path, struct growing *l, int mulaw)
{
    int64_t n = (int64_t)l[WAVE].n, p = (int64_t)l[PID].n, e = (int64_t)l[VOICE].n;
    uint8_t *m = NULL;
    if (mulaw) {
        m = pz_calloc((size_t)n + 1, 1);
        if (!m)
            return pz_fail(log, PZ_ERR_NOMEM, "speech: out of memory");
        for (int64_t i = 0; i < n; i++)
            m[i] = to_mulaw(((const int16_t *)(void *)l[WAVE].p)[i]);
    }
    const struct pz_stored_tensor t[] = {
        {mulaw ? "wave_mulaw" : "wave",
         mulaw ? PZ_DTYPE_U8 : PZ_DTYPE_I16,
         1,
         {n},
         mulaw ? (void *)m : l[WAVE].p,
         0},
        {"wave_offset", PZ_DTYPE_I64, 1, {e + 1}, l[WOFF].p, 0},
        {"phone_id", PZ_DTYPE_U8, 1, {p}, l[PID].p, 0},
        {"phone_end", PZ_DTYPE_F32, 1, {p}, l[PEND].p, 0},
        {"phone_energy", PZ_DTYPE_F32, 1, {p}, l[PENERGY].p, 0},
        {"phone_stress", PZ_DTYPE_U8, 1, {p}, l[PSTRESS].p, 0},
        {"phone_offset", PZ_DTYPE_I32, 1, {e + 1}, l[POFF].p, 0},
        {"word_start", PZ_DTYPE_F32, 1, {(int64_t)l[WSTART].n}, l[WSTART].p, 0},
        {"word_end", PZ_DTYPE_F32, 1, {(int64_t)l[WEND].n}, l[WEND].p, 0},
        {"word_offset", PZ_DTYPE_I32, 1, {e + 1}, l[WORDOFF].p, 0},
        {"text", PZ_DTYPE_U8, 1, {(int64_t)l[TEXT].n}, l[TEXT].p, 0},
        {"text_offset", PZ_DTYPE_I32, 1, {e + 1}, l[TOFF].p, 0},
        {"voice", PZ_DTYPE_U8, 1, {e}, l[VOICE].p, 0},
        {"speaker", PZ_DTYPE_F32, 2, {e, 2}, l[SPEAKER].p, 0},
    };
    const struct pz_stored_text meta[] = {
        {"phones", kPhones}, {"voices", "kal16 awb rms slt"}, {"rate", "16000"}};
    enum pz_status st = pz_safetensors_write(log, path, t, (int)(sizeof t / sizeof *t), meta, 3);
    pz_free(m);
    return st;
}

enum pz_status pz_syn_bank_make(struct pz_log *log, const char *path, double minutes, uint64_t seed,
                                int mulaw)
{
    static const size_t kSize[N_LIST] = {2, 8, 1, 4, 4, 1, 4, 4, 4, 4, 1, 4, 1, 4};
    enum pz_status st = PZ_OK;
    struct growing l[N_LIST] = {{0}};
    if (!(minutes > 0 && minutes < 600))
        return pz_fail(log, PZ_ERR_USAGE, "speech: %g minutes", minutes);
    for (int i = 0; i < N_LIST; i++)
        l[i].size = kSize[i];
    flite_init();
    cst_voice *v[4] = {register_cmu_us_kal16(NULL), register_cmu_us_awb(NULL), register_cmu_us_rms(NULL),
                       register_cmu_us_slt(NULL)};
    int ok = v[0] && v[1] && v[2] && v[3] && close_entry(l, -1, 0, 0);
    for (uint64_t i = 0; ok && (double)l[WAVE].n < minutes * 60. * PZ_SYN_BANK_RATE; i++) {
        struct pz_rng r;
        pz_rng_init(&r, seed, 0x5eec0000u + i);
        int k = (int)pz_rng_below(&r, 10), voice = k < 1 ? 0 : k < 4 ? 1 : k < 7 ? 2 : 3;
        float rate = expf(.17f * (2.f * pz_rng_uniform(&r) - 1.f)), stretch = .74f + .5f * pz_rng_uniform(&r);
        struct entry e = {.l = l, .rate = rate};
        int64_t first = (int64_t)l[WAVE].n;
        /* Resampling by `rate` shortens: durations are stretched first. */
        feat_set_float(v[voice]->features, "duration_stretch", stretch * rate);
        srand((unsigned)(seed + i));
        int n = 1 + (int)pz_rng_below(&r, 3);
        for (int s = 0; ok && s < n; s++) {
            char text[512];
            pz_syn_phrase(&r, text, sizeof text);
            ok = put_sentence(&e, v[voice], text, first) && add(&l[TEXT], text, strlen(text)) &&
                 add(&l[TEXT], " ", 1);
        }
        if (ok)
            level((int16_t *)(void *)l[WAVE].p + first, (int64_t)l[WAVE].n - first);
        ok = ok && close_entry(l, voice, rate, stretch);
    }
    st = ok ? write(log, path, l, mulaw) : pz_fail(log, PZ_ERR_INTERNAL, "speech: flite did not speak");
    for (int i = 0; i < N_LIST; i++)
        pz_free(l[i].p);
    return st;
}
