/* pz_synth: renders a speaking person. Does: options, speech, motion, frames to a raw stream or PNG stills,
 * labels. Does not: encode video; pipe the raw stream into ffmpeg (see samples/README.md). */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/pool.h"
#include "behave.h"
#include "png.h"
#include "viseme.h"

static const char kScript[] =
    "~420 Hi ~70 {customer_name=Anuj}[unoodge], ~50 I'm Kshitij[kushitidge] from Thirty Sundays. "
    "~330 I'll help plan your ~80 {destination=Bali}[Bolly] ~60 trip. "
    "~350 It would be lovely to talk this week, so pick a time that suits you.";

struct options {
    const char *head, *script, *voice, *raw, *still, *wav, *motion, *transcript;
    unsigned long long seed, person;
    int w, h, ss, first, last, still_frame, threads, list;
};

static void say(void *user, enum pz_log_level level, const char *text)
{
    (void)user;
    fprintf(stderr, "%s%s\n", level == PZ_LOG_ERROR ? "error: " : "", text);
}

static const char kHelp[] =
    "pz_synth --head FILE [options]\n"
    "  --head FILE        ICT-FaceKit as safetensors\n"
    "  --seed N           default 1; the same seed and person give the same film\n"
    "  --person N         number of the person, default 0\n"
    "  --size WxH         default 1080x1920\n"
    "  --samples S        samples per pixel side, 1-4, default 3\n"
    "  --frames A:B       render frames A to B-1 only (default all)\n"
    "  --threads N        default: all CPUs\n"
    "  --script TEXT      words; {name=word} variable, word[say] spelling for the voice, ~N silence in ms\n"
    "  --voice NAME       rms, awb or slt (default rms)\n"
    "  --raw FILE|-       frames as rgb24\n"
    "  --still N:FILE     frame N as PNG, then stop\n"
    "  --wav FILE         the speech, 48 kHz mono\n"
    "  --motion FILE      JSON: jaw, lip gap, head pose per frame; phone and word times\n"
    "  --transcript FILE  the words with marked variables\n"
    "  --phones           list phones and times\n";

static int parse(int argc, char **argv, struct options *o)
{
    static const struct option opt[] = {{"head", 1, 0, 'H'},
                                        {"seed", 1, 0, 's'},
                                        {"person", 1, 0, 'p'},
                                        {"size", 1, 0, 'z'},
                                        {"samples", 1, 0, 'S'},
                                        {"frames", 1, 0, 'f'},
                                        {"threads", 1, 0, 't'},
                                        {"script", 1, 0, 'x'},
                                        {"voice", 1, 0, 'v'},
                                        {"raw", 1, 0, 'r'},
                                        {"still", 1, 0, 'i'},
                                        {"wav", 1, 0, 'w'},
                                        {"motion", 1, 0, 'm'},
                                        {"transcript", 1, 0, 'T'},
                                        {"phones", 0, 0, 'P'},
                                        {"help", 0, 0, 'h'},
                                        {0, 0, 0, 0}};
    int c, n = 0;
    while ((c = getopt_long(argc, argv, "h", opt, NULL)) != -1) {
        switch (c) {
        case 'H':
            o->head = optarg;
            break;
        case 's':
            o->seed = strtoull(optarg, NULL, 10);
            break;
        case 'p':
            o->person = strtoull(optarg, NULL, 10);
            break;
        case 'z':
            if (sscanf(optarg, "%dx%d", &o->w, &o->h) != 2)
                return -1;
            break;
        case 'S':
            o->ss = atoi(optarg);
            break;
        case 'f':
            if (sscanf(optarg, "%d:%d", &o->first, &o->last) != 2 || o->first < 0 || o->last <= o->first)
                return -1;
            break;
        case 't':
            o->threads = atoi(optarg);
            break;
        case 'x':
            o->script = optarg;
            break;
        case 'v':
            o->voice = optarg;
            break;
        case 'r':
            o->raw = optarg;
            break;
        case 'i':
            if (sscanf(optarg, "%d:%n", &o->still_frame, &n) != 1 || o->still_frame < 0 || n < 2)
                return -1;
            o->still = optarg + n;
            break;
        case 'w':
            o->wav = optarg;
            break;
        case 'm':
            o->motion = optarg;
            break;
        case 'T':
            o->transcript = optarg;
            break;
        case 'P':
            o->list = 1;
            break;
        case 'h':
            fputs(kHelp, stdout);
            return 1;
        default:
            return -1;
        }
    }
    return o->head && optind == argc ? 0 : -1;
}

