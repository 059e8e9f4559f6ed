/*
 * Two face trackers on the same films, all frames: how often the second finds the face the first one has, how
 * far its points lie from the first one's, whether the lips open together, how much resting points tremble,
 * and what both cost. A tool of development, run by hand:
 *
 *   face_compare [--a KIND] [--b KIND] [--b-scale S] [--models-dir DIR] [--max-frames N] [--overlay DIR]
 *                [--threads N] FILM…
 *
 * KIND: embedded, mediapipe, mtcnn, auto. --b-scale widens the second one's region of interest: a landmarker
 * against itself under another crop says what such figures are worth.
 *
 * Each side is followed as the tracker does without filtering points: detector until there is a face, region
 * of interest from the points of the frame before, detector again when presence falls below ½. All distances
 * are in % of the first one's interocular distance (outer eye corners, 3-D).
 *
 *   seen      frames in which the first side has a face
 *   found     of these, in which the second side's *detector alone* (no memory) has a box around the same
 * face kept      of these, in which the second side's tracking has a face there face      mean distance over
 * the 468 points of the mesh; lips: over the inner lip steady    the same when each point's mean offset over
 * the film (turned and scaled with the head) is taken away: what a constant difference of meaning does not
 * explain gap r     correlation of the inner lips' opening (mean of the middle three pairs) jitter    mean
 * length of the second difference over time of the points that do not speak, in the quarter of the frames
 * whose pixels in the face's box change least: first side / second side noise     the same on one frame of
 * the film, 24 times with fresh noise of 2 code values
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/order.h"
#include "base/pool.h"
#include "base/rng.h"
#include "face/steady.h"
#include "face/topology.h"
#include "face_compare.h"
#include "media/media.h"

#define MESH 468
#define STILL 4 /* one in so many frames counts as still */
#define NOISE_FRAMES 32
#define NOISE_SETTLE 8

struct side {
    enum pz_face_kind kind;
    float scale;
    struct pz_face_detector *detector;
    struct pz_landmarker *landmarker;
    struct pz_face_rect roi;
    bool live;
    struct pz_steady steady;
    struct pz_face_points now;
    double detect_s, detect_cpu, mark_s, mark_cpu; /* sums */
    int64_t n_detect, n_mark;
};

/* What is kept of a frame. */
struct kept {
    bool a, b, box;
    float change, gap[2], io;
    float face, lips; /* px over interocular */
    float rigid[2][64][2];
    float off[MESH][2]; /* second less first, upright and over interocular */
};

struct totals {
    int64_t frames, seen, found, kept;
    double face, lips, steady, steady_lips, r, jitter[2], noise[2];
};

struct options {
    struct side s[2];
    const char *models_dir, *overlay;
    struct pz_face_parts *parser; /* for overlays, when our own networks are the second side */
    int64_t max_frames;
    int threads;
};

static double cpu_now(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)u.ru_utime.tv_sec + 1e-6 * (double)u.ru_utime.tv_usec;
}

static void die(const char *what)
{
    fprintf(stderr, "face_compare: %s\n", what);
    exit(1);
}

static float dist3(const float *a, const float *b)
{
    return sqrtf((a[0] - b[0]) * (a[0] - b[0]) + (a[1] - b[1]) * (a[1] - b[1]) +
                 (a[2] - b[2]) * (a[2] - b[2]));
}

static bool detect(struct side *s, const struct pz_picture *pic, unsigned how, struct pz_pool *pool,
                   struct pz_face_detection *found, int *n)
{
    double t = pz_now(), c = cpu_now();
    if (pz_face_detector_run(s->detector, pic, how, pool, found, n) < PZ_OK)
        die("the detector failed");
    s->detect_s += pz_now() - t;
    s->detect_cpu += cpu_now() - c;
    s->n_detect++;
    return *n > 0;
}

static bool mark(struct side *s, const struct pz_picture *pic, struct pz_pool *pool)
{
    double t = pz_now(), c = cpu_now();
    struct pz_face_rect r = s->roi;
    r.w *= s->scale;
    r.h *= s->scale;
    if (pz_landmarker_run(s->landmarker, 0, pic, &r, pool, &s->now) < PZ_OK)
        die("the landmarker failed");
    s->mark_s += pz_now() - t;
    s->mark_cpu += cpu_now() - c;
    s->n_mark++;
    if (s->now.presence < 0.5f)
        return false;
    s->roi = pz_landmarker_roi(s->landmarker, (const float(*)[3])s->now.xyz);
    if (pz_landmarker_steady(s->landmarker))
        pz_steady_roi(&s->steady, s->n_mark, &s->roi);
    return true;
}

