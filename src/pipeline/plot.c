/* Draws words.png for `detect --plot`. Measures nothing. */
#include "pipeline/plot.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "audio/mel.h"
#include "base/mem.h"
#include "image/png.h"
#include "image/text.h"

#define WIDTH PZ_PLOT_WIDTH
#define ROW_S 8
#define ROW_N (ROW_S * PZ_SPEECH_RATE)
#define PX (ROW_N / WIDTH) /* samples a pixel */
#define TOP 26             /* slots' names and the time scale */
#define WAVE 70
#define SPECTRUM 128
#define PHONES 14
#define WORDS 24
#define ROW_H (TOP + WAVE + SPECTRUM + PHONES + WORDS + 10)
#define FFT 512

static const float ink[3] = {0.08f, 0.08f, 0.1f}, faint[3] = {0.72f, 0.72f, 0.75f},
                   blue[3] = {0.16f, 0.32f, 0.62f}, red[3] = {0.8f, 0.1f, 0.08f},
                   tint[3] = {1.0f, 0.86f, 0.6f};

struct plot {
    struct pz_rgb rgb;
    const struct pz_template_data *d;
    struct pz_fft *fft;
    float *x; /* [ROW_N + 2 * FFT], FFT samples before the row */
};

static void blend(struct plot *p, int x, int y, const float c[3], float share)
{
    if (x < 0 || y < 0 || x >= p->rgb.width || y >= p->rgb.height)
        return;
    for (int k = 0; k < 3; k++) {
        float *v = &p->rgb.data[((size_t)k * (size_t)p->rgb.height + (size_t)y) * WIDTH + (size_t)x];
        *v += share * (c[k] - *v);
    }
}

static void box(struct plot *p, int x0, int y0, int x1, int y1, const float c[3], float share)
{
    for (int y = y0; y < y1; y++)
        for (int x = x0 < 0 ? 0 : x0; x < x1 && x < WIDTH; x++)
            blend(p, x, y, c, share);
}

static void draw_wave(struct plot *p, int y)
{
    float peak = 1e-4f;
    for (int i = 0; i < ROW_N; i++)
        peak = fmaxf(peak, fabsf(p->x[FFT + i]));
    for (int c = 0; c < WIDTH; c++) {
        float lo = 0, hi = 0;
        for (int i = 0; i < PX; i++) {
            lo = fminf(lo, p->x[FFT + c * PX + i]);
            hi = fmaxf(hi, p->x[FFT + c * PX + i]);
        }
        int a = y + (int)((0.5f - 0.48f * hi / peak) * WAVE),
            b = y + (int)((0.5f - 0.48f * lo / peak) * WAVE);
        box(p, c, a, c + 1, b + 1, blue, 1);
    }
}

/* 0 to 8 kHz upwards, 60 dB from white to black. */
static void draw_spectrum(struct plot *p, int y)
{
    float buf[FFT], spec[FFT + 2], top = -200;
    float *db = pz_calloc((size_t)WIDTH * SPECTRUM, sizeof *db);
    if (!db)
        return;
    for (int c = 0; c < WIDTH; c++) {
        const float *x = p->x + FFT + c * PX + PX / 2 - FFT / 2;
        for (int i = 0; i < FFT; i++)
            buf[i] = x[i] * (0.5f - 0.5f * cosf(2 * (float)M_PI * ((float)i + 0.5f) / FFT));
        pz_fft_real(p->fft, buf, spec);
        for (int r = 0; r < SPECTRUM; r++) {
            float v = 1e-9f;
            for (int k = 2 * r; k < 2 * r + 2; k++)
                v += spec[2 * k] * spec[2 * k] + spec[2 * k + 1] * spec[2 * k + 1];
            db[c * SPECTRUM + r] = 10 * log10f(v) + 6 * (float)r / 32; /* speech falls: lift what is high */
            top = fmaxf(top, db[c * SPECTRUM + r]);
        }
    }
    for (int c = 0; c < WIDTH; c++)
        for (int r = 0; r < SPECTRUM; r++)
            blend(p, c, y + SPECTRUM - 1 - r, ink,
                  fmaxf(0, fminf(1, 1 + (db[c * SPECTRUM + r] - top + 8) / 60)));
    pz_free(db);
}

static int column(int64_t t, int64_t at)
{
    int64_t c = (t - at) / PX;
    return (int)(c < -4000 ? -4000 : c > 8000 ? 8000 : c);
}

/* A label in the middle of [a, b), left out where it does not fit, cut to the picture. */
static void label(struct plot *p, int a, int b, int y, int scale, const float c[3], const char *text)
{
    int w = pz_text_width(scale, text) - scale;
    a = a < 0 ? 0 : a;
    b = b > WIDTH ? WIDTH : b;
    if (w <= b - a)
        pz_text_draw(&p->rgb, (a + b - w) / 2, y, scale, c, text);
}

