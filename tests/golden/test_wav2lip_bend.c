/**
 * The embedded networks of wav2lip:embedded against training/wav2lip/model.py: weights and inputs by the hash
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
        int wish =
            pz_graph_input(t.g, "wish", (struct pz_shape){.rank = 4, .dim = {B, 1, 1, PZ_W2L_BEND_WISH}});
        pz_graph_output(t.g, "mouth", pz_wav2lip_bend_audio(t.p, mel));
        pz_wav2lip_bend_face(t.p, wish, face, &flow, &look);
        pz_graph_output(t.g, "flow", flow);
        pz_graph_output(t.g, "look", look);
        golden_plan(&t, backend, 90, 6720826);
        golden_input(&t, "mel", 1010, -4, 4, 1);
        golden_input(&t, "face", 1011, 0, 1, 1);
        golden_input(&t, "wish", 1012, -1, 1, 0);
        float *x = pz_session_input(t.s, "face", 0).data;
        for (int b = 0; b < B; b++)
            for (int y = PZ_W2L_BEND_HIDDEN; y < S; y++)
                for (int i = 0; i < S; i++)
                    for (int k = 0; k < 3; k++)
                        x[((b * S + y) * S + i) * PZ_W2L_BEND_INPUTS + k] = 0;
        golden_run(&t);
        golden_expect(&t, "mouth", 1, 164,
                      &(struct golden_line){
                          -.034875998,
                          .44493667,
                          NAN,
                          NAN,
                          {{0, -.41154173}, {54, .18132457}, {82, -.54604238}, {163, -.84921098}, {-1, 0}}});
        golden_expect(
            &t, "flow", 1, 131072,
            &(struct golden_line){
                .29055187,
                1.1936697,
                NAN,
                NAN,
                {{0, -.1217995}, {43690, .074276052}, {65536, -.18112968}, {131071, .21321887}, {-1, 0}}});
        golden_expect(
            &t, "look", 1, 163840,
            &(struct golden_line){
                .45504775,
                .13370648,
                NAN,
                NAN,
                {{0, .61039835}, {54613, .59858304}, {81920, .58507353}, {163839, .52897906}, {-1, 0}}});
        golden_end(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_network)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