/* Follow a face into this frame; `all` tells what the detector alone says. */
static void follow(struct side *s, const struct pz_picture *pic, struct pz_pool *pool,
                   const struct pz_face_detection *all, int n)
{
    s->live = s->live && mark(s, pic, pool);
    if (!s->live && n > 0) {
        s->steady.any = false;
        s->roi = pz_landmarker_roi_first(s->landmarker, &all[0]);
        s->live = mark(s, pic, pool) && mark(s, pic, pool);
    }
}

/* Mean change of luma in a box between two pictures. */
static float change(const struct pz_picture *p, const struct pz_picture *q, const float box[4])
{
    int x0 = (int)fmaxf(box[0], 0), y0 = (int)fmaxf(box[1], 0), x1 = (int)fminf(box[2], (float)p->width),
        y1 = (int)fminf(box[3], (float)p->height);
    int64_t sum = 0, n = 0;
    for (int y = y0; y < y1; y++)
        for (int x = x0; x < x1; x++, n++)
            sum += abs(p->plane[0][y * p->stride[0] + x] - q->plane[0][y * q->stride[0] + x]);
    return n ? (float)sum / (float)n : 255;
}

static float gap_of(const struct pz_face_points *f, float io)
{
    const struct pz_face_topology *t = pz_face_topology_mesh();
    float g = 0;
    for (int i = 0; i < 3; i++)
        g += dist3(f->xyz[t->lip_pairs[i][0]], f->xyz[t->lip_pairs[i][1]]) / 3;
    return g / io;
}

static void keep_rigid(const struct pz_face_points *f, float to[64][2])
{
    const struct pz_face_topology *t = pz_face_topology_mesh();
    for (int i = 0; i < t->n_rigid && i < 64; i++) {
        to[i][0] = f->xyz[t->rigid[i]][0];
        to[i][1] = f->xyz[t->rigid[i]][1];
    }
}

static void compare(const struct pz_face_points *a, const struct pz_face_points *b, struct kept *k)
{
    const struct pz_face_topology *t = pz_face_topology_mesh();
    float dx = a->xyz[263][0] - a->xyz[33][0], dy = a->xyz[263][1] - a->xyz[33][1],
          n = fmaxf(hypotf(dx, dy), 1e-3f);
    float c = dx / n, s = dy / n;
    for (int i = 0; i < MESH; i++) {
        float x = (b->xyz[i][0] - a->xyz[i][0]) / k->io, y = (b->xyz[i][1] - a->xyz[i][1]) / k->io;
        k->off[i][0] = c * x + s * y;
        k->off[i][1] = c * y - s * x;
        k->face += hypotf(x, y) / MESH;
    }
    for (int i = 0; i < t->n_inner_lip; i++)
        k->lips += hypotf(k->off[t->inner_lip[i]][0], k->off[t->inner_lip[i]][1]) / (float)t->n_inner_lip;
}

/* One frame: both sides, and what is kept of it. */
static void look(struct options *o, const struct pz_picture *pic, struct pz_pool *pool, struct kept *k)
{
    struct pz_face_detection found[2][PZ_FACE_MAX_DETECTIONS];
    int n[2];
    for (int i = 0; i < 2; i++) {
        detect(&o->s[i], pic, 0, pool, found[i], &n[i]);
        if (n[i] == 0 && !o->s[i].live)
            detect(&o->s[i], pic, PZ_DETECT_PARTS, pool, found[i], &n[i]);
        follow(&o->s[i], pic, pool, found[i], n[i]);
    }
    const struct pz_face_points *a = &o->s[0].now, *b = &o->s[1].now;
    k->a = o->s[0].live;
    if (!k->a)
        return;
    float box[4];
    pz_face_points_box((const float(*)[3])a->xyz, box);
    k->io = fmaxf(dist3(a->xyz[33], a->xyz[263]), 1e-3f);
    for (int i = 0; i < n[1]; i++) {
        const float *d = found[1][i].box;
        float x = (d[0] + d[2]) / 2, y = (d[1] + d[3]) / 2;
        k->box =
            k->box || (x > box[0] && x < box[2] && y > box[1] && y < box[3] && pz_face_iou(d, box) > 0.3f);
    }
    k->gap[0] = gap_of(a, k->io);
    keep_rigid(a, k->rigid[0]);
    k->b = o->s[1].live && hypotf(a->xyz[1][0] - b->xyz[1][0], a->xyz[1][1] - b->xyz[1][1]) < 0.5f * k->io;
    if (k->b) {
        compare(a, b, k);
        k->gap[1] = gap_of(b, k->io);
        keep_rigid(b, k->rigid[1]);
    }
}