static enum pz_status write_motion(struct pz_log *log, const struct options *o, struct pz_syn_scene *sc,
                                   const struct pz_syn_speech *sp, const struct pz_syn_state *st, int n)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *f = open_memstream(&text, &bytes);
    if (!f)
        return pz_fail(log, PZ_ERR_NOMEM, "motion: out of memory");
    fprintf(f,
            "{\"fps\": 25, \"frames\": %d, \"width\": %d, \"height\": %d, \"seed\": %llu, \"person\": "
            "%llu,\n \"words\": [",
            n, o->w, o->h, o->seed, o->person);
    for (int i = 0; i < sp->n_word; i++) {
        const struct pz_syn_word *w = &sp->word[i];
        fprintf(f, "%s\n  {\"word\": \"%s\", \"start_s\": %.4f, \"end_s\": %.4f%s%s%s}", i ? "," : "",
                w->text, (double)w->start, (double)w->end, w->variable[0] ? ", \"variable\": \"" : "",
                w->variable, w->variable[0] ? "\"" : "");
    }
    fprintf(f, "],\n \"phones\": [");
    for (int i = 0; i < sp->n_phone; i++)
        fprintf(f, "%s[\"%s\", %.4f, %.4f]", i ? ", " : "", sp->phone[i].name, (double)sp->phone[i].start,
                (double)sp->phone[i].end);
    fprintf(f, "],\n \"columns\": [\"jaw_open\", \"gap_cm\", \"gap_px\", \"eye_distance_px\", \"yaw_deg\", "
               "\"pitch_deg\", \"roll_deg\"],\n \"motion\": [");
    for (int i = 0; i < n; i++) {
        struct pz_syn_label l;
        pz_syn_scene_label(sc, &st[i], &l);
        const double d = 57.29578;
        fprintf(f, "%s\n  [%.3f, %.3f, %.2f, %.1f, %.2f, %.2f, %.2f]", i ? "," : "",
                (double)st[i].face.w[sc->rig.jaw_open], (double)l.gap_cm, (double)l.gap_px,
                (double)l.eye_dist_px, (double)st[i].yaw * d, (double)st[i].pitch * d,
                (double)st[i].roll * d);
    }
    fprintf(f, "]}\n");
    fclose(f);
    enum pz_status r = pz_file_write(log, o->motion, text, bytes);
    free(text);
    return r;
}

static double cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static enum pz_status render(struct pz_log *log, const struct options *o, struct pz_syn_scene *sc,
                             const struct pz_syn_state *st, int n)
{
    enum pz_status r = PZ_OK;
    size_t bytes = (size_t)o->w * (size_t)o->h * 3;
    uint8_t *rgb = pz_calloc(bytes, 1);
    FILE *f = NULL;
    if (!rgb)
        return pz_fail(log, PZ_ERR_NOMEM, "render: out of memory");
    if (o->still) {
        int i = o->still_frame < n ? o->still_frame : n - 1;
        pz_syn_scene_render(sc, &st[i], rgb, NULL);
        r = pz_syn_png_write(log, o->still, rgb, o->w, o->h);
    } else if (o->raw) {
        f = !strcmp(o->raw, "-") ? stdout : fopen(o->raw, "wb");
        double t0 = cpu_s();
        int a = o->first, b = o->last > 0 && o->last < n ? o->last : n;
        for (int i = a; f && i < b; i++) {
            pz_syn_scene_render(sc, &st[i], rgb, NULL);
            if (fwrite(rgb, 1, bytes, f) != bytes) {
                r = pz_fail(log, PZ_ERR_WRITE, "%s: writing frame %d failed", o->raw, i);
                break;
            }
            if ((i - a) % 25 == 24 || i + 1 == b)
                pz_info(log, "frame %d of %d, %.2f s CPU a frame", i + 1, b, (cpu_s() - t0) / (i - a + 1));
        }
        if (!f || (f != stdout && fclose(f)) || (f == stdout && fflush(f)))
            r = r < PZ_OK ? r : pz_fail(log, PZ_ERR_WRITE, "%s: cannot write", o->raw);
    }
    pz_free(rgb);
    return r;
}

