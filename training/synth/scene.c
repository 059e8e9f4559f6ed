/* Assembles and poses a scene. Does: one mesh of head and clothes, ambient visibility at start, per frame the
 * pose, normals, ambient light, shadow maps and visibility buffer. Does not: shade (shade.c, finish.c).
 * Source: fact sheet synth.md §5.6, §9. */
#include "scene.h"

#include <string.h>

#include "base/mem.h"

enum { N_AMB = 112 };
static const struct v3 kPivot = {0, -9.f, -1.f};

static enum pz_status gather_mesh(struct pz_log *log, struct pz_syn_scene *s)
{
    const struct pz_syn_asset *a = &s->asset;
    const struct pz_syn_cloth *c = &s->cloth;
    s->n_head = PZ_SYN_N_VERTS;
    s->n_vert = s->n_head + c->n_vert;
    s->n_tri = a->n_tri + c->n_tri;
    size_t nv = (size_t)s->n_vert, nt = (size_t)s->n_tri, np = (size_t)s->w * (size_t)s->h;
    s->tri = pz_calloc(nt, 3 * sizeof *s->tri);
    s->uv = pz_calloc(nt, 6 * sizeof *s->uv);
    s->mat = pz_calloc(nt, 1);
    s->pos = pz_calloc(nv, sizeof *s->pos);
    s->nrm = pz_calloc(nv, sizeof *s->nrm);
    s->rest = pz_calloc(nv, sizeof *s->rest);
    s->posed = pz_calloc((size_t)s->n_head, sizeof *s->posed);
    s->transfer = pz_calloc(nv, sizeof *s->transfer);
    s->open = pz_calloc(nv, sizeof *s->open);
    s->amb = pz_calloc(nv, sizeof *s->amb);
    s->pt = pz_calloc(nv, sizeof *s->pt);
    s->hair_pos = pz_calloc((size_t)s->hair.n_pt, sizeof *s->hair_pos);
    s->hair_pt = pz_calloc((size_t)s->hair.n_pt, sizeof *s->hair_pt);
    s->seg_width = pz_calloc((size_t)s->hair.n_seg, sizeof *s->seg_width);
    s->seg_col = pz_calloc((size_t)s->hair.n_seg, sizeof *s->seg_col);
    s->rest_col = pz_calloc(np, sizeof *s->rest_col);
    s->irr = pz_calloc(np, sizeof *s->irr);
    s->irr2 = pz_calloc(np, sizeof *s->irr2);
    s->albedo = pz_calloc(np, sizeof *s->albedo);
    s->skin_w = pz_calloc(np, sizeof *s->skin_w);
    s->skin_z = pz_calloc(np, sizeof *s->skin_z);
    if (!s->tri || !s->uv || !s->mat || !s->pos || !s->nrm || !s->rest || !s->posed || !s->transfer ||
        !s->open || !s->amb || !s->pt || !s->hair_pos || !s->hair_pt || !s->seg_width || !s->seg_col ||
        !s->rest_col || !s->irr || !s->irr2 || !s->albedo || !s->skin_w || !s->skin_z)
        return pz_fail(log, PZ_ERR_NOMEM, "scene: out of memory");
    memcpy(s->tri, a->tri, (size_t)a->n_tri * 3 * sizeof *s->tri);
    memcpy(s->uv, a->tri_uv, (size_t)a->n_tri * 6 * sizeof *s->uv);
    memcpy(s->mat, a->mat, (size_t)a->n_tri);
    for (int i = 0; i < 3 * c->n_tri; i++)
        s->tri[3 * a->n_tri + i] = c->tri[i] + (uint32_t)s->n_head;
    memcpy(s->uv + 6 * (size_t)a->n_tri, c->uv, (size_t)c->n_tri * 6 * sizeof *s->uv);
    memcpy(s->mat + a->n_tri, c->mat, (size_t)c->n_tri);
    memcpy(s->rest, s->rig.base, (size_t)s->n_head * sizeof *s->rest);
    memcpy(s->rest + s->n_head, c->pos, (size_t)c->n_vert * sizeof *s->rest);
    memcpy(s->nrm + s->n_head, c->nrm, (size_t)c->n_vert * sizeof *s->nrm);
    return PZ_OK;
}

static void head_normals(struct pz_syn_scene *s, const struct v3 *pos)
{
    memset(s->nrm, 0, (size_t)s->n_head * sizeof *s->nrm);
    for (int t = 0; t < s->asset.n_tri; t++) {
        const uint32_t *v = s->tri + 3 * (size_t)t;
        struct v3 n = v3_cross(v3_sub(pos[v[1]], pos[v[0]]), v3_sub(pos[v[2]], pos[v[0]]));
        for (int k = 0; k < 3; k++)
            s->nrm[v[k]] = v3_add(s->nrm[v[k]], n);
    }
    for (int v = 0; v < s->n_head; v++)
        s->nrm[v] = v3_norm(s->nrm[v]);
}

