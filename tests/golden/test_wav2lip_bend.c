/**
 * The embedded network of wav2lip:embedded against training/wav2lip/model.py: weights and inputs by the hash
 * rule, values by PyTorch (norms folded away, flow in units of its head).
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "golden.h"
#include "nn/wav2lip_bend.h"

enum { B = 2, S = PZ_W2L_BEND_SIZE };

static void test_network(void **state)
{
    (void)state;
    for (int backend = 0; backend < GOLDEN_BACKENDS; backend++) {
        struct golden t;
        int flow, look;
        golden_begin(&t, NULL);
        int mel = pz_graph_input(t.g, "mel", (struct pz_shape){.rank = 4, .dim = {B, 80, 32, 1}});
        int face =
            pz_graph_input(t.g, "face", (struct pz_shape){.rank = 4, .dim = {B, S, S, PZ_W2L_BEND_INPUTS}});
        int embedding = pz_wav2lip_bend_audio(t.p, mel);
        pz_wav2lip_bend_face(t.p, embedding, face, &flow, &look);
        pz_graph_output(t.g, "embedding", embedding);
        pz_graph_output(t.g, "flow", flow);
        pz_graph_output(t.g, "look", look);
        golden_plan(&t, backend, 84, 6578937);
        golden_input(&t, "mel", 1010, -4, 4, 1);
        golden_input(&t, "face", 1011, 0, 1, 1);
        float *x = pz_session_input(t.s, "face", 0).data;
        for (int b = 0; b < B; b++)
            for (int y = PZ_W2L_BEND_HIDDEN; y < S; y++)
                for (int i = 0; i < S; i++)
                    for (int k = 0; k < 3; k++)
                        x[((b * S + y) * S + i) * PZ_W2L_BEND_INPUTS + k] = 0;
        golden_run(&t);
        golden_expect(
            &t, "embedding", 1, 512,
            &(struct golden_line){.29244498,
                                  .39194084,
                                  NAN,
                                  NAN,
                                  {{0, .53263021}, {170, .96340328}, {256, .43840879}, {511, 0}, {-1, 0}}});
        golden_expect(
            &t, "flow", 1, 131072,
            &(struct golden_line){
                .33086496,
                .89845602,
                NAN,
                NAN,
                {{0, .59291786}, {43690, .042168986}, {65536, .71822548}, {131071, -.64290309}, {-1, 0}}});
        golden_expect(
            &t, "look", 1, 163840,
            &(struct golden_line){
                .46802704,
                .074726958,
                NAN,
                NAN,
                {{0, .56176603}, {54613, .55905342}, {81920, .54979944}, {163839, .52194446}, {-1, 0}}});
        golden_end(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_network)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
