/* Speeds are in region sides (radians for the turn) per second at 25 frames a second. A still head's region
 * rests; a moving one's lags by at most 1/(2π·RISE) of its side, far less than the landmarker was trained
 * for. */
#include "face/steady.h"

#include <math.h>

#define RATE 25.0f
#define LEAST_HZ 0.5f
#define RISE 10.0f
#define SPEED_HZ 1.0f

static float share(float hz, float dt)
{
    float tau = 1 / (6.2831853f * hz);
    return dt / (dt + tau);
}

void pz_steady_roi(struct pz_steady *s, int64_t frame, struct pz_face_rect *r)
{
    float v[4] = {r->cx, r->cy, logf(fmaxf(r->w, 1)), r->angle}, unit[4] = {r->w, r->w, 1, 1};
    float dt = (float)(frame - s->frame) / RATE;
    if (!s->any || dt <= 0 || dt > 0.5f) {
        *s = (struct pz_steady){.any = true, .frame = frame, .v = {v[0], v[1], v[2], v[3]}};
        return;
    }
    while (v[3] - s->v[3] > 3.14159265f)
        v[3] -= 6.2831853f;
    while (v[3] - s->v[3] < -3.14159265f)
        v[3] += 6.2831853f;
    for (int i = 0; i < 4; i++) {
        float speed = (v[i] - s->v[i]) / fmaxf(unit[i], 1e-3f) / dt;
        s->speed[i] += share(SPEED_HZ, dt) * (speed - s->speed[i]);
        s->v[i] += share(LEAST_HZ + RISE * fabsf(s->speed[i]), dt) * (v[i] - s->v[i]);
    }
    s->frame = frame;
    r->cx = s->v[0];
    r->cy = s->v[1];
    r->w = r->h = expf(s->v[2]);
    r->angle = s->v[3];
}
