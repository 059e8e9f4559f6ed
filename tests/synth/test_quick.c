/* Tests of the quick generator: labels agree with the picture, files do not depend on threads, shards are
 * valid, no NaN over thousands of people, broken heads and speech files are refused, lips shut on p b m. They
 * need the head in
 * ../shared and are skipped (exit 77) where it is absent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "faces.h"
#include "pack.h"
#include "points.h"
#include "quick_render.h"
#include "skin.h"
#include "talk.h"
#include "weights/safetensors.h"

static const char kHead[] = PZ_SHARED_DIR "/data/ict_facekit.safetensors";
static struct pz_q_head g_head;
static struct pz_log *g_log;
static char g_dir[64], g_pack[96];

static void join(char *out, size_t cap, const char *a, const char *b)
{
    snprintf(out, cap, "%s/%s", a, b);
}

static char *read_all(const char *dir, const char *name, size_t *n)
{
    char path[160], *data;
    join(path, sizeof path, dir, name);
    assert_int_equal(pz_file_read(g_log, path, (size_t)1 << 30, &data, n), PZ_OK);
    return data;
}

static void same_file(const char *a, const char *b, const char *name)
{
    size_t na, nb;
    char *x = read_all(a, name, &na), *y = read_all(b, name, &nb);
    assert_int_equal(na, nb);
    assert_int_equal(memcmp(x, y, na), 0);
    pz_free(x);
    pz_free(y);
}

/** Stills and scenes from one thread and from three are the same bytes, and a person's pictures do not depend
 * on where the shard begins. */
static void test_threads(void **state)
{
    (void)state;
    for (int scene = 0; scene < 2; scene++) {
        char dir[2][96];
        for (int k = 0; k < 2; k++) {
            join(dir[k], sizeof dir[k], g_dir, k ? "t3" : "t1");
            struct pz_pool *pool = pz_pool_create(k ? 3 : 1);
            struct pz_faces_options o = {.out = dir[k],
                                         .shards = 1,
                                         .records = 24,
                                         .size = 128,
                                         .looks = 4,
                                         .seed = 77,
                                         .margin = 1.f,
                                         .scene = scene,
                                         .first_shard = 3};
            double sec;
            assert_int_equal(pz_faces_make(g_log, pool, &g_head, &o, &sec), PZ_OK);
            pz_pool_destroy(&pool);
        }
        same_file(dir[0], dir[1], scene ? "scenes-00003.safetensors" : "faces-00003.safetensors");
    }
}

struct view {
    struct pz_q_work w;
    struct pz_q_state st;
    uint8_t rgb[256 * 256 * 3], visible[PZ_SYN_N_MARKS], parts[128 * 128], attribute[PZ_Q_N_ATTRIBUTE];
    float mark[PZ_SYN_N_MARKS][3], pose[7], focal, centre[2], box[4], weights[PZ_Q_N_WEIGHT], gap, gaze[4];
    uint16_t depth[64 * 64];
};

static void render(struct view *v, uint64_t person, int plain)
{
    struct pz_q_label l = {.landmark = v->mark,
                           .visible = v->visible,
                           .pose = v->pose,
                           .weights = v->weights,
                           .gap = &v->gap,
                           .gaze = v->gaze,
                           .focal = &v->focal,
                           .centre = v->centre,
                           .box = v->box,
                           .parts = v->parts,
                           .depth = v->depth,
                           .attribute = v->attribute};
    int kind;
    pz_q_work_person(&v->w, 5, person);
    pz_q_work_look(&v->w, 0, 1.f);
    pz_q_state_draw(&v->st, &v->w.person, &v->w.rig, 0, &kind);
    if (plain) {
        v->w.look.block = PZ_Q_NOTHING;
        v->w.look.beard = PZ_Q_SHAVEN;
        v->w.look.hair.on = 0;
        v->w.look.side = 26.f;
        v->w.look.cx = v->w.look.cy = .5f;
        pz_q_work_paint(&v->w);
        v->st.yaw *= .3f;
        v->st.pitch *= .3f;
    }
    pz_q_work_render(&v->w, &v->st, 0, v->rgb, &l);
}