static double pearson(const struct kept *k, int64_t n)
{
    double s[2] = {0}, q[2] = {0}, both = 0, m = 0;
    for (int64_t i = 0; i < n; i++)
        if (k[i].a && k[i].b) {
            double x = (double)k[i].gap[0], y = (double)k[i].gap[1];
            s[0] += x;
            s[1] += y;
            q[0] += x * x;
            q[1] += y * y;
            both += x * y;
            m++;
        }
    double vx = q[0] - s[0] * s[0] / m, vy = q[1] - s[1] * s[1] / m;
    return m > 2 && vx > 0 && vy > 0 ? (both - s[0] * s[1] / m) / sqrt(vx * vy) : 0;
}

static float second_difference(const struct kept *k, int side)
{
    const struct pz_face_topology *t = pz_face_topology_mesh();
    int n = t->n_rigid < 64 ? t->n_rigid : 64;
    float sum = 0;
    for (int i = 0; i < n; i++) {
        float d[2];
        for (int c = 0; c < 2; c++)
            d[c] = k[-1].rigid[side][i][c] - 2 * k[0].rigid[side][i][c] + k[1].rigid[side][i][c];
        sum += hypotf(d[0], d[1]) / k->io;
    }
    return sum / (float)n;
}

/* Jitter of both sides over the frames whose pixels change least (all of them when `limit` is infinite). */
static void jitter(const struct kept *k, int64_t n, bool still_only, double out[2])
{
    float *v = pz_calloc((size_t)n + 1, sizeof *v), limit = INFINITY;
    int64_t m = 0, used = 0;
    if (!v)
        die("no memory");
    for (int64_t i = 1; i + 1 < n; i++)
        v[m++] = fmaxf(k[i].change, k[i + 1].change);
    qsort(v, (size_t)m, sizeof *v, pz_by_float);
    if (still_only && m)
        limit = v[m / STILL];
    out[0] = out[1] = 0;
    for (int64_t i = 1; i + 1 < n; i++) {
        bool there = true;
        for (int d = -1; d <= 1; d++)
            there = there && k[i + d].a && k[i + d].b;
        if (!there || fmaxf(k[i].change, k[i + 1].change) > limit)
            continue;
        out[0] += (double)second_difference(&k[i], 0);
        out[1] += (double)second_difference(&k[i], 1);
        used++;
    }
    for (int s = 0; s < 2; s++)
        out[s] = used ? out[s] / (double)used : NAN;
    pz_free(v);
}

/* Error when each point's mean offset is taken away. */
static void steady(const struct kept *k, int64_t n, double *face, double *lips)
{
    const struct pz_face_topology *t = pz_face_topology_mesh();
    static double mean[MESH][2];
    double m = 0;
    memset(mean, 0, sizeof mean);
    *face = *lips = 0;
    for (int64_t i = 0; i < n; i++)
        if (k[i].a && k[i].b) {
            for (int p = 0; p < MESH; p++)
                for (int c = 0; c < 2; c++)
                    mean[p][c] += (double)k[i].off[p][c];
            m++;
        }
    for (int64_t i = 0; i < n && m > 0; i++)
        if (k[i].a && k[i].b) {
            for (int p = 0; p < MESH; p++)
                *face +=
                    hypot((double)k[i].off[p][0] - mean[p][0] / m, (double)k[i].off[p][1] - mean[p][1] / m) /
                    (MESH * m);
            for (int j = 0; j < t->n_inner_lip; j++) {
                int p = t->inner_lip[j];
                *lips +=
                    hypot((double)k[i].off[p][0] - mean[p][0] / m, (double)k[i].off[p][1] - mean[p][1] / m) /
                    (t->n_inner_lip * m);
            }
        }
}

static void noise_jitter(struct options *o, const struct pz_picture *still, struct pz_pool *pool,
                         double out[2])
{
    struct pz_picture p;
    struct pz_rng rng;
    struct kept *k = pz_calloc(NOISE_FRAMES, sizeof *k);
    if (!k || pz_picture_alloc(&p, still->width, still->height) < PZ_OK)
        die("no memory");
    pz_rng_init(&rng, 1, 0);
    for (int i = 0; i < NOISE_FRAMES; i++) {
        pz_picture_copy(&p, still);
        for (int y = 0; y < p.height; y++)
            for (int x = 0; x < p.width; x++) {
                uint8_t *q = &p.plane[0][y * p.stride[0] + x];
                float v = (float)*q + 2 * pz_rng_normal(&rng);
                *q = (uint8_t)fminf(fmaxf(v, 0), 255);
            }
        look(o, &p, pool, &k[i]);
    }
    jitter(k + NOISE_SETTLE, NOISE_FRAMES - NOISE_SETTLE, false,
           out); /* the first follow the jump to this frame */
    pz_picture_free(&p);
    pz_free(k);
}

