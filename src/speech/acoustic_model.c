// The files of an acoustic model of CMU Sphinx with phonetically tied mixtures: mdef (binary: phones in
// context and the states they are made of), means, variances (numbers behind a text header) and sendump
// (mixture weights of 8 bits). Nothing is believed before it was checked: a model may come from anywhere.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "speech/acoustic_impl.h"

#define FILE_MAX ((size_t)64 << 20)
#define MDEF_MAGIC 0x46444d42 /* "BMDF" as a little-endian machine wrote it */
#define DATA_MAGIC 0x11223344
#define MAX_PLAIN 64
#define MAX_PHONES 2000000
#define MAX_STATES 60000
#define LEAST_VARIANCE ((double)1e-4f)
/* Cepstra reach some hundreds. With means so large and the least variance all sums still fit into floats. */
#define MOST_MEAN 1e6
#define MOST_VARIANCE 1e12

/** A file that is read from front to back; once `bad`, everything is 0. */
struct reader {
    char *data;
    size_t n, at;
    bool bad;
};

static const char *take(struct reader *r, size_t n)
{
    const char *p = r->data + r->at;

    if (r->bad || n > r->n - r->at) {
        r->bad = true;
        return NULL;
    }
    r->at += n;
    return p;
}

static int32_t take_int(struct reader *r)
{
    const char *p = take(r, sizeof(int32_t));
    int32_t v = 0;

    if (p)
        memcpy(&v, p, sizeof v);
    return v;
}

static enum pz_status reader_open(struct pz_log *log, const char *dir, const char *name, struct reader *r)
{
    char *path = pz_path_join(dir, name);
    enum pz_status st = path ? pz_file_read(log, path, FILE_MAX, &r->data, &r->n) : PZ_ERR_NOMEM;

    pz_free(path);
    return st == PZ_ERR_INPUT ? PZ_ERR_WEIGHTS : st;
}

static enum pz_status damaged(struct pz_log *log, const char *name)
{
    return pz_fail(log, PZ_ERR_WEIGHTS,
                   "speech recogniser: %s of the acoustic model is damaged or of another kind", name);
}

/** Names of the plain phones; finds ours among them. */
static enum pz_status read_names(struct pz_acoustic *a, struct reader *r, int *silence)
{
    const size_t first = r->at;

    for (int p = 0; p < PZ_PH_COUNT; p++)
        a->phone_of[p] = -1;
    for (int i = 0; i < a->n_plain; i++) {
        const char *name = r->data + r->at;
        const char *end = memchr(name, 0, r->n - r->at);
        int p;

        if (!end)
            return PZ_ERR_WEIGHTS;
        r->at += (size_t)(end - name) + 1;
        p = pz_phone_from_name(name);
        if (p >= 0 && p != PZ_PH_AX)
            a->phone_of[p] = i;
    }
    a->phone_of[PZ_PH_AX] = a->phone_of[PZ_PH_AH]; // the model has no AX
    *silence = a->phone_of[PZ_PH_SIL];
    for (int p = 0; p < PZ_PH_COUNT; p++)
        if (a->phone_of[p] < 0)
            return PZ_ERR_WEIGHTS;
    (void)take(r, (4 - (r->at - first) % 4) % 4);
    return r->bad ? PZ_ERR_WEIGHTS : PZ_OK;
}

/** Phone `i` of the file: [sequence, transition matrix (int32), then a filler flag or position, phone, left
 * and right neighbour (bytes)]. */
static enum pz_status take_phone(struct pz_acoustic *a, struct reader *r, int i)
{
    int32_t sequence = take_int(r), matrix = take_int(r);
    const char *p = take(r, 4);
    unsigned char where, phone, left, right;

    (void)matrix;
    if (!p || sequence < 0 || sequence >= a->n_sequences)
        return PZ_ERR_WEIGHTS;
    if (i < a->n_plain) {
        a->plain[i] = sequence;
        return PZ_OK;
    }
    where = (unsigned char)p[0];
    phone = (unsigned char)p[1];
    left = (unsigned char)p[2];
    right = (unsigned char)p[3];
    if (where >= POSITIONS || phone >= a->n_plain || left >= a->n_plain || right >= a->n_plain)
        return PZ_ERR_WEIGHTS;
    a->triphones[((phone * a->n_plain + left) * a->n_plain + right) * POSITIONS + where] = sequence;
    return PZ_OK;
}

