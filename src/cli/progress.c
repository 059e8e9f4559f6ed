/* Progress bar. Draws at most ten times a second on a terminal, once in ten seconds and at stage ends
 * elsewhere. */
#include "cli/progress.h"

#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define DRAW_EVERY_S 0.1
#define LINE_EVERY_S 10.0
#define BAR_COLUMNS 24

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* A stage whose steps are frames of the film: only there fps means something. */
static bool counts_frames(const char *stage)
{
    static const char *const names[] = {"faces", "crops", "encode", "render", "evaluate", "transcode"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (!strcmp(stage, names[i]))
            return true;
    return false;
}

void pz_cli_progress_text(char *text, size_t n_bytes, const char *stage, int64_t done, int64_t total,
                          double elapsed_s, double film_fps, int columns)
{
    char bar[BAR_COLUMNS + 3] = "", rate[64] = "", eta[48] = "";
    if (done < 0)
        done = 0;
    if (total > 0 && done > total)
        done = total;
    double part = total > 0 ? (double)done / (double)total : 0;
    double fps = elapsed_s > 0 ? (double)done / elapsed_s : 0;
    if (total > 0 && columns >= 80) {
        int full = (int)(part * BAR_COLUMNS);
        bar[0] = '[';
        memset(bar + 1, '#', (size_t)full);
        memset(bar + 1 + full, '.', (size_t)(BAR_COLUMNS - full));
        memcpy(bar + 1 + BAR_COLUMNS, "]", 2);
    }
    if (counts_frames(stage) && fps > 0) {
        int n = snprintf(rate, sizeof rate, " %.1f fps", fps);
        if (film_fps > 0)
            snprintf(rate + n, sizeof rate - (size_t)n, " %.2fx", fps / film_fps);
    }
    if (total > 0 && fps > 0 && done < total) {
        int64_t left = (int64_t)((double)(total - done) / fps + 0.5);
        if (left < 360000)
            snprintf(eta, sizeof eta, " ETA %lld:%02lld", (long long)(left / 60), (long long)(left % 60));
    }
    if (total > 0)
        snprintf(text, n_bytes, "%-8s %s%s%lld/%lld %3d%%%s%s", stage, bar, *bar ? " " : "", (long long)done,
                 (long long)total, (int)(part * 100), rate, eta);
    else
        snprintf(text, n_bytes, "%-8s %lld%s", stage, (long long)done, rate);
    if (columns > 0 && strlen(text) > (size_t)columns)
        text[columns] = '\0';
}

void pz_cli_progress_init(struct pz_cli_progress *p, FILE *out, bool terminal, bool quiet)
{
    memset(p, 0, sizeof *p);
    p->out = out;
    p->terminal = terminal;
    p->quiet = quiet;
    pthread_mutex_init(&p->lock, NULL);
}

static void clear(struct pz_cli_progress *p)
{
    if (p->drawn)
        fputs("\r\033[K", p->out);
    p->drawn = false;
}

void pz_cli_progress_step(struct pz_cli_progress *p, const char *stage, int64_t done, int64_t total)
{
    if (p->quiet)
        return;
    pthread_mutex_lock(&p->lock);
    double now = now_s();
    bool first = strncmp(p->stage, stage, sizeof p->stage - 1) != 0;
    bool last = total > 0 && done >= total;
    if (first) {
        snprintf(p->stage, sizeof p->stage, "%s", stage);
        p->stage_start = now;
        p->last_draw = p->terminal ? 0 : now;
    }
    if (last || now - p->last_draw >= (p->terminal ? DRAW_EVERY_S : LINE_EVERY_S)) {
        struct winsize w = {0};
        int columns = 0;
        char text[256];
        if (p->terminal)
            columns = ioctl(fileno(p->out), TIOCGWINSZ, &w) == 0 && w.ws_col > 1 ? w.ws_col - 1 : 79;
        pz_cli_progress_text(text, sizeof text, stage, done, total, now - p->stage_start, p->film_fps,
                             columns);
        if (p->terminal) {
            fprintf(p->out, "\r%s\033[K", text);
            p->drawn = true;
        } else {
            fprintf(p->out, "%s\n", text);
        }
        fflush(p->out);
        p->last_draw = now;
    }
    pthread_mutex_unlock(&p->lock);
}

void pz_cli_progress_message(struct pz_cli_progress *p, const char *level, const char *text)
{
    pthread_mutex_lock(&p->lock);
    clear(p);
    fprintf(p->out, "personalize: %s%s%s\n", level, *level ? ": " : "", text);
    fflush(p->out);
    pthread_mutex_unlock(&p->lock);
}

void pz_cli_progress_end(struct pz_cli_progress *p)
{
    pthread_mutex_lock(&p->lock);
    clear(p);
    fflush(p->out);
    pthread_mutex_unlock(&p->lock);
}
