/* Labels of a picture: points, what is hidden, pose, parts, depth. Everything is read off the same vertices
 * and buffers that made the picture. */
#include <string.h>

#include "points.h"
#include "quick_render.h"
#include "skin.h"

/** Is a projected point in front of, or hardly behind, what the picture shows there? */
static int seen(const struct pz_q_work *w, struct pz_q_pt p)
{
    int x = (int)floorf(p.x), y = (int)floorf(p.y);
    if (p.q <= 0.f || x < 0 || y < 0 || x >= w->size || y >= w->size)
        return 0;
    const float *q = w->vis.q + ((size_t)y * (size_t)w->size + (size_t)x) * 4;
    for (int k = 0; k < 4; k++)
        if (q[k] <= 0.f || 1.f / p.q - 1.f / q[k] < .3f)
            return 1;
    return 0;
}

static void put_points(struct pz_q_work *w, const struct pz_q_label *l, float *hidden)
{
    struct v3 mark[PZ_SYN_N_MARKS];
    int hid = 0;
    pz_syn_marks_place(w->pos, mark);
    /* Zero depth at the head's origin. */
    struct v3 o = pz_q_place(w, v3(0, 0, 0), 1.f);
    float per_cm = w->focal / (w->dist - o.z);
    for (int i = 0; i < PZ_SYN_N_MARKS; i++) {
        struct v3 p = mark[i];
        struct pz_q_pt q = pz_q_project(w, p);
        int v = seen(w, q);
        if (l->landmark) {
            l->landmark[i][0] = q.x;
            l->landmark[i][1] = q.y;
            l->landmark[i][2] = (o.z - p.z) * per_cm;
        }
        if (l->visible)
            l->visible[i] = (uint8_t)v;
        hid += !v && i < PZ_SYN_MARK_TEETH;
    }
    *hidden = (float)hid / PZ_SYN_MARK_TEETH;
}

static uint16_t to_half(float f)
{
    uint32_t u;
    memcpy(&u, &f, 4);
    uint32_t s = u >> 16 & 0x8000u, m = u & 0x7fffffu;
    int e = (int)(u >> 23 & 255u) - 112;
    if (e >= 31)
        return (uint16_t)(s | 0x7c00u);
    if (e <= 0)
        return (uint16_t)s;
    m += 0xfffu + (m >> 13 & 1u);
    return (uint16_t)(s | (((uint32_t)e << 10) + (m >> 13)));
}

/** Rotation as a quaternion w x y z with w ≥ 0. */
static void quaternion(const struct m3 *m, float *q)
{
    float a = m->r[0].x, b = m->r[1].y, c = m->r[2].z, t = a + b + c;
    if (t > 0.f) {
        float s = sqrtf(t + 1.f) * 2.f;
        q[0] = .25f * s;
        q[1] = (m->r[2].y - m->r[1].z) / s;
        q[2] = (m->r[0].z - m->r[2].x) / s;
        q[3] = (m->r[1].x - m->r[0].y) / s;
    } else if (a > b && a > c) {
        float s = sqrtf(1.f + a - b - c) * 2.f;
        q[0] = (m->r[2].y - m->r[1].z) / s;
        q[1] = .25f * s;
        q[2] = (m->r[0].y + m->r[1].x) / s;
        q[3] = (m->r[0].z + m->r[2].x) / s;
    } else if (b > c) {
        float s = sqrtf(1.f + b - a - c) * 2.f;
        q[0] = (m->r[0].z - m->r[2].x) / s;
        q[1] = (m->r[0].y + m->r[1].x) / s;
        q[2] = .25f * s;
        q[3] = (m->r[1].z + m->r[2].y) / s;
    } else {
        float s = sqrtf(1.f + c - a - b) * 2.f;
        q[0] = (m->r[1].x - m->r[0].y) / s;
        q[1] = (m->r[0].z + m->r[2].x) / s;
        q[2] = (m->r[1].z + m->r[2].y) / s;
        q[3] = .25f * s;
    }
    float k = q[0] < 0.f ? -1.f : 1.f;
    for (int i = 0; i < 4; i++)
        q[i] *= k;
}