/** Distance (pixels) from a vertex's projection to the nearest sample that shows a triangle around it. */
static float nearest_ring(const struct pz_q_work *w, uint32_t vertex, float x, float y)
{
    const struct pz_syn_asset *a = &w->head->asset;
    float best = 9.f;
    for (int py = (int)y - 1; py <= (int)y + 1; py++)
        for (int px = (int)x - 1; px <= (int)x + 1; px++) {
            if (px < 0 || py < 0 || px >= w->size || py >= w->size)
                continue;
            for (int k = 0; k < 4; k++) {
                uint32_t id = w->vis.id[((size_t)py * (size_t)w->size + (size_t)px) * 4 + (size_t)k];
                if (id == 0 || id >> 31)
                    continue;
                const uint32_t *t = a->tri + 3 * (size_t)((id & PZ_Q_ID_INDEX) - 1);
                if (t[0] == vertex || t[1] == vertex || t[2] == vertex)
                    best = fminf(best, hypotf((float)px + PZ_Q_SX[k] - x, (float)py + PZ_Q_SY[k] - y));
            }
        }
    return best;
}

/** Points of lids and irises: lashes are drawn over them. */
static int on_lid(int i)
{
    static const int lid[32] = {33,  7,   163, 144, 145, 153, 154, 155, 133, 173, 157,
                                158, 159, 160, 161, 246, 263, 249, 390, 373, 374, 380,
                                381, 382, 362, 398, 384, 385, 386, 387, 388, 466};
    for (int k = 0; k < 32; k++)
        if (lid[k] == i)
            return 1;
    return i >= 468;
}

/** Where a landmark's vertex is said to be seen, the id buffer shows triangles around it within 0.75 px; and
 * pose, focal and centre alone put rigid points of the head where the labels have them. */
static void test_labels(void **state)
{
    (void)state;
    struct view *v = pz_calloc(1, sizeof *v);
    assert_non_null(v);
    assert_int_equal(pz_q_work_open(g_log, &g_head, 256, &v->w), PZ_OK);
    int seen = 0, hit = 0;
    float worst = 0;
    for (uint64_t p = 0; p < 12; p++) {
        render(v, p, 1);
        for (int i = 0; i < PZ_SYN_MARK_TEETH; i++) {
            const struct pz_syn_mark *m = &pz_syn_marks[i];
            int top = m->w[0] >= m->w[1] && m->w[0] >= m->w[2] ? 0 : m->w[1] >= m->w[2] ? 1 : 2;
            struct pz_q_pt q = v->w.pt[m->v[top]];
            if (!v->visible[i] || !(q.x > 2.f && q.y > 2.f && q.x < 253.f && q.y < 253.f) ||
                m->w[top] < .7f || on_lid(i))
                continue;
            seen++;
            /* A glass rim or a lip may stand up to 0.3 cm before a point that counts as seen. */
            hit += nearest_ring(&v->w, m->v[top], q.x, q.y) < .75f;
        }
        /* w x y z → matrix, on points of the brow and nose that no expression of the head's turn moves. */
        const float *q = v->pose;
        for (int i = 27; i < 31; i++) {
            struct v3 h = v3_sub(v->w.posed[pz_syn_landmark(i)], v3(0, 0, 0)), u = v3(q[1], q[2], q[3]);
            struct v3 c = v3_cross(u, h),
                      r = v3_add(h, v3_add(v3_scale(c, 2.f * q[0]), v3_scale(v3_cross(u, c), 2.f)));
            r = v3_add(r, v3(q[4], q[5], q[6]));
            float x = v->centre[0] + v->focal * r.x / -r.z, y = v->centre[1] - v->focal * r.y / -r.z;
            struct pz_q_pt t = v->w.pt[pz_syn_landmark(i)];
            worst = fmaxf(worst, hypotf(x - t.x, y - t.y));
        }
    }
    printf("landmarks seen: %d of %d within 0.75 px in the id buffer; pose label off by %.4f px at most\n",
           hit, seen, (double)worst);
    assert_true(seen > 1000);
    assert_true(hit > seen * 95 / 100);
    assert_true(worst < .05f);
    pz_q_work_close(&v->w);
    pz_free(v);
}

static void grow_box(double *b, double x, double y)
{
    b[0] = fmin(b[0], x);
    b[1] = fmin(b[1], y);
    b[2] = fmax(b[2], x);
    b[3] = fmax(b[3], y);
}

/** The parts named lips lie where the landmarks of the lips are, and both are where the picture changes
 * colour. */
