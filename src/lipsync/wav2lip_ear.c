// Sound to embeddings, see wav2lip_ear.h. Knows neither weights nor pictures.
#include "lipsync/wav2lip_ear.h"

#include <string.h>

#include "audio/features.h"
#include "base/mem.h"
#include "tensor/profile.h"

/* The whole sound's mel, at least `least` frames long (silence behind a shorter one): [frames][80]. */
static enum pz_status mel_of(const float *speech, int64_t n_speech, int least, struct pz_log *log,
                             float **mel, int64_t *frames)
{
    struct pz_wav2lip_mel *front = NULL;
    int64_t n = pz_wav2lip_mel_frames(n_speech), room = n < least ? least : n;
    float *x = pz_calloc((size_t)room, PZ_WAV2LIP_BANDS * sizeof *x);
    enum pz_status st = x ? pz_wav2lip_mel_create(log, PZ_MEL_PAD_REFLECT, &front) : PZ_ERR_NOMEM;
    if (st < PZ_OK) {
        pz_free(x);
        return pz_fail(log, st, "no memory for the sound's mel bands");
    }
    pz_wav2lip_mel_run(front, speech, n_speech, 0, n, x);
    for (int64_t i = n * PZ_WAV2LIP_BANDS; i < room * PZ_WAV2LIP_BANDS; i++)
        x[i] = -4.0f;
    pz_wav2lip_mel_destroy(&front);
    *mel = x;
    *frames = room;
    return PZ_OK;
}

enum pz_status pz_wav2lip_ear_hear(const struct pz_wav2lip_ear *e, const float *speech, int64_t n_speech,
                                   const double *times, int n, const struct pz_job *job, float *out)
{
    enum pz_status st = PZ_OK;
    struct pz_session *s = NULL;
    float *mel = NULL;
    int64_t frames = 0;
    const size_t width = (size_t)e->width, columns = (size_t)e->columns, window = PZ_WAV2LIP_BANDS * columns;
    PZ_TRY(mel_of(speech, n_speech, e->columns, job->log, &mel, &frames));
    PZ_TRY(pz_session_create(e->plan, job->log, &s));
    PZ_TRY(pz_session_profile(s, job->profile, e->name));
    float *in = pz_session_input(s, "mel", 0).data;
    const float *embedding = pz_session_output(s, "embedding", 0).data;
    for (int i = 0; i < n; i += PZ_WAV2LIP_EAR_BATCH) {
        int now = n - i < PZ_WAV2LIP_EAR_BATCH ? n - i : PZ_WAV2LIP_EAR_BATCH;
        for (int b = 0; b < now; b++) {
            const float *from =
                mel + pz_wav2lip_window(times[i + b], e->columns, e->before, frames) * PZ_WAV2LIP_BANDS;
            for (size_t k = 0; k < window; k++)
                in[(size_t)b * window + k] = from[k % columns * PZ_WAV2LIP_BANDS + k / columns];
        }
        PZ_TRY(pz_session_run(s, job->pool));
        memcpy(out + (size_t)i * width, embedding, (size_t)now * width * sizeof *out);
    }
fail:
    pz_session_destroy(&s);
    pz_free(mel);
    return st;
}