/** Evenly spread direction i of n on the sphere (Fibonacci lattice). */
static struct v3 sphere_dir(int i, int n)
{
    float y = 1.f - 2.f * ((float)i + .5f) / (float)n, r = sqrtf(1.f - y * y), a = 2.3999632f * (float)i;
    return v3(r * cosf(a), y, r * sinf(a));
}

struct amb_job {
    struct pz_syn_scene *s;
    struct pz_syn_shadow *sh;
};

static void amb_draw(void *user, int i, int worker)
{
    (void)worker;
    struct amb_job *j = user;
    const struct pz_syn_scene *s = j->s;
    pz_syn_shadow_draw(j->sh, i, s->tri, s->n_tri, s->rest, s->hair.rest, 0);
}

static void amb_gather(void *user, int block, int worker)
{
    (void)worker;
    struct amb_job *j = user;
    struct pz_syn_scene *s = j->s;
    int v0 = block * 512, v1 = v0 + 512 < s->n_vert ? v0 + 512 : s->n_vert;
    for (int k = 0; k < j->sh->n; k++) {
        float y[PZ_SYN_SH];
        struct v3 d = j->sh->dir[k];
        pz_syn_sh_basis(d, y);
        for (int v = v0; v < v1; v++) {
            float c = v3_dot(s->nrm[v], d);
            if (c <= 0.f)
                continue;
            float vis = pz_syn_shadow_get(j->sh, k, v3_madd(s->rest[v], s->nrm[v], .12f), .18f);
            float w = vis * c * 4.f / N_AMB; /* 4π/n solid angle, 1/π of the diffuse law */
            s->open[v] += w;
            for (int q = 0; q < PZ_SYN_SH; q++)
                s->transfer[v][q] += w * y[q];
        }
    }
}

/** Ambient visibility of every vertex at rest, from N_AMB parallel depth maps. */
static enum pz_status bake_ambient(struct pz_log *log, struct pz_syn_scene *s)
{
    struct pz_syn_shadow sh;
    head_normals(s, s->rest);
    if (pz_syn_shadow_open(log, 16, 320, 32.f, v3(0, -8, 0), 0, &sh) != PZ_OK)
        return PZ_ERR_NOMEM;
    struct amb_job j = {s, &sh};
    for (int b = 0; b < N_AMB; b += 16) {
        for (int i = 0; i < 16; i++)
            pz_syn_shadow_aim(&sh, i, sphere_dir(b + i, N_AMB));
        pz_pool_run(s->pool, amb_draw, &j, 16);
        pz_pool_run(s->pool, amb_gather, &j, (s->n_vert + 511) / 512);
    }
    pz_syn_shadow_close(&sh);
    return PZ_OK;
}

static void aim_lights(struct pz_syn_scene *s)
{
    static const float jit[PZ_SYN_N_KEY][2] = {{-.75f, .35f}, {.4f, .8f},   {-.3f, -.7f}, {.8f, -.3f},
                                               {.1f, .2f},    {-.9f, -.2f}, {.5f, -.9f},  {-.15f, .95f}};
    const struct pz_syn_person *p = &s->person;
    for (int i = 0; i < PZ_SYN_N_KEY; i++) {
        float yaw = p->key_yaw + .24f * jit[i][0], pit = p->key_pitch + .20f * jit[i][1];
        pz_syn_shadow_aim(&s->shadow, i, v3(sinf(yaw) * cosf(pit), sinf(pit), cosf(yaw) * cosf(pit)));
    }
    for (int i = 0; i < PZ_SYN_N_RIM; i++) {
        float yaw = p->rim_yaw + .16f * (float)(2 * i - 1), pit = .42f + .1f * (float)i;
        pz_syn_shadow_aim(&s->shadow, PZ_SYN_N_KEY + i,
                          v3(sinf(yaw) * cosf(pit), sinf(pit), cosf(yaw) * cosf(pit)));
    }
}