static void test_parts(void **state)
{
    (void)state;
    static const int lips[] = {61,  146, 91, 181, 84, 17, 314, 405, 321, 375,
                               291, 185, 40, 39,  37, 0,  267, 269, 270, 409};
    struct view *v = pz_calloc(1, sizeof *v);
    assert_non_null(v);
    assert_int_equal(pz_q_work_open(g_log, &g_head, 256, &v->w), PZ_OK);
    int n_pic = 0;
    double worst = 0, sum = 0;
    for (uint64_t p = 0; p < 10; p++) {
        render(v, p, 1);
        double part[4] = {1e9, 1e9, -1e9, -1e9}, mark[4] = {1e9, 1e9, -1e9, -1e9}; /* x0 y0 x1 y1 */
        int n = 0;
        for (int i = 0; i < 128 * 128; i++)
            if (v->parts[i] == PZ_Q_LIPS) {
                grow_box(part, 2. * (i % 128) + 1., 2. * (i / 128) + 1.);
                n++;
            }
        if (v->w.look.hat || n < 60)
            continue;
        for (size_t i = 0; i < sizeof lips / sizeof *lips; i++)
            grow_box(mark, (double)v->mark[lips[i]][0], (double)v->mark[lips[i]][1]);
        for (int k = 0; k < 4; k++) {
            worst = fmax(worst, fabs(part[k] - mark[k]));
            sum += fabs(part[k] - mark[k]);
        }
        n_pic++;
    }
    printf("lips of %d pictures: box of parts against box of landmarks %.1f px, worst %.1f\n", n_pic,
           sum / (4. * n_pic), worst);
    assert_true(n_pic >= 6);
    assert_true(sum / (4. * n_pic) < 2.5 && worst < 8.);
    pz_q_work_close(&v->w);
    pz_free(v);
}

static int all_finite(const void *p, size_t n)
{
    float f;
    for (size_t i = 0; i < n / 4; i++) {
        memcpy(&f, (const char *)p + 4 * i, 4);
        if (!isfinite(f))
            return 0;
    }
    return 1;
}

/** Thousands of people without a NaN; a hundred of them drawn with finite labels and pictures that are no
 * flat field. */
static void test_people(void **state)
{
    (void)state;
    struct view *v = pz_calloc(1, sizeof *v);
    assert_non_null(v);
    assert_int_equal(pz_q_work_open(g_log, &g_head, 256, &v->w), PZ_OK);
    for (uint64_t p = 0; p < 3000; p++) {
        int kind;
        pz_q_person_draw(&v->w.person, 9, p);
        pz_q_look_draw(&v->w.look, &v->w.person, p, 1.f);
        assert_true(all_finite(v->w.person.coef, sizeof v->w.person.coef));
        assert_true(all_finite(v->w.look.sh, sizeof v->w.look.sh) && all_finite(&v->w.look.white, 12));
        if (p % 4 == 0) {
            pz_q_work_person(&v->w, 9, p);
            assert_true(all_finite(v->w.base, PZ_SYN_N_VERTS * sizeof *v->w.base));
            pz_q_state_draw(&v->st, &v->w.person, &v->w.rig, p, &kind);
            assert_true(all_finite(v->st.face.w, sizeof v->st.face.w));
            float gap = pz_syn_rig_gap(&v->w.rig, v->st.face.w);
            assert_true(gap > -.5f && gap < 6.f);
        }
    }
    clock_t t0 = clock();
    int flat = 0;
    for (uint64_t p = 0; p < 100; p++) {
        render(v, 500 + p, 0);
        assert_true(all_finite(v->mark, sizeof v->mark) && all_finite(v->pose, sizeof v->pose));
        assert_true(all_finite(v->box, sizeof v->box) && all_finite(v->weights, sizeof v->weights));
        assert_true(all_finite(v->w.rgb, 256 * 256 * 12));
        double s = 0, q = 0;
        for (int i = 0; i < 256 * 256 * 3; i++) {
            s += v->rgb[i];
            q += (double)v->rgb[i] * v->rgb[i];
        }
        s /= 256 * 256 * 3;
        flat += q / (256 * 256 * 3) - s * s < 9.;
    }
    printf("100 people drawn, %.1f ms of CPU each, %d flat\n", 10. * (double)(clock() - t0) / CLOCKS_PER_SEC,
           flat);
    assert_true(flat <= 3);
    pz_q_work_close(&v->w);
    pz_free(v);
}

