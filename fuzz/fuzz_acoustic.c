// The recogniser's acoustic model of any bytes. The first byte says which of its four files the others stand
// in for, and whether the rest of a sound one follows where they end; the other files are sound and small,
// and are made here. What is not refused is asked for the states of words and scores a short sound: all of it
// must be numbers. Seeds are how the sound files begin.
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "speech/acoustic_impl.h"
#include "speech/ears.h"

#define PLAIN (PZ_PH_COUNT - 1) /* without AX: as in PocketSphinx' own */
#define TRIPHONES 24
#define SEQUENCES 3 /* the first is the first phone's alone, whose densities are how those files begin */
#define N_STATES (SEQUENCES * STATES)
#define SAMPLES 2000
#define FOLLOWED 4 /* bit of the first byte */

enum { MDEF, MEANS, VARIANCES, SENDUMP, N_FILES };

static const char *const names[N_FILES] = {"mdef", "means", "variances", "sendump"};

struct bytes {
    uint8_t *data;
    size_t n, room;
};

static struct bytes sound[N_FILES], mixed;
static char *dir;
static int changed = -1; // the file that is not sound now

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void add(struct bytes *b, const void *data, size_t n)
{
    if (b->n + n > b->room) {
        b->room = 2 * (b->n + n);
        b->data = realloc(b->data, b->room);
        if (!b->data)
            abort();
    }
    if (n)
        memcpy(b->data + b->n, data, n);
    b->n += n;
}

static void add_int(struct bytes *b, int32_t v)
{
    add(b, &v, sizeof v);
}

static void make_mdef(struct bytes *b)
{
    static const char says[] = "BEGIN FILE FORMAT DESCRIPTION";
    const int32_t head[10] = {
        PLAIN, PLAIN + TRIPHONES, STATES, PLAIN * STATES, N_STATES, PLAIN, SEQUENCES, 1, 2, 0};
    size_t first;

    add(b, "BMDF", 4);
    add_int(b, 1);
    add_int(b, sizeof says);
    add(b, says, sizeof says);
    add(b, head, sizeof head);
    first = b->n;
    for (int p = 1; p < PZ_PH_COUNT; p++)
        if (p != PZ_PH_AX)
            add(b, pz_phone_name(p), strlen(pz_phone_name(p)) + 1);
    add(b, pz_phone_name(PZ_PH_SIL), strlen(pz_phone_name(PZ_PH_SIL)) + 1);
    add(b, "\0\0\0", (4 - (b->n - first) % 4) % 4);
    for (int i = 0; i < 2 * head[8]; i++)
        add_int(b, i);
    for (int i = 0; i < PLAIN + TRIPHONES; i++) {
        const uint8_t in_context[4] = {(uint8_t)(i % POSITIONS), (uint8_t)(i % PLAIN),
                                       (uint8_t)(i * 7 % PLAIN), (uint8_t)(i * 11 % PLAIN)};

        add_int(b, i % PLAIN ? 1 + i % (SEQUENCES - 1) : 0);
        add_int(b, i % PLAIN); // transition matrix
        add(b, i < PLAIN ? (const uint8_t[4]){0} : in_context, 4);
    }
    add_int(b, SEQUENCES * STATES);
    for (int i = 0; i < SEQUENCES * STATES; i++) {
        uint16_t s = (uint16_t)(i % N_STATES);

        add(b, &s, sizeof s);
    }
}

static void make_densities(struct bytes *b, float first)
{
    static const char head[] = "s3\nversion 1.0\nchksum0 no\n         endhdr\n";
    const int32_t counts[] = {0x11223344, PLAIN,   STREAMS, DENSITIES,
                              CEPSTRA,    CEPSTRA, CEPSTRA, PLAIN * STREAMS * DENSITIES * CEPSTRA};

    add(b, head, sizeof head - 1);
    add(b, counts, sizeof counts);
    for (int i = 0; i < counts[7]; i++) {
        float v = first + (float)(i % 31) / 8.0f;

        add(b, &v, sizeof v);
    }
}

static void make_sendump(struct bytes *b)
{
    // Each with room up to a multiple of four, as the files have it; without, the reader passes over them.
    static const char *const says[] = {"feature_count 3", "mixture_count 128", "cluster_count 0",
                                       "cluster_bits 8"};

    for (int i = 0; i < 4; i++) {
        add_int(b, (int32_t)strlen(says[i]) + 1);
        add(b, says[i], strlen(says[i]) + 1);
    }
    add_int(b, 0);
    add_int(b, DENSITIES);
    add_int(b, N_STATES);
    for (int i = 0; i < STREAMS * DENSITIES * N_STATES; i++)
        add(b, &(uint8_t){(uint8_t)(i * 37)}, 1);
}

static void put(int file, const struct bytes *b)
{
    char *path = pz_path_join(dir, names[file]);
    FILE *f = path ? fopen(path, "wb") : NULL;

    if (!f || fwrite(b->data, 1, b->n, f) != b->n || fclose(f) != 0)
        abort();
    pz_free(path);
}

static void done(void)
{
    pz_remove_tree(dir);
    pz_free(dir);
    for (int i = 0; i < N_FILES; i++)
        free(sound[i].data);
    free(mixed.data);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    make_mdef(&sound[MDEF]);
    make_densities(&sound[MEANS], -2.0f);
    make_densities(&sound[VARIANCES], 0.5f);
    make_sendump(&sound[SENDUMP]);
    dir = pz_asprintf("%s/pz-fuzz-acoustic-XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
    if (!dir || !mkdtemp(dir))
        abort();
    for (int i = 0; i < N_FILES; i++)
        put(i, &sound[i]);
    atexit(done);
    return 0;
}

/** Words and sound with what was made of the files. */
static void use(struct pz_acoustic *a)
{
    static const struct pz_pron all = {.phones = {PZ_PH_AA, PZ_PH_AX, PZ_PH_ZH, PZ_PH_AH, PZ_PH_B, PZ_PH_OY},
                                       .n = 6},
                                one = {.phones = {PZ_PH_EY}, .n = 1};
    uint16_t states[7 * STATES];
    float samples[SAMPLES];
    struct pz_scores s;

    pz_acoustic_chain(a, &all, states);
    pz_acoustic_chain(a, &one, states + (size_t)all.n * STATES);
    for (int i = 0; i < 7 * STATES; i++)
        if (states[i] >= a->n_states)
            abort();
    for (int i = 0; i < SAMPLES; i++)
        samples[i] = 0.3f * sinf((float)(i * i) * 1e-4f);
    if (pz_acoustic_score(a, PZ_ACOUSTIC_AS_IS, samples, SAMPLES, states, 7 * STATES, &s) != PZ_OK ||
        s.frames < 1)
        abort();
    for (int64_t i = 0; i < s.frames * s.n; i++)
        if (!isfinite(s.values[i]))
            abort();
    pz_scores_free(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct pz_acoustic *a;
    int file;

    if (n < 1 || n > 1 << 20)
        return 0;
    file = data[0] % N_FILES;
    mixed.n = 0;
    add(&mixed, data + 1, n - 1);
    if (data[0] & FOLLOWED && n - 1 < sound[file].n)
        add(&mixed, sound[file].data + n - 1, sound[file].n - (n - 1));
    if (changed >= 0 && changed != file)
        put(changed, &sound[changed]);
    put(file, &mixed);
    changed = file;
    if (pz_acoustic_open(NULL, dir, &a) == PZ_OK) {
        use(a);
        pz_acoustic_close(&a);
    }
    return 0;
}
