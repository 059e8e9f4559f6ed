// Transcript, value, WAV and --say parsing of any bytes. The input is copied into a block of its exact size,
// so that reading past it is seen.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "speech/lexicon.h"
#include "speech/transcript.h"
#include "speech/voice.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pz_transcript t;
    struct pz_pron pron;
    char *copy = malloc(size + 1), name[65];
    float *samples;
    int64_t n;
    int rate;

    if (!copy)
        return 0;
    if (size)
        memcpy(copy, data, size);
    copy[size] = 0;
    if (pz_transcript_parse(NULL, copy, size, &t) == PZ_OK) {
        if (t.n_words < 1)
            abort();
        for (int v = 0; v < t.n_variables; v++) // every variable's words are marked as its own
            for (int k = 0; k < t.variables[v].n_words; k++)
                if (t.words[t.variables[v].first_word + k].variable != v)
                    abort();
        pz_transcript_free(&t);
    }
    if (pz_value_check(NULL, "v", copy) == PZ_OK && !pz_utf8_valid(copy, strlen(copy)))
        abort();
    (void)!pz_variable_name(NULL, copy, name);
    (void)pz_ipa_parse(copy, &pron);
    free(copy);
    copy = malloc(size ? size : 1);
    if (copy && size)
        memcpy(copy, data, size);
    if (copy && pz_wav_parse(NULL, (const uint8_t *)copy, size, &samples, &n, &rate) == PZ_OK)
        pz_free(samples);
    free(copy);
    return 0;
}