/** A shard opens as safetensors with the promised names, types and shapes, and its boxes hold the face. */
static void test_shard(void **state)
{
    (void)state;
    char dir[96], path[160];
    join(dir, sizeof dir, g_dir, "s");
    struct pz_faces_options o = {
        .out = dir, .shards = 2, .records = 10, .size = 128, .looks = 4, .seed = 3, .margin = 1.f};
    double sec;
    assert_int_equal(pz_faces_make(g_log, NULL, &g_head, &o, &sec), PZ_OK);
    join(path, sizeof path, dir, "faces-00001.safetensors");
    struct pz_safetensors *f;
    const struct pz_stored_tensor *t, *b;
    assert_int_equal(pz_safetensors_open(g_log, path, &f), PZ_OK);
    assert_int_equal(pz_safetensors_count(f), 15);
    assert_int_equal(
        pz_safetensors_expect(g_log, f, "image", PZ_DTYPE_U8, 4, (int64_t[]){10, 128, 128, 3}, &t), PZ_OK);
    assert_int_equal(pz_safetensors_expect(g_log, f, "depth", PZ_DTYPE_F16, 3, (int64_t[]){10, 32, 32}, &t),
                     PZ_OK);
    assert_int_equal(pz_safetensors_expect(g_log, f, "parts", PZ_DTYPE_U8, 3, (int64_t[]){10, 64, 64}, &t),
                     PZ_OK);
    assert_int_equal(pz_safetensors_expect(g_log, f, "weights", PZ_DTYPE_F32, 2, (int64_t[]){10, 53}, &t),
                     PZ_OK);
    assert_int_equal(
        pz_safetensors_expect(g_log, f, "landmarks", PZ_DTYPE_F32, 3, (int64_t[]){10, 512, 3}, &t), PZ_OK);
    assert_int_equal(pz_safetensors_expect(g_log, f, "box", PZ_DTYPE_F32, 2, (int64_t[]){10, 4}, &b), PZ_OK);
    for (int i = 0; i < 10; i++) {
        float m[3], x[4];
        memcpy(m, (const char *)t->data + ((size_t)i * 512 + 1) * 12, 12); /* tip of the nose */
        memcpy(x, (const char *)b->data + (size_t)i * 16, 16);
        assert_true(m[0] > x[0] - 2.f && m[0] < x[2] + 2.f && m[1] > x[1] && m[1] < x[3]);
    }
    pz_safetensors_close(&f);
    o.records = 0;
    assert_int_equal(pz_faces_make(g_log, NULL, &g_head, &o, &sec), PZ_ERR_USAGE);
}

/** A packed head with bytes cut, numbers out of range or a tensor missing is refused. */
static void test_hostile(void **state)
{
    (void)state;
    char path[96], *data;
    size_t n;
    join(path, sizeof path, g_dir, "bad.safetensors");
    assert_int_equal(pz_file_read(g_log, g_pack, (size_t)1 << 28, &data, &n), PZ_OK);
    uint64_t head;
    memcpy(&head, data, 8);
    struct pz_q_head h;
    for (int k = 0; k < 6; k++) {
        char *b = pz_calloc(n, 1);
        assert_non_null(b);
        memcpy(b, data, n);
        size_t m = n;
        char *tri = strstr(b + 8, "\"triangle\":"), *cnt = strstr(b + 8, "\"expression_count\":");
        long long at = 0;
        assert_true(tri && cnt);
        if (k == 0)
            m = n / 2;
        else if (k == 1)
            tri[1] = 'x';
        else if (k < 4 && sscanf(strstr(k == 2 ? tri : cnt, "\"data_offsets\":[") + 16, "%lld", &at) == 1)
            memset(b + 8 + head + at, k == 2 ? 0x7f : 0xff, 4);
        else if (k == 4)
            memset(b, 0xff, 8);
        else
            m = 4;
        assert_int_equal(pz_file_write(g_log, path, b, m), PZ_OK);
        pz_free(b);
        assert_int_equal(pz_q_head_open(g_log, path, &h), PZ_ERR_FORMAT);
        assert_null(h.asset.neutral);
    }
    pz_free(data);
}

/** Speech: entries are whole, times rise; a clip's files do not depend on threads; lips shut in the middle of
 * p b m. */