static void film(struct options *o, const char *path, struct pz_job *job, struct totals *t)
{
    struct pz_film_info *info;
    struct pz_reader *reader;
    struct pz_picture last = {0}, middle = {0};
    struct overlay strip = {0};
    if (pz_film_info_read(path, job, &info) < PZ_OK || pz_reader_open(path, info, job, &reader) < PZ_OK)
        die("the film cannot be read");
    int64_t n = info->n_frames < o->max_frames ? info->n_frames : o->max_frames;
    struct kept *k = pz_calloc((size_t)n + 1, sizeof *k);
    if (!k || pz_picture_alloc(&last, info->width, info->height) < PZ_OK ||
        pz_picture_alloc(&middle, info->width, info->height) < PZ_OK ||
        (o->overlay && overlay_open(&strip, 320, o->parser) < PZ_OK))
        die("no memory");
    for (int i = 0; i < 2; i++)
        o->s[i].live = false;
    *t = (struct totals){.frames = n};
    for (int64_t i = 0; i < n; i++) {
        const struct pz_picture *pic;
        bool damaged;
        if (pz_reader_frame(reader, i, &pic, &damaged) < PZ_OK)
            die("a frame cannot be read");
        look(o, pic, job->pool, &k[i]);
        float box[4];
        pz_face_points_box((const float(*)[3])o->s[0].now.xyz, box);
        k[i].change = i && k[i].a ? change(pic, &last, box) : 255;
        pz_picture_copy(&last, pic);
        if (i == n / 2)
            pz_picture_copy(&middle, pic);
        if (o->overlay && k[i].a && i % (n / OVERLAYS + 1) == n / OVERLAYS / 2)
            overlay_add(&strip, pic, &o->s[0].now, k[i].b ? &o->s[1].now : NULL);
        t->seen += k[i].a;
        t->found += k[i].a && k[i].box;
        t->kept += k[i].a && k[i].b;
        t->face += k[i].b ? (double)k[i].face : 0;
        t->lips += k[i].b ? (double)k[i].lips : 0;
    }
    t->face /= fmax((double)t->kept, 1);
    t->lips /= fmax((double)t->kept, 1);
    t->r = pearson(k, n);
    steady(k, n, &t->steady, &t->steady_lips);
    jitter(k, n, true, t->jitter);
    noise_jitter(o, &middle, job->pool, t->noise);
    if (o->overlay) {
        const char *slash = strrchr(path, '/');
        char *name = pz_asprintf("%s/%s.png", o->overlay, slash ? slash + 1 : path);
        if (overlay_close(&strip, job->log, name) < PZ_OK)
            die("the overlay cannot be written");
        pz_free(name);
    }
    pz_picture_free(&middle);
    pz_picture_free(&last);
    pz_free(k);
    pz_reader_close(&reader);
    pz_film_info_free(&info);
}

static void print_head(const struct options *o)
{
    printf("first %s, second %s", pz_face_kind_name(o->s[0].kind), pz_face_kind_name(o->s[1].kind));
    if (o->s[1].scale != 1)
        printf(" (region x %.2f)", (double)o->s[1].scale);
    printf("; %% of interocular distance\n%-20s %6s %7s %7s %6s %6s %7s %7s %6s  %-13s %-13s\n", "film",
           "seen", "found", "kept", "face", "lips", "steady", "st.lips", "gap r", "jitter", "noise");
}

static void print_row(const char *name, const struct totals *t)
{
    double seen = fmax((double)t->seen, 1);
    printf("%-20.20s %6lld %6.2f%% %6.2f%% %6.2f %6.2f %7.2f %7.2f %6.3f  %5.3f / %5.3f %5.3f / %5.3f\n",
           name, (long long)t->seen, 100 * (double)t->found / seen, 100 * (double)t->kept / seen,
           100 * t->face, 100 * t->lips, 100 * t->steady, 100 * t->steady_lips, t->r, 100 * t->jitter[0],
           100 * t->jitter[1], 100 * t->noise[0], 100 * t->noise[1]);
    fflush(stdout);
}

