// Whisper's rank file of any bytes: the first two choose the size of the model's vocabulary, the last 64 are
// spoken and read back with whatever was made of the rest.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "speech/whisper_vocab.h"

#define TAIL 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pz_whisper_vocab *v;
    int ids[4 * TAIL], ends[4 * TAIL];

    if (size < 2 + TAIL)
        return 0;
    size_t n = size - 2 - TAIL;
    char *ranks = malloc(n + 1), *text = malloc(TAIL);
    if (!ranks || !text)
        abort();
    memcpy(ranks, data + 2, n);
    memcpy(text, data + size - TAIL, TAIL);
    int n_vocab = 1509 + 256 + (data[0] | data[1] << 8);
    if (pz_whisper_vocab_parse(NULL, ranks, n, "fuzz", n_vocab, &v) == PZ_OK) {
        int k = pz_whisper_vocab_encode(v, text, TAIL, ids, 4 * TAIL);
        if (k < 1 || k > TAIL) // every token is at least one byte
            abort();
        for (int i = 0; i < k; i++)
            if (ids[i] < 0 || ids[i] >= pz_whisper_vocab_special(v)->end_of_text)
                abort();
        char *back = pz_whisper_vocab_decode(v, ids, k);
        int words = pz_whisper_vocab_words(v, data[0] & 1 ? "ja" : "en", ids, k, ends);
        if (!back || words < 1 || words > k || ends[words - 1] != k)
            abort();
        for (int i = 1; i < words; i++)
            if (ends[i] <= ends[i - 1])
                abort();
        pz_free(back);
        pz_whisper_vocab_close(&v);
    }
    free(ranks);
    free(text);
    return 0;
}