int main(int argc, char **argv)
{
    struct options o = {.seed = 1, .w = 1080, .h = 1920, .ss = 3, .script = kScript, .voice = "rms"};
    int p = parse(argc, argv, &o);
    if (p) {
        if (p < 0)
            fputs(kHelp, stderr);
        return p < 0;
    }
    enum pz_status st = PZ_OK;
    struct pz_log *log = pz_log_create(say, NULL, PZ_LOG_INFO);
    struct pz_pool *pool = pz_pool_create(o.threads);
    struct pz_syn_speech *sp = pz_calloc(1, sizeof *sp);
    struct pz_syn_scene *sc = pz_calloc(1, sizeof *sc);
    struct pz_syn_state *states = NULL;
    struct pz_syn_person who;
    if (!sp || !sc)
        PZ_TRY(pz_fail(log, PZ_ERR_NOMEM, "out of memory"));
    pz_syn_person_draw(&who, o.seed, o.person);
    PZ_TRY(pz_syn_speak(log, o.script, o.voice, who.rate, (unsigned long)o.seed, sp));
    for (int i = 0; o.list && i < sp->n_phone; i++)
        printf("%s %.3f %.3f %s\n", sp->phone[i].name, (double)sp->phone[i].start, (double)sp->phone[i].end,
               sp->phone[i].word >= 0 ? sp->word[sp->phone[i].word].text : "");
    int n = sp->n_samples / (PZ_SYN_RATE / 25);
    sp->n_samples = n * (PZ_SYN_RATE / 25); /* sound and picture end together */
    pz_info(log, "%d frames, %.2f s", n, (double)n / 25.);
    if (o.wav)
        PZ_TRY(pz_syn_wav_write(log, o.wav, sp->pcm, sp->n_samples, PZ_SYN_RATE));
    if (o.transcript) {
        char line[1100];
        int len = snprintf(line, sizeof line, "%s\n", sp->transcript);
        PZ_TRY(pz_file_write(log, o.transcript, line, (size_t)len));
    }
    if (!o.raw && !o.still && !o.motion)
        goto fail;
    states = pz_calloc((size_t)n, sizeof *states);
    if (!states)
        PZ_TRY(pz_fail(log, PZ_ERR_NOMEM, "out of memory"));
    PZ_TRY(pz_syn_scene_open(log, pool, o.head, o.seed, o.person, o.w, o.h, o.ss, sc));
    PZ_TRY(pz_syn_behave(log, &sc->rig, sp, NULL, o.seed, o.person, 25.f, n, states));
    if (o.motion)
        PZ_TRY(write_motion(log, &o, sc, sp, states, n));
    PZ_TRY(render(log, &o, sc, states, n));
fail:
    if (sc)
        pz_syn_scene_close(sc);
    if (sp)
        pz_syn_speech_close(sp);
    pz_free(states);
    pz_free(sc);
    pz_free(sp);
    pz_pool_destroy(&pool);
    pz_log_destroy(&log);
    return pz_status_exit_code(st < PZ_OK ? st : PZ_OK);
}
