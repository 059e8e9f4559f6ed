#include "painted.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

void painted_frame(struct painted *s, int64_t i)
{
    for (int y = 0; y < s->pic.height; y++)
        for (int x = 0; x < s->pic.width; x++) {
            float v = 150 + 40 * sinf(0.1f * (float)(x + y)) + 20 * sinf(0.3f * (float)(x - (int)i));
            s->pic.plane[0][y * s->pic.stride[0] + x] = y >= s->splash ? 200 : (uint8_t)v;
            s->pic.plane[1][y / 2 * s->pic.stride[1] + x / 2] = 118;
            s->pic.plane[2][y / 2 * s->pic.stride[2] + x / 2] = 140;
        }
}

static enum pz_status picture(void *user, int64_t i, const struct pz_picture **out)
{
    struct painted *s = user;
    painted_frame(s, i);
    *out = &s->pic;
    return PZ_OK;
}

static const struct pz_face *face(void *user, int64_t i)
{
    return &((struct painted *)user)->face[i];
}

static double frame_time(void *user, int64_t i)
{
    return (double)i / ((struct painted *)user)->fps;
}

bool painted_open(struct painted *s, int n, int side, double fps, struct pz_film *film)
{
    memset(s, 0, sizeof *s);
    s->n = n;
    s->fps = fps;
    s->splash = side;
    s->n_speech = (int)(16000 * (n / fps + 0.9));
    s->speech = pz_calloc((size_t)s->n_speech, sizeof *s->speech);
    s->face = pz_calloc((size_t)n, sizeof *s->face);
    s->frames = pz_calloc((size_t)n, sizeof *s->frames);
    if (!s->speech || !s->face || !s->frames || pz_picture_alloc(&s->pic, side, side) < PZ_OK)
        return false;
    for (int i = 0; i < s->n_speech; i++)
        s->speech[i] = 0.3f * sinf((float)i * (0.05f + 1e-6f * (float)i));
    for (int i = 0; i < n; i++)
        s->frames[i] = i;
    *film = (struct pz_film){.user = s,
                             .n_frames = n,
                             .frame_time = frame_time,
                             .picture = picture,
                             .face = face,
                             .topology = &puppet_topology,
                             .speech = s->speech,
                             .n_speech = s->n_speech,
                             .fit_frames = s->frames,
                             .n_fit_frames = n,
                             .asked_frames = s->frames,
                             .n_asked_frames = n};
    return true;
}

void painted_close(struct painted *s)
{
    pz_picture_free(&s->pic);
    pz_free(s->speech);
    pz_free(s->face);
    pz_free(s->frames);
    memset(s, 0, sizeof *s);
}

struct pz_speech_span painted_span(const struct painted *s, int first, int n, double at,
                                   const struct pz_face **faces, double *times)
{
    for (int i = 0; i < n; i++) {
        faces[i] = &s->face[first + i];
        times[i] = at + i / s->fps;
    }
    return (struct pz_speech_span){.speech = s->speech,
                                   .n_speech = s->n_speech,
                                   .n_frames = n,
                                   .frame_times = times,
                                   .faces = faces,
                                   .topology = &puppet_topology,
                                   .blend_s = 0.12};
}

static void keep(void *user, enum pz_log_level level, const char *text)
{
    if (level == PZ_LOG_ERROR)
        snprintf(user, 1024, "%s", text);
}

struct pz_log *painted_log(char *said)
{
    return pz_log_create(keep, said, PZ_LOG_ERROR);
}
