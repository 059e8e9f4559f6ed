/* The toy head of puppet.h. */
#include "puppet.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"

static const int outer[12] = {13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24};
static const int inner[8] = {25, 26, 27, 28, 29, 30, 31, 32};
static const int pairs[3][2] = {{27, 31}, {26, 32}, {28, 30}};
static const int oval[12] = {34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45};
static const int rigid[12] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
static const uint16_t triangles[1][3] = {{13, 16, 19}};

const struct pz_face_topology puppet_topology = {
    .name = "puppet-60",
    .n_points = PUPPET_POINTS,
    .outer_lip = outer,
    .n_outer_lip = 12,
    .inner_lip = inner,
    .n_inner_lip = 8,
    .lip_pairs = pairs,
    .n_lip_pairs = 3,
    .oval = oval,
    .n_oval = 12,
    .rigid = rigid,
    .n_rigid = 12,
    .eye_outer = {0, 3},
    .eye_inner = {1, 2},
    .nose_tip = 12,
    .chin = 33,
    .mouth_corner = {13, 19},
    .triangles = triangles,
    .n_triangles = 1,
};

void puppet_points(const struct puppet_mouth *m, float p[PUPPET_POINTS][3])
{
    memset(p, 0, sizeof(float) * PUPPET_POINTS * 3);
    for (int i = 0; i < 12; i++) { /* eyes, then a brow line */
        static const float eye_x[4] = {-0.5f, -0.2f, 0.2f, 0.5f};
        p[i][0] = i < 4 ? eye_x[i] : -0.55f + 0.157f * (float)(i - 4);
        p[i][1] = i < 4 ? 0.0f : 0.2f;
        p[i][2] = -0.1f * p[i][0] * p[i][0] - (i < 4 ? 0.05f : 0.0f);
    }
    p[12][1] = -0.5f;
    p[12][2] = 0.25f;
    float half = 0.28f + 0.5f * m->width;
    for (int i = 0; i < 12; i++) { /* outer lip, from the subject's right corner over the top */
        double a = M_PI - 2 * M_PI * i / 12;
        float up = (float)sin(a);
        p[13 + i][0] = half * (float)cos(a);
        p[13 + i][1] = -0.85f + up * 0.1f + (up < 0 ? up * m->gap : 0.0f);
        p[13 + i][2] = 0.1f + m->protrusion * fabsf(up);
    }
    for (int i = 0; i < 8; i++) {
        double a = M_PI - 2 * M_PI * i / 8;
        float up = (float)sin(a);
        float open = up < 0 ? m->gap : 0.0f; /* same drop for all pairs: the mean gap is the gap */
        p[25 + i][0] = 0.85f * half * (float)cos(a);
        p[25 + i][1] = -0.85f + (fabsf(up) < 1e-3f ? -0.5f * m->gap : -open);
        p[25 + i][2] = 0.08f + 0.8f * m->protrusion * fabsf(up);
    }
    p[33][1] = -1.25f - 0.8f * m->gap;
    for (int i = 0; i < 12; i++) {
        double a = M_PI * i / 11;
        p[34 + i][0] = 0.75f * (float)cos(a);
        p[34 + i][1] = -0.45f - 0.75f * (float)sin(a) - 0.6f * m->gap * (float)sin(a);
        p[34 + i][2] = -0.4f + 0.3f * (float)sin(a);
    }
    for (int i = 0; i < 14; i++) {
        float side = i < 7 ? -1.0f : 1.0f;
        int j = i % 7;
        p[46 + i][0] = side * (0.38f + 0.04f * (float)j) + side * 0.2f * m->width;
        p[46 + i][1] = -0.55f - 0.08f * (float)j - 0.05f * (float)j * m->gap;
        p[46 + i][2] = 0.02f;
    }
}

void puppet_face(const struct puppet_mouth *mouth, int64_t frame, float yaw, float pitch, float roll,
                 float scale, float tx, float ty, float noise_px, struct pz_face *out)
{
    float p[PUPPET_POINTS][3];
    puppet_points(mouth, p);
    double y = yaw * M_PI / 180, q = pitch * M_PI / 180, o = roll * M_PI / 180;
    double cy = cos(y), sy = sin(y), cq = cos(q), sq = sin(q), co = cos(o), so = sin(o);
    double r[9] = {co * cy,
                   co * sy * sq - so * cq,
                   co * sy * cq + so * sq,
                   so * cy,
                   so * sy * sq + co * cq,
                   so * sy * cq - co * sq,
                   -sy,
                   cy * sq,
                   cy * cq};
    struct pz_rng rng;
    pz_rng_init(&rng, 99, (uint64_t)frame);
    memset(out, 0, sizeof *out);
    out->frame = frame;
    out->present = 1;
    out->score = 1;
    out->n_points = PUPPET_POINTS;
    for (int i = 0; i < 9; i++)
        out->pose.r[i] = (float)r[i];
    out->pose.scale = scale;
    out->pose.tx = tx;
    out->pose.ty = ty;
    out->pose.yaw = yaw;
    out->pose.pitch = pitch;
    out->pose.roll = roll;
    out->interocular = scale;
    out->lip_gap = mouth->gap;
    for (int i = 0; i < PUPPET_POINTS; i++) {
        double c[3];
        for (int k = 0; k < 3; k++)
            c[k] = r[3 * k] * p[i][0] + r[3 * k + 1] * p[i][1] + r[3 * k + 2] * p[i][2];
        out->xyz[i][0] = (float)(tx + scale * c[0]) + noise_px * pz_rng_normal(&rng);
        out->xyz[i][1] = (float)(ty - scale * c[1]) + noise_px * pz_rng_normal(&rng);
        out->xyz[i][2] =
            (float)(-scale * (c[2] + 0.37)) + noise_px * pz_rng_normal(&rng); /* depth origin floats */
        out->sigma[i] = noise_px;
    }
}