enum pz_status pz_syn_scene_open(struct pz_log *log, struct pz_pool *pool, const char *head_path,
                                 uint64_t seed, uint64_t person, int w, int h, int ss, struct pz_syn_scene *s)
{
    enum pz_status st = PZ_OK;
    memset(s, 0, sizeof *s);
    if (w < 16 || h < 16 || w > 8192 || h > 8192 || ss < 1 || ss > 4)
        return pz_fail(log, PZ_ERR_USAGE, "scene: size %d x %d or %d samples out of range", w, h, ss);
    s->pool = pool;
    s->w = w;
    s->h = h;
    s->ss = ss;
    s->grain = .011f;
    pz_syn_person_draw(&s->person, seed, person);
    const struct pz_syn_person *p = &s->person;
    float scale = (float)w / 1080.f;
    PZ_TRY(pz_syn_asset_open(log, head_path, &s->asset));
    PZ_TRY(pz_syn_rig_open(log, &s->asset, p->identity, p->asymmetry, p->noise, &s->rig));
    PZ_TRY(pz_syn_skin_bake(log, pool, p, &s->rig, (int)pz_clampf(1400.f * scale, 200.f, 2048.f), &s->skin));
    PZ_TRY(pz_syn_hair_grow(log, p, &s->rig, &s->hair));
    PZ_TRY(pz_syn_cloth_make(log, pool, p, &s->cloth));
    PZ_TRY(pz_syn_backdrop_make(log, pool, p, w, h, &s->back));
    PZ_TRY(gather_mesh(log, s));
    PZ_TRY(pz_syn_vis_open(log, w * ss, h * ss, &s->vis));
    PZ_TRY(pz_syn_shadow_open(log, PZ_SYN_N_KEY + PZ_SYN_N_RIM, 720, 30.f, v3(0, -8.f, 0), 1, &s->shadow));
    PZ_TRY(bake_ambient(log, s));
    aim_lights(s);
    float f = p->px_per_cm * scale * (float)ss;
    s->cam.dist = p->camera_dist;
    s->cam.focal = f * (p->camera_dist - 8.f); /* the face's depth is about 8 cm */
    s->cam.cx = .5f * (float)(w * ss);
    s->cam.cy = .5f * (float)(h * ss) + f * p->look_y;
fail:
    if (st < PZ_OK)
        pz_syn_scene_close(s);
    return st;
}

void pz_syn_scene_close(struct pz_syn_scene *s)
{
    void *all[] = {s->tri,      s->uv,       s->mat, s->pos,  s->nrm,      s->rest,    s->posed,
                   s->transfer, s->open,     s->amb, s->pt,   s->hair_pos, s->hair_pt, s->seg_width,
                   s->seg_col,  s->rest_col, s->irr, s->irr2, s->albedo,   s->skin_w,  s->skin_z};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        pz_free(all[i]);
    pz_syn_vis_close(&s->vis);
    pz_syn_shadow_close(&s->shadow);
    pz_syn_backdrop_close(&s->back);
    pz_syn_cloth_close(&s->cloth);
    pz_syn_hair_close(&s->hair);
    pz_syn_skin_close(&s->skin);
    pz_syn_rig_close(&s->rig);
    pz_syn_asset_close(&s->asset);
    memset(s, 0, sizeof *s);
}

/** The head turns about the neck; the turn fades out down the neck so that the shoulders stay. */
static struct v3 place(const struct pz_syn_scene *s, const struct m3 *half, struct v3 p, float breath)
{
    float k = pz_smooth(-15.f, -6.5f, p.y);
    struct v3 d = v3_sub(p, kPivot), full = v3_add(v3_add(kPivot, m3_mul(&s->head, d)), s->shift);
    struct v3 low = v3_add(p, v3_scale(s->shift, .3f));
    low.y += breath * .10f;
    low.z += breath * .12f * pz_smooth(-13.f, -24.f, p.y);
    if (k >= 1.f)
        return full;
    if (k <= 0.f)
        return low;
    struct v3 mid = v3_add(v3_add(kPivot, m3_mul(half, d)), v3_scale(s->shift, .65f));
    mid.y += breath * .05f;
    return k < .5f ? v3_lerp(low, mid, 2.f * k) : v3_lerp(mid, full, 2.f * k - 1.f);
}

struct frame_job {
    struct pz_syn_scene *s;
    const struct pz_syn_state *st;
    struct m3 half;
};

static void place_block(void *user, int block, int worker)
{
    (void)worker;
    struct frame_job *j = user;
    struct pz_syn_scene *s = j->s;
    int v0 = block * 2048, v1 = v0 + 2048;
    for (int v = v0; v < v1 && v < s->n_vert; v++) {
        struct v3 p = v < s->n_head ? s->posed[v] : s->rest[v];
        s->pos[v] = v < s->n_head ? place(s, &j->half, p, j->st->breath)
                                  : place(s, &j->half, v3(p.x, fminf(p.y, -15.f), p.z), j->st->breath);
        if (v >= s->n_head) {
            /* Clothes follow the shoulders; only the collar's height is kept. */
            s->pos[v].y += p.y - fminf(p.y, -15.f);
        }
        s->pt[v] = pz_syn_project(&s->cam, s->pos[v]);
    }
    for (int v = v0; v < v1 && v < s->hair.n_pt; v++) {
        s->hair_pos[v] = place(s, &j->half, s->hair_pos[v], j->st->breath);
        s->hair_pt[v] = pz_syn_project(&s->cam, s->hair_pos[v]);
    }
}