/** Whose densities the states of a sequence mix. */
static enum pz_status own(struct pz_acoustic *a, int32_t sequence, int phone)
{
    for (int k = 0; k < STATES; k++) {
        uint16_t s = a->sequences[sequence * STATES + k];

        if (s >= a->n_states)
            return PZ_ERR_WEIGHTS;
        a->sound_of[s] = (uint16_t)phone;
    }
    return PZ_OK;
}

static enum pz_status read_phones(struct pz_acoustic *a, struct reader *r, int n_phones)
{
    const size_t contexts = (size_t)a->n_plain * (size_t)a->n_plain * POSITIONS;
    enum pz_status st = PZ_ERR_NOMEM;
    const char *p;

    a->plain = pz_calloc((size_t)a->n_plain, sizeof *a->plain);
    a->triphones = pz_calloc((size_t)a->n_plain * contexts, sizeof *a->triphones);
    a->sequences = pz_calloc((size_t)a->n_sequences * STATES, sizeof *a->sequences);
    a->sound_of = pz_calloc((size_t)a->n_states, sizeof *a->sound_of);
    if (!a->plain || !a->triphones || !a->sequences || !a->sound_of)
        goto fail;
    memset(a->triphones, 0xFF, (size_t)a->n_plain * contexts * sizeof *a->triphones);
    for (int i = 0; i < n_phones; i++)
        PZ_TRY(take_phone(a, r, i));
    st = PZ_ERR_WEIGHTS;
    if (take_int(r) != a->n_sequences * STATES)
        goto fail;
    p = take(r, (size_t)a->n_sequences * STATES * sizeof *a->sequences);
    if (!p)
        goto fail;
    memcpy(a->sequences, p, (size_t)a->n_sequences * STATES * sizeof *a->sequences);
    for (int i = 0; i < a->n_plain; i++)
        PZ_TRY(own(a, a->plain[i], i));
    for (size_t i = 0; i < (size_t)a->n_plain * contexts; i++)
        if (a->triphones[i] >= 0)
            PZ_TRY(own(a, a->triphones[i], (int)(i / contexts)));
fail:
    return st;
}

static enum pz_status read_mdef(struct pz_acoustic *a, const char *dir)
{
    struct reader r = {0};
    enum pz_status st;
    int32_t head[10]; /* plain phones, phones, states of one, plain states, states, transition matrices,
                         sequences, neighbours, nodes of the tree, silence */
    int silence;

    PZ_TRY(reader_open(a->log, dir, "mdef", &r));
    st = PZ_ERR_WEIGHTS;
    if (take_int(&r) != MDEF_MAGIC)
        goto fail;
    (void)take_int(&r); // version
    {
        int32_t text = take_int(&r); // what the file says of itself

        (void)take(&r, text < 0 ? r.n : (size_t)text);
    }
    for (int i = 0; i < 10; i++)
        head[i] = take_int(&r);
    if (r.bad || head[0] < 1 || head[0] > MAX_PLAIN || head[1] < head[0] || head[1] > MAX_PHONES ||
        head[2] != STATES || head[4] < 1 || head[4] > MAX_STATES || head[6] < 1 || head[6] > MAX_PHONES ||
        head[8] < 0 || head[8] > MAX_PHONES)
        goto fail;
    a->n_plain = head[0];
    a->n_states = head[4];
    a->n_sequences = head[6];
    PZ_TRY(read_names(a, &r, &silence));
    (void)take(&r, (size_t)head[8] * 8); // the tree: the phones behind it say the same
    PZ_TRY(read_phones(a, &r, head[1]));
fail:
    pz_free(r.data);
    return st == PZ_ERR_WEIGHTS ? damaged(a->log, "mdef") : st;
}

/** Means or variances into `out` [n_plain][STREAMS][DENSITIES][CEPSTRA]. */
static enum pz_status read_densities(const struct pz_acoustic *a, const char *dir, const char *name,
                                     float **out)
{
    static const char end[] = "endhdr\n";
    const size_t count = (size_t)a->n_plain * STREAMS * DENSITIES * CEPSTRA;
    struct reader r = {0};
    enum pz_status st;
    const char *head, *p;

    PZ_TRY(reader_open(a->log, dir, name, &r));
    st = PZ_ERR_WEIGHTS;
    head = strstr(r.data, end); // what was read ends with a zero
    if (!head)
        goto fail;
    r.at = (size_t)(head - r.data) + sizeof end - 1;
    if (take_int(&r) != DATA_MAGIC || take_int(&r) != a->n_plain || take_int(&r) != STREAMS ||
        take_int(&r) != DENSITIES)
        goto fail;
    for (int s = 0; s < STREAMS; s++)
        if (take_int(&r) != CEPSTRA)
            goto fail;
    if (take_int(&r) != (int32_t)count)
        goto fail;
    p = take(&r, count * sizeof **out);
    if (!p)
        goto fail;
    st = PZ_ERR_NOMEM;
    *out = pz_calloc(count, sizeof **out);
    if (!*out)
        goto fail;
    memcpy(*out, p, count * sizeof **out);
    st = PZ_OK;
fail:
    pz_free(r.data);
    return st == PZ_ERR_WEIGHTS ? damaged(a->log, name) : st;
}