static void print_speed(const struct options *o)
{
    printf("a face, %d threads (wall | user CPU):\n", o->threads);
    for (int i = 0; i < 2; i++) {
        const struct side *s = &o->s[i];
        double d = s->detect_s / (double)s->n_detect, m = s->mark_s / (double)s->n_mark;
        double dc = s->detect_cpu / (double)s->n_detect, mc = s->mark_cpu / (double)s->n_mark;
        printf(
            "  %-10s detect %.2f | %.2f ms, points %.2f | %.2f ms: both %.0f faces/s by wall, %.0f by CPU of "
            "two cores; detecting each 10th %.0f | %.0f\n",
            pz_face_kind_name(s->kind), 1e3 * d, 1e3 * dc, 1e3 * m, 1e3 * mc, 1 / (d + m), 2 / (dc + mc),
            1 / (d / 10 + m), 2 / (dc / 10 + mc));
    }
}

static void add_to(struct totals *sum, const struct totals *t)
{
    sum->seen += t->seen;
    sum->found += t->found;
    sum->kept += t->kept;
    sum->face += t->face;
    sum->lips += t->lips;
    sum->steady += t->steady;
    sum->steady_lips += t->steady_lips;
    sum->r += t->r;
    for (int i = 0; i < 2; i++) {
        sum->jitter[i] += t->jitter[i];
        sum->noise[i] += t->noise[i];
    }
}

static void mean_of(struct totals *t, double n)
{
    t->face /= n;
    t->lips /= n;
    t->steady /= n;
    t->steady_lips /= n;
    t->r /= n;
    for (int i = 0; i < 2; i++) {
        t->jitter[i] /= n;
        t->noise[i] /= n;
    }
}

static int read_options(int argc, char **argv, struct options *o)
{
    int i = 1;
    *o = (struct options){.max_frames = INT64_MAX, .threads = 2};
    o->s[0] = (struct side){.kind = PZ_FACE_MEDIAPIPE, .scale = 1};
    o->s[1] = (struct side){.kind = PZ_FACE_EMBEDDED, .scale = 1};
    for (; i + 1 < argc && argv[i][0] == '-'; i += 2) {
        const char *v = argv[i + 1];
        bool ok = true;
        if (!strcmp(argv[i], "--a"))
            ok = pz_face_kind_find(v, &o->s[0].kind);
        else if (!strcmp(argv[i], "--b"))
            ok = pz_face_kind_find(v, &o->s[1].kind);
        else if (!strcmp(argv[i], "--b-scale"))
            o->s[1].scale = strtof(v, NULL);
        else if (!strcmp(argv[i], "--models-dir"))
            o->models_dir = v;
        else if (!strcmp(argv[i], "--max-frames"))
            o->max_frames = strtoll(v, NULL, 10);
        else if (!strcmp(argv[i], "--overlay"))
            o->overlay = v;
        else if (!strcmp(argv[i], "--threads"))
            o->threads = (int)strtol(v, NULL, 10);
        else
            ok = false;
        if (!ok)
            die("unknown option or value; see the head of bench/face_compare.c");
    }
    if (i >= argc)
        die("name at least one film");
    return i;
}

static void say(void *user, enum pz_log_level level, const char *line)
{
    fprintf(stderr, "face_compare: %s\n", line);
}

int main(int argc, char **argv)
{
    struct options o;
    struct totals sum = {0}, t;
    int first = read_options(argc, argv, &o);
    struct pz_log *log = pz_log_create(say, NULL, PZ_LOG_ERROR);
    struct pz_job job = {.log = log, .pool = pz_pool_create(o.threads)};
    for (int i = 0; i < 2; i++)
        if (pz_face_detector_create(o.s[i].kind, o.models_dir, log, &o.s[i].detector) < PZ_OK ||
            pz_landmarker_create(o.s[i].kind, o.models_dir, 1, log, &o.s[i].landmarker) < PZ_OK)
            return 4;
    if (o.overlay && pz_face_kind_resolve(o.s[1].kind, o.models_dir) == PZ_FACE_EMBEDDED &&
        pz_face_parts_create(o.models_dir, log, &o.parser) < PZ_OK)
        return 4;
    print_head(&o);
    for (int i = first; i < argc; i++) {
        const char *slash = strrchr(argv[i], '/');
        film(&o, argv[i], &job, &t);
        print_row(slash ? slash + 1 : argv[i], &t);
        add_to(&sum, &t);
    }
    mean_of(&sum, argc - first);
    print_row("mean", &sum);
    print_speed(&o);
    for (int i = 0; i < 2; i++) {
        pz_face_detector_destroy(&o.s[i].detector);
        pz_landmarker_destroy(&o.s[i].landmarker);
    }
    pz_face_parts_destroy(&o.parser);
    pz_pool_destroy(&job.pool);
    pz_log_destroy(&log);
    return 0;
}