static void draw_speech(struct plot *p, int64_t at, int y)
{
    const struct pz_template_data *d = p->d;
    for (int i = 0; i < d->n_phones; i++) {
        int a = column(d->phones[i].start, at), b = column(d->phones[i].end, at);
        if (b < 0 || a >= WIDTH || d->phones[i].id == PZ_PH_SIL)
            continue;
        box(p, a, y, a + 1, y + PHONES, faint, 1);
        box(p, b, y, b + 1, y + PHONES, faint, 1);
        label(p, a, b, y + 3, 1, ink, pz_phone_name(d->phones[i].id));
    }
    for (int i = 0; i < d->n_words; i++) {
        int a = column(d->words[i].start, at), b = column(d->words[i].end, at);
        if (b < 0 || a >= WIDTH)
            continue;
        box(p, a, y + PHONES, b, y + PHONES + WORDS - 2, faint, 0.45f);
        box(p, a, y + PHONES, a + 1, y + PHONES + WORDS - 2, ink, 1);
        bool wide = pz_text_width(2, d->words[i].text) <= b - a;
        label(p, a + 1, b + 6, y + PHONES + (wide ? 4 : 8), wide ? 2 : 1, ink, d->words[i].text);
    }
}

static void draw_slots(struct plot *p, int64_t at, int y)
{
    int bottom = y + TOP + WAVE + SPECTRUM + PHONES + WORDS;
    for (int i = 0; i < p->d->n_slots; i++) {
        const struct pz_template_slot *s = &p->d->slots[i];
        int a = column(s->start, at), b = column(s->end, at);
        char text[160];
        if (b < 0 || a >= WIDTH)
            continue;
        for (int r = y + TOP; r < bottom; r++) {
            blend(p, a, r, red, 1);
            blend(p, b, r, red, 1);
            for (int x = a + 1; x < b; x++)
                if (x >= 0 && x < WIDTH)
                    for (int k = 0; k < 3; k++) /* multiply: what is drawn stays readable */
                        p->rgb.data[((size_t)k * (size_t)p->rgb.height + (size_t)r) * WIDTH + (size_t)x] *=
                            tint[k];
        }
        snprintf(text, sizeof text, "%s %.3f-%.3f (%.0f%%)", s->name, (double)s->start / PZ_SPEECH_RATE,
                 (double)s->end / PZ_SPEECH_RATE, 100 * (double)s->confidence);
        int w = pz_text_width(1, text), x = a < 0 ? 0 : a + w > WIDTH ? WIDTH - w : a;
        pz_text_draw(&p->rgb, x, y + 15, 1, red, text);
    }
}

static enum pz_status draw_row(struct plot *p, const struct pz_tap *sound, int64_t at, int y)
{
    char text[32];
    enum pz_status st = pz_tap_read_speech(sound, at - FFT, p->x, ROW_N + 2 * FFT);
    if (st < PZ_OK)
        return st;
    draw_wave(p, y + TOP);
    draw_spectrum(p, y + TOP + WAVE);
    draw_speech(p, at, y + TOP + WAVE + SPECTRUM);
    for (int s = 0; s < ROW_S; s++) {
        int x = s * WIDTH / ROW_S;
        snprintf(text, sizeof text, "%lld s", (long long)(at / PZ_SPEECH_RATE + s));
        box(p, x, y, x + 1, y + TOP - 2, faint, 1);
        pz_text_draw(&p->rgb, x + 4, y + 3, 1, ink, text);
    }
    draw_slots(p, at, y);
    return PZ_OK;
}

/* Which strips are shown, ascending; returns how many. */
static int choose_rows(const struct pz_template_data *d, int64_t total, int *rows)
{
    int all = (int)((total + ROW_N - 1) / ROW_N), n = 0;
    if (all <= PZ_PLOT_MAX_ROWS) {
        for (int r = 0; r < all; r++)
            rows[n++] = r;
        return n;
    }
    for (int i = 0; i < d->n_slots && n < PZ_PLOT_MAX_ROWS; i++) {
        int r = (int)(d->slots[i].start / ROW_N);
        if (n == 0 || rows[n - 1] < r)
            rows[n++] = r;
    }
    for (int r = 0; n == 0 && r < PZ_PLOT_MAX_ROWS; r++)
        rows[r] = r;
    return n ? n : PZ_PLOT_MAX_ROWS;
}

enum pz_status pz_plot_speech(struct pz_log *log, const char *path, const struct pz_tap *sound,
                              const struct pz_template_data *d)
{
    struct plot p = {.d = d};
    int rows[PZ_PLOT_MAX_ROWS], n = choose_rows(d, pz_tap_speech_length(sound), rows);
    enum pz_status st = pz_rgb_alloc(&p.rgb, WIDTH, n > 0 ? n * ROW_H : ROW_H);
    p.fft = pz_fft_create(FFT);
    p.x = pz_calloc(ROW_N + 2 * FFT, sizeof *p.x);
    if (st < PZ_OK || !p.fft || !p.x) {
        st = pz_fail(log, PZ_ERR_NOMEM, "no memory to draw '%s'", path);
        goto fail;
    }
    for (size_t i = 0; i < (size_t)3 * WIDTH * (size_t)p.rgb.height; i++)
        p.rgb.data[i] = 1;
    for (int r = 0; r < n; r++)
        PZ_TRY(draw_row(&p, sound, (int64_t)rows[r] * ROW_N, r * ROW_H));
    PZ_TRY(pz_png_write(log, path, &p.rgb));
fail:
    pz_free(p.x);
    pz_fft_destroy(&p.fft);
    pz_rgb_free(&p.rgb);
    return st;
}