/** Densities as polynomials of x, one after the other for each coefficient. */
static enum pz_status make_polynomials(struct pz_acoustic *a, const float *mean, const float *variance)
{
    const size_t n = (size_t)a->n_plain * STREAMS;

    a->square = pz_calloc(n * CEPSTRA * DENSITIES, sizeof *a->square);
    a->line = pz_calloc(n * CEPSTRA * DENSITIES, sizeof *a->line);
    a->base = pz_calloc(n * DENSITIES, sizeof *a->base);
    if (!a->square || !a->line || !a->base)
        return PZ_ERR_NOMEM;
    for (size_t i = 0; i < n; i++)
        for (size_t d = 0; d < DENSITIES; d++) {
            double base = 0.0;

            for (size_t k = 0; k < CEPSTRA; k++) {
                double m = mean[(i * DENSITIES + d) * CEPSTRA + k];
                double v = variance[(i * DENSITIES + d) * CEPSTRA + k];

                // Written so that what is no number is refused too.
                if (!(fabs(m) < MOST_MEAN))
                    return damaged(a->log, "means");
                if (!(fabs(v) < MOST_VARIANCE))
                    return damaged(a->log, "variances");
                v = fmax(v, LEAST_VARIANCE);
                a->square[(i * CEPSTRA + k) * DENSITIES + d] = (float)(-0.5 / v);
                a->line[(i * CEPSTRA + k) * DENSITIES + d] = (float)(m / v);
                base -= 0.5 * (m * m / v + log(2.0 * M_PI * v));
            }
            a->base[i * DENSITIES + d] = (float)base;
        }
    return PZ_OK;
}

/** Mixture weights: strings with their lengths up to an empty one, then densities and states, then bytes. */
static enum pz_status read_mixtures(struct pz_acoustic *a, const char *dir)
{
    const size_t count = (size_t)STREAMS * DENSITIES * (size_t)a->n_states;
    struct reader r = {0};
    enum pz_status st;
    const char *p;

    PZ_TRY(reader_open(a->log, dir, "sendump", &r));
    st = PZ_ERR_WEIGHTS;
    for (;;) {
        int32_t n = take_int(&r);
        const char *text = take(&r, n < 0 ? r.n : (size_t)n);
        int value;

        if (!text)
            goto fail;
        if (n == 0)
            break;
        if (text[n - 1] != 0) // what fills up to a multiple of four
            continue;
        // Weights in clusters or of 4 bits are other kinds.
        if ((sscanf(text, "cluster_count %d", &value) == 1 && value != 0) ||
            (sscanf(text, "cluster_bits %d", &value) == 1 && value != 8) ||
            (sscanf(text, "feature_count %d", &value) == 1 && value != STREAMS))
            goto fail;
    }
    if (take_int(&r) != DENSITIES || take_int(&r) != a->n_states)
        goto fail;
    p = take(&r, count);
    if (!p)
        goto fail;
    st = PZ_ERR_NOMEM;
    a->mix = pz_calloc(count, 1);
    if (!a->mix)
        goto fail;
    memcpy(a->mix, p, count);
    st = PZ_OK;
fail:
    pz_free(r.data);
    return st == PZ_ERR_WEIGHTS ? damaged(a->log, "sendump") : st;
}

enum pz_status pz_acoustic_read(struct pz_acoustic *a, const char *dir)
{
    enum pz_status st;
    float *mean = NULL, *variance = NULL;

    PZ_TRY(read_mdef(a, dir));
    PZ_TRY(read_densities(a, dir, "means", &mean));
    PZ_TRY(read_densities(a, dir, "variances", &variance));
    PZ_TRY(read_mixtures(a, dir));
    PZ_TRY(make_polynomials(a, mean, variance));
fail:
    pz_free(mean);
    pz_free(variance);
    return st;
}
