/* Poses the head. Does: blend identity once, expressions sparsely per frame, turn lower teeth and gum truly
 * about the jaw axis, bend the tongue, turn eyeballs. Does not: rotate the head (scene.c). Source: fact sheet
 * synth.md §2. */
#include "rig.h"

#include <string.h>

#include "base/mem.h"

static const float kJawY = -.54f, kJawZ = 1.82f;

static void fit_eye(const struct pz_syn_rig *r, int side, struct v3 *c, float *radius)
{
    int a = side ? 23021 : 21451, b = side ? 23791 : 22221;
    struct v3 lo = v3(1e9f, 1e9f, 1e9f), hi = v3(-1e9f, -1e9f, -1e9f);
    for (int v = a; v < b; v++) {
        struct v3 p = r->base[v];
        lo = v3(fminf(lo.x, p.x), fminf(lo.y, p.y), fminf(lo.z, p.z));
        hi = v3(fmaxf(hi.x, p.x), fmaxf(hi.y, p.y), fmaxf(hi.z, p.z));
    }
    *radius = .25f * (hi.x - lo.x + hi.y - lo.y);
    *c = v3(.5f * (lo.x + hi.x), .5f * (lo.y + hi.y), lo.z + 1.64f);
    /* The shell is open behind, so take the depth of the centre from the widest ring. */
    float z = 0, wsum = 0;
    for (int v = a; v < b; v++) {
        struct v3 d = v3_sub(r->base[v], *c);
        float rad = sqrtf(d.x * d.x + d.y * d.y);
        if (rad > .96f * *radius) {
            z += r->base[v].z;
            wsum += 1;
        }
    }
    if (wsum > 0)
        c->z = z / wsum;
}

void pz_syn_rig_fit(const struct pz_syn_asset *a, struct v3 *base, struct pz_syn_rig *r)
{
    memset(r, 0, sizeof *r);
    r->asset = a;
    r->base = base;
    for (int s = 0; s < 2; s++)
        fit_eye(r, s, &r->eye[s], &r->eye_radius[s]);
    r->jaw_open = pz_syn_expr_find(a, "jawOpen");
    r->mouth_close = pz_syn_expr_find(a, "mouthClose");
    r->gap0 = r->base[PZ_SYN_LIP_UPPER].y - r->base[PZ_SYN_LIP_LOWER].y;
    for (int k = 0; k < PZ_SYN_N_EXPR; k++)
        for (int i = 0; i < a->expr[k].n; i++) {
            if (a->expr[k].vertex[i] == PZ_SYN_LIP_UPPER)
                r->gap_w[k] += a->expr[k].delta[i].y;
            if (a->expr[k].vertex[i] == PZ_SYN_LIP_LOWER)
                r->gap_w[k] -= a->expr[k].delta[i].y;
        }
}

enum pz_status pz_syn_rig_open(struct pz_log *log, const struct pz_syn_asset *a, const float *coef,
                               float asym, uint32_t seed, struct pz_syn_rig *r)
{
    memset(r, 0, sizeof *r);
    r->asset = a;
    r->base = pz_calloc(PZ_SYN_N_VERTS, sizeof *r->base);
    if (!r->base)
        return pz_fail(log, PZ_ERR_NOMEM, "rig: out of memory");
    for (int v = 0; v < PZ_SYN_N_VERTS; v++) {
        struct v3 p = a->neutral[v];
        float keep =
            pz_smooth(-14.5f, -9.f, p.y); /* shoulders fit the clothes: identity fades out below the neck */
        for (int k = 0; k < PZ_SYN_N_ID; k++)
            if (coef[k] != 0.f)
                p = v3_madd(p, a->identity[(size_t)k * PZ_SYN_N_VERTS + (size_t)v], coef[k] * keep);
        /* Faces are not symmetric: a smooth warp of a few low frequencies, odd in x. */
        struct v3 q = v3(p.x / 9.f, p.y / 8.f, p.z / 9.f);
        p.x += asym * pz_noise(v3(q.x, q.y, q.z), seed + 1);
        p.y += asym * pz_noise(v3(q.x, q.y, q.z), seed + 2);
        p.z += asym * pz_noise(v3(q.x, q.y, q.z), seed + 3);
        r->base[v] = p;
    }
    pz_syn_rig_fit(a, r->base, r);
    return PZ_OK;
}

void pz_syn_rig_close(struct pz_syn_rig *r)
{
    pz_free(r->base);
    memset(r, 0, sizeof *r);
}

float pz_syn_rig_gap(const struct pz_syn_rig *r, const float *w)
{
    float g = r->gap0;
    for (int k = 0; k < PZ_SYN_N_EXPR; k++)
        g += w[k] * r->gap_w[k];
    return g;
}

static void pose_tongue(const struct pz_syn_rig *r, const struct pz_syn_face_pose *p, struct v3 *out)
{
    const uint8_t *lower = r->asset->lower;
    for (int v = 15226; v < 17039; v++) {
        if (lower[v] != 2)
            continue;
        float s = pz_clampf((r->base[v].z - 3.5f) / 6.25f, 0.f, 1.f);
        float y0 = out[v].y;
        out[v].y += 1.9f * p->tongue_lift * s * s + .35f * p->tongue_out * s * s;
        out[v].y += .9f * p->tongue_back * 4.f * s * (1.f - s);
        out[v].z += -.3f * p->tongue_lift * s * s + 1.1f * p->tongue_out * s * sqrtf(s);
        /* Stay below the palate and the upper incisors' edge. */
        float top = -2.2f - 1.1f * s * s;
        if (out[v].y > top)
            out[v].y = fmaxf(top, y0);
    }
}

static void pose_eyes(const struct pz_syn_rig *r, const struct pz_syn_face_pose *p, struct v3 *out)
{
    struct m3 m = m3_euler(p->gaze_yaw, p->gaze_pitch, 0.f);
    for (int s = 0; s < 2; s++)
        for (int v = s ? 23021 : 21451; v < (s ? 24591 : 23021); v++)
            out[v] = v3_add(r->eye[s], m3_mul(&m, v3_sub(r->base[v], r->eye[s])));
}

void pz_syn_rig_pose(const struct pz_syn_rig *r, const struct pz_syn_face_pose *p, struct v3 *out)
{
    const struct pz_syn_asset *a = r->asset;
    memcpy(out, r->base, PZ_SYN_N_VERTS * sizeof *out);
    float ang = p->w[r->jaw_open] * PZ_SYN_JAW_DEG * 3.14159265f / 180.f, c = cosf(ang), s = sinf(ang);
    for (int k = 0; k < PZ_SYN_N_EXPR; k++) {
        float w = p->w[k];
        if (w == 0.f)
            continue;
        const struct pz_syn_sparse *e = &a->expr[k];
        for (int i = 0; i < e->n; i++) {
            int v = e->vertex[i];
            if (k != r->jaw_open || a->lower[v] != 1)
                out[v] = v3_madd(out[v], e->delta[i], w);
        }
    }
    for (int v = 14062; v < 21451; v++) {
        if (a->lower[v] != 1)
            continue;
        float y = out[v].y - kJawY, z = out[v].z - kJawZ;
        out[v].y = kJawY + c * y - s * z;
        out[v].z = kJawZ + s * y + c * z;
    }
    pose_tongue(r, p, out);
    pose_eyes(r, p, out);
}