static void test_talk(void **state)
{
    (void)state;
    char path[96], dir[2][96];
    join(path, sizeof path, g_dir, "speech.safetensors");
    assert_int_equal(pz_syn_bank_make(g_log, path, .35, 4, 0), PZ_OK);
    struct pz_syn_bank b;
    assert_int_equal(pz_syn_bank_open(g_log, path, &b), PZ_OK);
    assert_true(b.n >= 1);
    for (int i = 0; i < b.n; i++) {
        double sound = (double)(b.wave_offset[i + 1] - b.wave_offset[i]) / PZ_SYN_BANK_RATE;
        assert_true(fabs(sound - (double)b.phone_end[b.phone_offset[i + 1] - 1]) < .02);
    }
    for (int k = 0; k < 2; k++) {
        join(dir[k], sizeof dir[k], g_dir, k ? "k3" : "k1");
        struct pz_pool *pool = pz_pool_create(k ? 3 : 1);
        struct pz_talk_options o = {
            .out = dir[k], .clips = 3, .frames = 20, .size = 128, .fps = 25.f, .seed = 6};
        double sec;
        assert_int_equal(pz_talk_make(g_log, pool, &g_head, &b, &o, &sec), PZ_OK);
        pz_pool_destroy(&pool);
    }
    int n = 0, shut = 0;
    for (int c = 0; c < 3; c++) {
        char name[64], file[192];
        snprintf(name, sizeof name, "talk-%05d.safetensors", c);
        same_file(dir[0], dir[1], name);
        join(file, sizeof file, dir[0], name);
        struct pz_safetensors *f;
        const struct pz_stored_tensor *gap, *sp, *st;
        assert_int_equal(pz_safetensors_open(g_log, file, &f), PZ_OK);
        assert_int_equal(pz_safetensors_expect(g_log, f, "gap", PZ_DTYPE_F32, 1, (int64_t[]){20}, &gap),
                         PZ_OK);
        assert_int_equal(pz_safetensors_expect(g_log, f, "speech", PZ_DTYPE_I32, 1, (int64_t[]){1}, &sp),
                         PZ_OK);
        assert_int_equal(pz_safetensors_expect(g_log, f, "start", PZ_DTYPE_F64, 1, (int64_t[]){1}, &st),
                         PZ_OK);
        int32_t e;
        double start;
        memcpy(&e, sp->data, 4);
        memcpy(&start, st->data, 8);
        assert_true(e >= 0 && e < b.n && start >= 0.);
        for (int p = b.phone_offset[e] + 1; p < b.phone_offset[e + 1]; p++) {
            const char *ph = b.name[b.phone_id[p]];
            if (strcmp(ph, "p") && strcmp(ph, "b") && strcmp(ph, "m"))
                continue;
            double a = (double)b.phone_end[p - 1] - .03 - start, z = (double)b.phone_end[p] - .03 - start;
            float best = 9.f;
            for (int i = 0; i < 20; i++)
                if (i / 25. >= a && i / 25. <= z) {
                    float g;
                    memcpy(&g, (const char *)gap->data + 4 * i, 4);
                    best = fminf(best, g);
                }
            if (best < 9.f && z - a >= .045) {
                n++;
                shut += best < .02f;
            }
        }
        pz_safetensors_close(&f);
    }
    printf("closures in clips: %d of %d\n", shut, n);
    assert_int_equal(shut, n);
    pz_syn_bank_close(&b);
    assert_int_equal(pz_file_write(g_log, path, "short", 5), PZ_OK);
    assert_int_equal(pz_syn_bank_open(g_log, path, &b), PZ_ERR_FORMAT);
}

int main(void)
{
    if (!pz_file_exists(kHead)) {
        printf("skipped: %s is absent\n", kHead);
        return 77;
    }
    g_log = pz_log_create(NULL, NULL, PZ_LOG_ERROR);
    snprintf(g_dir, sizeof g_dir, "/tmp/pz-quick-%d", (int)getpid());
    join(g_pack, sizeof g_pack, g_dir, "head.safetensors");
    if (pz_make_dirs(g_log, g_dir) != PZ_OK || pz_syn_pack(g_log, NULL, kHead, g_pack) != PZ_OK ||
        pz_q_head_open(g_log, g_pack, &g_head) != PZ_OK)
        return 1;
    const struct CMUnitTest all[] = {cmocka_unit_test(test_threads), cmocka_unit_test(test_labels),
                                     cmocka_unit_test(test_parts),   cmocka_unit_test(test_people),
                                     cmocka_unit_test(test_shard),   cmocka_unit_test(test_hostile),
                                     cmocka_unit_test(test_talk)};
    int r = cmocka_run_group_tests_name("quick generator", all, NULL, NULL);
    pz_q_head_close(&g_head);
    pz_remove_tree(g_dir);
    pz_log_destroy(&g_log);
    return r;
}