static void light_block(void *user, int block, int worker)
{
    (void)worker;
    struct frame_job *j = user;
    struct pz_syn_scene *s = j->s;
    for (int v = block * 2048; v < (block + 1) * 2048 && v < s->n_vert; v++) {
        const float *t = s->transfer[v];
        float e[3] = {0, 0, 0};
        for (int q = 0; q < PZ_SYN_SH; q++)
            for (int c = 0; c < 3; c++)
                e[c] += t[q] * s->sh[c][q];
        s->amb[v] = v3(fmaxf(e[0], 0.f), fmaxf(e[1], 0.f), fmaxf(e[2], 0.f));
    }
}

static void shadow_task(void *user, int i, int worker)
{
    (void)worker;
    struct frame_job *j = user;
    struct pz_syn_scene *s = j->s;
    pz_syn_shadow_draw(&s->shadow, i, s->tri, s->n_tri, s->pos, s->hair_pos, s->hair.n_pt);
}

/** The surroundings in the head's frame, so that ambient light stays put when the head turns. */
static void project_env(struct pz_syn_scene *s)
{
    memset(s->sh, 0, sizeof s->sh);
    for (int i = 0; i < 256; i++) {
        struct v3 d = sphere_dir(i, 256), l = pz_syn_env(s, m3_mul(&s->head, d));
        float y[PZ_SYN_SH];
        pz_syn_sh_basis(d, y);
        for (int q = 0; q < PZ_SYN_SH; q++) {
            s->sh[0][q] += l.x * y[q] * 12.566371f / 256.f;
            s->sh[1][q] += l.y * y[q] * 12.566371f / 256.f;
            s->sh[2][q] += l.z * y[q] * 12.566371f / 256.f;
        }
    }
}

static void fill_label(const struct pz_syn_scene *s, struct pz_syn_label *l)
{
    static const int id[4] = {PZ_SYN_LIP_UPPER, PZ_SYN_LIP_LOWER, 6207, 5702};
    float *o[4] = {l->upper, l->lower, l->left, l->right}, k = 1.f / (float)s->ss;
    for (int i = 0; i < 4; i++) {
        o[i][0] = s->pt[id[i]].x * k;
        o[i][1] = s->pt[id[i]].y * k;
    }
    l->gap_cm = s->gap;
    l->gap_px = l->lower[1] - l->upper[1];
    struct pz_syn_point a = s->pt[pz_syn_landmark(36)], b = s->pt[pz_syn_landmark(45)];
    l->eye_dist_px = hypotf(a.x - b.x, a.y - b.y) * k;
}

static void pose_all(struct pz_syn_scene *s, struct frame_job *j)
{
    const struct pz_syn_state *st = j->st;
    j->half = m3_euler(.5f * st->yaw, .5f * st->pitch, .5f * st->roll);
    s->head = m3_euler(st->yaw, st->pitch, st->roll);
    s->shift = st->shift;
    s->face = st->face;
    s->frame = st->frame;
    s->gap = pz_syn_rig_gap(&s->rig, st->face.w);
    pz_syn_rig_pose(&s->rig, &st->face, s->posed);
    pz_syn_hair_pose(&s->hair, &s->asset, s->posed, s->hair_pos);
    int n = s->n_vert > s->hair.n_pt ? s->n_vert : s->hair.n_pt;
    pz_pool_run(s->pool, place_block, j, (n + 2047) / 2048);
}

void pz_syn_scene_label(struct pz_syn_scene *s, const struct pz_syn_state *st, struct pz_syn_label *label)
{
    struct frame_job j = {.s = s, .st = st};
    pose_all(s, &j);
    fill_label(s, label);
}

void pz_syn_scene_render(struct pz_syn_scene *s, const struct pz_syn_state *st, uint8_t *rgb,
                         struct pz_syn_label *label)
{
    struct frame_job j = {.s = s, .st = st};
    pose_all(s, &j);
    head_normals(s, s->pos);
    project_env(s);
    pz_pool_run(s->pool, light_block, &j, (s->n_vert + 2047) / 2048);
    pz_pool_run(s->pool, shadow_task, &j, s->shadow.n);
    float ppc = s->cam.focal / (s->cam.dist - 8.f);
    for (int i = 0; i < s->hair.n_seg; i++)
        s->seg_width[i] = fmaxf(s->hair.seg_width[i] * ppc, .25f);
    struct pz_syn_segs segs = {s->hair.n_seg, s->hair.seg, s->hair_pt, s->seg_width};
    pz_syn_vis_draw(&s->vis, s->pool, s->tri, s->n_tri, s->pt, &segs);
    pz_syn_shade_hair(s);
    pz_syn_shade_pixels(s);
    pz_syn_finish(s, rgb);
    if (label)
        fill_label(s, label);
}
