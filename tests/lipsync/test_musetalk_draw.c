/**
 * MuseTalk's pictures in order, with a small network of the hash rule's weights: a helper that makes the next
 * batch meanwhile changes nothing, whatever the order of drawing and the pictures that are not known before.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/pool.h"
#include "lipsync/musetalk_draw.h"
#include "lipsync/musetalk_look.h"
#include "small_musetalk.h"

enum { SHOWN = 8, LATE = 5, BATCH = 2, TOKENS = 4, WIDTH = 64 };

static char folder[128];

struct sitting {
    float latents[SHOWN][2][PZ_MUSETALK_FLOATS];
    struct pz_musetalk_sitter sitter[SHOWN];
    int heard[SHOWN];
};

struct nets {
    struct pz_musetalk_unet_run *unet;
    struct pz_latent_coder *decoder;
    pthread_mutex_t lock;
    struct pz_pool *pool;
};

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/pz-musetalk-draw-%d", (int)getpid());
    return small_musetalk_write(folder, true, false, SMALL_WHOLE) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    pz_remove_tree(folder);
    return 0;
}

static void hear(void *user, int i, float *out)
{
    ((struct sitting *)user)->heard[i]++;
    for (int k = 0; k < TOKENS * WIDTH; k++)
        out[k] = sinf(0.37f * (float)(k + 11 * i));
}

/* Draws the pictures named in `order`; `out` gets a sum of each. */
static void show(struct nets *n, struct sitting *s, bool overlap, bool calm, const int *order, int count,
                 double *out)
{
    struct pz_musetalk_artist *a;
    struct pz_musetalk_artist_params p = {.unet = n->unet,
                                          .decoder = n->decoder,
                                          .networks = &n->lock,
                                          .calm = calm,
                                          .overlap = overlap,
                                          .n = SHOWN,
                                          .sitter = s->sitter,
                                          .hear = hear,
                                          .user = s,
                                          .heard = TOKENS * WIDTH};
    const float *picture;
    memset(s->heard, 0, sizeof s->heard);
    assert_int_equal(pz_musetalk_artist_create(&p, &a), PZ_OK);
    for (int k = 0; k < count; k++) {
        int i = order[k];
        struct pz_musetalk_sitter own = {s->latents[i][0], s->latents[i][1]};
        assert_int_equal(pz_musetalk_artist_draw(a, i, s->sitter[i].masked ? NULL : &own, n->pool, &picture),
                         PZ_OK);
        out[k] = 0;
        for (int x = 0; x < 3 * PZ_MUSETALK_SIDE * PZ_MUSETALK_SIDE; x++) {
            assert_true(picture[x] >= 0 && picture[x] <= 1);
            out[k] += (double)picture[x] * (1 + x % 13);
        }
    }
    assert_int_equal(pz_musetalk_artist_draw(a, SHOWN, NULL, n->pool, &picture), PZ_ERR_USAGE);
    assert_int_equal(pz_musetalk_artist_draw(a, LATE, NULL, n->pool, &picture), PZ_ERR_USAGE);
    pz_musetalk_artist_destroy(&a); // also while the helper is at work
    assert_null(a);
}

static void a_helper_changes_nothing(void **state)
{
    static const int in_order[SHOWN] = {0, 1, 2, 3, 4, 5, 6, 7}, jumping[7] = {3, 4, 1, 5, 6, 6, 0};
    struct pz_musetalk_files f;
    struct pz_job job = {0};
    struct nets n = {.pool = pz_pool_create(2)};
    struct sitting *s = pz_calloc(1, sizeof *s);
    double alone[SHOWN], helped[SHOWN];
    (void)state;
    assert_non_null(s);
    pthread_mutex_init(&n.lock, NULL);
    for (int i = 0; i < SHOWN; i++) {
        for (int k = 0; k < PZ_MUSETALK_FLOATS; k++) {
            s->latents[i][0][k] = sinf(0.05f * (float)(k + 3 * i));
            s->latents[i][1][k] = cosf(0.11f * (float)(k - i));
        }
        if (i != LATE)
            s->sitter[i] = (struct pz_musetalk_sitter){s->latents[i][0], s->latents[i][1]};
    }
    assert_int_equal(pz_musetalk_find(folder, NULL, NULL, &f), PZ_OK);
    assert_int_equal(
        pz_musetalk_unet_open(f.unet, f.unet_config, BATCH, TOKENS, WIDTH, &pz_plan_default, &job, &n.unet),
        PZ_OK);
    assert_int_equal(pz_latent_coder_open(f.vae, f.vae_config, true, PZ_MUSETALK_SIDE, 1, &pz_plan_default,
                                          &job, &n.decoder),
                     PZ_OK);
    show(&n, s, false, true, in_order, SHOWN, alone);
    show(&n, s, true, true, in_order, SHOWN, helped);
    assert_memory_equal(alone, helped, sizeof alone);
    for (int i = 0; i < SHOWN; i++)
        assert_int_equal(s->heard[i], 1); // nothing is made twice
    show(&n, s, false, false, jumping, 7, alone);
    show(&n, s, true, false, jumping, 7, helped); // ends while more is on its way
    assert_memory_equal(alone, helped, 7 * sizeof *alone);
    pz_musetalk_unet_close(&n.unet);
    pz_latent_coder_close(&n.decoder);
    pz_musetalk_files_free(&f);
    pthread_mutex_destroy(&n.lock);
    pz_pool_destroy(&n.pool);
    pz_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_helper_changes_nothing)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
