/* By hand: rewrite a film with a square painted over some frames, to look at, time and play the result.
 *   splice_film IN OUT FIRST LAST [FIRST LAST …]     frames by number
 *   splice_film --transcode IN OUT [KEY …]
 * Prints what was copied and encoded, wall and CPU seconds, peak memory. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/pool.h"
#include "media/media.h"

static void say(void *user, enum pz_log_level level, const char *text)
{
    fprintf(stderr, "%s\n", text);
}

static enum pz_status paint(void *user, int64_t i, struct pz_picture *p)
{
    int side = p->width / 6;
    for (int y = p->height / 2 - side; y < p->height / 2 + side; y++)
        for (int x = p->width / 2 - side; x < p->width / 2 + side; x++) {
            uint8_t *v = p->plane[0] + (ptrdiff_t)y * p->stride[0] + x;
            *v = (uint8_t)(255 - *v);
        }
    return PZ_OK;
}

static enum pz_status sound(void *user, int64_t at, float *x, int64_t n)
{
    int64_t got;
    int c = pz_sound_channels(user);
    enum pz_status st = pz_sound_read(user, at, x, n, &got);
    memset(x + got * c, 0, (size_t)((n - got) * c) * sizeof(*x));
    return st < PZ_OK ? st : PZ_OK;
}

int main(int argc, char **argv)
{
    struct pz_pool *pool = pz_pool_create(0);
    struct pz_log *log = pz_log_create(say, NULL, PZ_LOG_INFO);
    struct pz_job job = {.log = log, .pool = pool};
    struct pz_film_info *f = NULL;
    struct pz_splice_report r = {0};
    bool whole = argc > 3 && !strcmp(argv[1], "--transcode");
    int a = whole ? 2 : 1;
    double t0 = pz_now();
    if (argc < 4) {
        fprintf(stderr, "usage: splice_film IN OUT FIRST LAST … | --transcode IN OUT [KEY …]\n");
        return 1;
    }
    enum pz_status st = pz_film_info_read(argv[a], &job, &f);
    if (st == PZ_OK && whole) {
        int64_t keys[64];
        int n = 0;
        for (int i = 4; i < argc && n < 64; i++)
            keys[n++] = atoll(argv[i]);
        st = pz_transcode(argv[2], f, argv[3], keys, n, &job);
    } else if (st == PZ_OK) {
        struct pz_out_frame *o = pz_calloc((size_t)f->n_frames, sizeof(*o));
        struct pz_sound *s = NULL;
        for (int64_t i = 0; i < f->n_frames; i++) {
            o[i] = (struct pz_out_frame){i, f->frames[i].pts, f->frames[i].duration, 0};
            for (int k = 3; k + 1 < argc; k += 2)
                o[i].touched |= i >= atoll(argv[k]) && i <= atoll(argv[k + 1]);
        }
        if (f->has_sound)
            st = pz_sound_open(argv[1], 0, 0, &job, &s);
        struct pz_splice sp = {.source = argv[1],
                               .info = f,
                               .output = argv[2],
                               .frames = o,
                               .n_frames = f->n_frames,
                               .picture = paint,
                               .sound = s ? sound : NULL,
                               .n_samples = f->n_samples,
                               .user = s,
                               .comment = "splice_film"};
        if (st == PZ_OK)
            st = pz_splice_run(&sp, &job, &r);
        pz_sound_close(&s);
        pz_free(o);
    }
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    printf("%s: %lld frames, %lld touched, %lld encoded, %lld copied, video %s, sound %s; wall %.2f s, CPU "
           "%.2f s "
           "(encoder %.2f s wall), peak %.0f MB\n",
           pz_status_text(st), (long long)r.frames_total, (long long)r.frames_touched,
           (long long)r.frames_encoded, (long long)r.frames_copied, r.video_encoder, r.sound_encoder,
           pz_now() - t0,
           (double)u.ru_utime.tv_sec + 1e-6 * (double)u.ru_utime.tv_usec + (double)u.ru_stime.tv_sec +
               1e-6 * (double)u.ru_stime.tv_usec,
           r.encode_s, (double)pz_peak_rss() / 1e6);
    pz_film_info_free(&f);
    pz_log_destroy(&log);
    pz_pool_destroy(&pool);
    return pz_status_exit_code(st);
}