static void put_pose(const struct pz_q_work *w, const struct pz_q_label *l)
{
    struct v3 o = pz_q_place(w, v3(0, 0, 0), 1.f);
    if (l->pose) {
        quaternion(&w->rot_head, l->pose);
        l->pose[4] = o.x;
        l->pose[5] = o.y;
        l->pose[6] = o.z - w->dist;
    }
    const struct pz_syn_face_pose *f = &w->state->face;
    for (int k = 0; l->weights && k < PZ_Q_N_WEIGHT; k++)
        l->weights[k] = f->w[w->head->weight_of[k]];
    if (l->gap)
        *l->gap = w->gap;
    if (l->gaze) {
        /* Of each eye in the head, then of both against the camera. */
        struct m3 g = m3_euler(f->gaze_yaw, f->gaze_pitch, 0.f);
        struct v3 d = m3_mul(&w->rot_head, v3(g.r[0].z, g.r[1].z, g.r[2].z));
        l->gaze[0] = f->gaze_yaw;
        l->gaze[1] = f->gaze_pitch;
        l->gaze[2] = atan2f(d.x, d.z);
        l->gaze[3] = -asinf(pz_clampf(d.y, -1.f, 1.f));
    }
    if (l->focal)
        *l->focal = w->focal;
    if (l->centre) {
        l->centre[0] = w->cx;
        l->centre[1] = w->cy;
    }
    if (l->box) {
        float b[4] = {1e9f, 1e9f, -1e9f, -1e9f};
        for (int i = 0; i < 68; i++) {
            const struct pz_q_pt *p = &w->pt[pz_syn_landmark(i)];
            b[0] = fminf(b[0], p->x);
            b[1] = fminf(b[1], p->y);
            b[2] = fmaxf(b[2], p->x);
            b[3] = fmaxf(b[3], p->y);
        }
        float dx = .05f * (b[2] - b[0]), dy = .05f * (b[3] - b[1]);
        l->box[0] = b[0] - dx;
        l->box[1] = b[1] - dy;
        l->box[2] = b[2] + dx;
        l->box[3] = b[3] + dy;
    }
}

static void put_depth(const struct pz_q_work *w, uint16_t *out)
{
    int n = w->size / 4;
    for (int i = 0; i < n * n; i++)
        out[i] = w->deep[i] > 0.f ? to_half(1.f / w->deep[i]) : 0x7c00u;
}

/** The part most of 2×2 pixels show. */
static void put_parts(const struct pz_q_work *w, uint8_t *out)
{
    int n = w->size / 2;
    for (int y = 0; y < n; y++)
        for (int x = 0; x < n; x++) {
            int count[16] = {0}, best = 0;
            for (int j = 0; j < 4; j++) {
                size_t o = (size_t)(2 * y + (j >> 1)) * (size_t)w->size + (size_t)(2 * x + (j & 1));
                count[w->part[o]]++;
            }
            for (int k = 1; k < 16; k++)
                if (count[k] > count[best])
                    best = k;
            out[y * n + x] = (uint8_t)best;
        }
}

void pz_q_label_picture(const struct pz_q_work *w, const struct pz_q_label *l)
{
    if (l->depth)
        put_depth(w, l->depth);
    if (l->parts)
        put_parts(w, l->parts);
}

void pz_q_labels(struct pz_q_work *w, const struct pz_q_label *l)
{
    float hidden = 0;
    put_points(w, l, &hidden);
    put_pose(w, l);
    if (l->attribute) {
        const struct pz_q_look *k = &w->look;
        uint8_t *a = l->attribute;
        float yaw = fabsf(w->state->yaw);
        memset(a, 0, PZ_Q_N_ATTRIBUTE);
        a[0] = (uint8_t)k->beard;
        a[1] = (uint8_t)k->glasses;
        a[2] = yaw > .698f;
        a[3] = k->exposure < .15f;
        a[4] = k->block != PZ_Q_NOTHING && hidden > .05f;
        a[5] = (uint8_t)k->hat;
        a[6] = w->gap > .3f;
        a[7] = k->lipstick > 0.f;
        a[8] = (uint8_t)w->person.tone;
        a[9] = (uint8_t)(k->hair.on ? k->hair.side > 2.5f ? 2 : 1 : 0);
        a[10] = (uint8_t)k->block;
        a[11] = k->exposure > .74f;
        a[12] = (uint8_t)(hidden * 255.f);
        a[13] = w->state->face.w[w->head->weight_of[10]] > .7f;
        a[14] = k->hair.fringe > .5f;
        a[15] = w->person.age > .66f;
    }
}
