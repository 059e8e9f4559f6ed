// The joint: template, room tone and word mixed with equal-power fades. Room tone is grown from the quietest
// pause near by, in grains at random places (seeded), so that it does not beat; where there is no pause there
// is none, and nothing is made up.
#include "speech/join.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"

#define GRAIN_MS 50
#define TONE_LEAST_MS 60
#define TONE_MOST_DB (-20.0) /* against the speech around: louder is not room tone */

/** The quietest stretch of silence near the slot, template samples. False when there is none worth the name.
 */
static bool find_tone(const struct pz_dub_params *p, const struct pz_speaker *s, int64_t *a, int64_t *b)
{
    struct pz_rational speech = {1, PZ_SPEECH_RATE}, own = {1, p->sound->rate};
    int64_t inset = p->sound->rate / 100; // pauses begin and end with breath of the words
    double speech_rms = pz_rms(s->mono, s->n), best = speech_rms * pow(10.0, TONE_MOST_DB / 20.0);
    bool found = false;

    for (int i = 0; i < p->n_phones; i++) {
        int64_t x, y, need = (int64_t)p->sound->rate * TONE_LEAST_MS / 1000;
        double rms;

        if (p->phones[i].id != PZ_PH_SIL)
            continue;
        x = pz_rescale(p->phones[i].start, speech, own) + inset;
        y = pz_rescale(p->phones[i].end, speech, own) - inset;
        if (x < s->at)
            x = s->at;
        if (y > s->at + s->n)
            y = s->at + s->n;
        // A long pause holds quiet and less quiet parts: half a second at most, walked in steps.
        for (int64_t at = x; at + need <= y; at += need) {
            int64_t len = y - at < p->sound->rate / 2 ? y - at : p->sound->rate / 2;

            rms = pz_rms(s->mono + (at - s->at), len);
            // Digital silence is a gate, not the room; it is used only when nothing else is there.
            if (rms < best && (rms > 1e-6 || !found)) {
                best = rms;
                *a = at;
                *b = at + len;
                found = true;
            }
        }
    }
    return found;
}

/** Grow tone: equal-power overlapping grains. `out` [n][channels] is added to. */
static enum pz_status grow(const struct pz_dub_params *p, int64_t a, int64_t b, float *out, int64_t n)
{
    enum pz_status st;
    int ch = p->sound->channels;
    int64_t len = b - a, grain = (int64_t)p->sound->rate * GRAIN_MS / 1000, half;
    float *src = pz_calloc((size_t)len * (size_t)ch, sizeof *src);
    struct pz_rng rng;

    if (!src)
        return PZ_ERR_NOMEM;
    if (grain > len)
        grain = len;
    half = grain / 2;
    PZ_TRY(p->sound->read(p->sound->user, a, src, len));
    pz_rng_init(&rng, p->seed, (uint64_t)p->slot->start);
    for (int64_t at = -half; at < n; at += half) {
        int64_t from = len > grain ? (int64_t)pz_rng_below(&rng, (uint32_t)(len - grain + 1)) : 0;

        for (int64_t i = 0; i < 2 * half; i++) {
            float w =
                (float)sin(M_PI * ((double)i + 0.5) / (double)(2 * half)); // squares of neighbours add to one

            if (at + i < 0 || at + i >= n)
                continue;
            for (int c = 0; c < ch; c++)
                out[(at + i) * ch + c] += w * src[(from + i) * ch + c];
        }
    }
    st = PZ_OK;
fail:
    pz_free(src);
    return st;
}

/** How much of the mono mix each channel carries of the old word: least squares. */
static enum pz_status panning(const struct pz_dub_params *p, const struct pz_fit_plan *plan, float gain[8])
{
    enum pz_status st;
    int ch = p->sound->channels;
    int64_t n = plan->b - plan->a;
    float *x = pz_calloc((size_t)n * (size_t)ch, sizeof *x);
    double cross[8] = {0}, own = 0.0;

    if (!x)
        return PZ_ERR_NOMEM;
    PZ_TRY(p->sound->read(p->sound->user, plan->a, x, n));
    for (int64_t i = 0; i < n; i++) {
        double m = 0.0;

        for (int c = 0; c < ch; c++)
            m += x[i * ch + c];
        m /= ch;
        own += m * m;
        for (int c = 0; c < ch; c++)
            cross[c] += m * x[i * ch + c];
    }
    for (int c = 0; c < ch; c++)
        gain[c] = own > 1e-12 ? (float)fmax(0.0, fmin(ch, cross[c] / own)) : 1.0f;
fail:
    pz_free(x);
    return st;
}

enum pz_status pz_join_render(const struct pz_dub_params *p, const struct pz_speaker *s,
                              const struct pz_fit_plan *plan, const float *word, float *out)
{
    enum pz_status st;
    int ch = p->sound->channels;
    int64_t fade = pz_fit_fade(p->sound->rate), ta, tb;
    float gain[8] = {0}, *edge = NULL;

    if (fade > plan->n / 2)
        fade = plan->n / 2;
    memset(out, 0, (size_t)plan->n * (size_t)ch * sizeof *out);
    PZ_TRY(panning(p, plan, gain));
    if (find_tone(p, s, &ta, &tb))
        PZ_TRY(grow(p, ta, tb, out, plan->n));
    for (int64_t i = 0; i < plan->word_n; i++) {
        int64_t at = plan->word_at + i;
        double in = ((double)i + 0.5) / (double)fade, end = ((double)(plan->word_n - i) - 0.5) / (double)fade;
        double u = fmin(1.0, fmin(in, end));
        float w = (float)sin(0.5 * M_PI * u) * word[i];

        if (at < 0 || at >= plan->n)
            continue;
        for (int c = 0; c < ch; c++)
            out[at * ch + c] += gain[c] * w;
    }
    // Ends: the template carries on into the first and last fade.
    edge = pz_calloc((size_t)fade * (size_t)ch + 1, sizeof *edge);
    if (!edge) {
        st = PZ_ERR_NOMEM;
        goto fail;
    }
    PZ_TRY(p->sound->read(p->sound->user, plan->a, edge, fade));
    pz_crossfade(edge, out, out, fade, ch);
    PZ_TRY(p->sound->read(p->sound->user, plan->b - fade, edge, fade));
    pz_crossfade(out + (plan->n - fade) * ch, edge, out + (plan->n - fade) * ch, fade, ch);
    st = PZ_OK;
fail:
    pz_free(edge);
    return st;
}
