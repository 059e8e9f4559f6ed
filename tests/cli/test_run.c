/* The commands against a recording double of the public library: what reaches the library, what is printed,
 * which exit code comes back; and the progress bar's text, the report for people, and the sweeping of
 * temporary files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/interrupt.h"
#include "cli/progress.h"
#include "cli/run.h"
#include "cli/show.h"
#include "personalize.h"

static const char REPORT[] =
    "{\"version\": \"1\", \"output\": \"o.mp4\", \"duration_s\": 12.0, \"fps\": 25, \"frames_total\": 300, "
    "\"frames_touched\": 40, \"frames_encoded\": 52, \"frames_copied\": 248, \"model\": "
    "\"gaussian_splatting\", "
    "\"device\": \"cpu\", \"slots\": [{\"name\": \"customer_name\", \"spoken\": \"Anuj\", \"value\": "
    "\"John\", "
    "\"out_start_s\": 0.5, \"out_end_s\": 0.9, \"fit\": \"stretch\", \"face\": {\"verdict\": \"ok\"}}], "
    "\"timings_s\": {\"total\": 2.5}, \"qc\": {\"readback\": {\"text\": \"hi john\", \"score\": 0.9}}}";

/* ---- the double: notes every call in `notes` and answers as told
 * -------------------------------------------- */

static char notes[4096];
static struct pz_context_params context_params;
static enum pz_result answer;      /* of prepare, render, detect, check, evaluate */
static bool wait_for_cancel, deaf; /* deaf: leaves a temporary file and never looks at the cancel callback */

static void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void note(const char *fmt, ...)
{
    va_list ap;
    size_t n = strlen(notes);
    va_start(ap, fmt);
    vsnprintf(notes + n, sizeof notes - n, fmt, ap);
    va_end(ap);
}

static void note_pairs(const char *what, const struct pz_pair *p, int n)
{
    for (int i = 0; i < n; i++)
        note(" %s:%s=%s", what, p[i].name, p[i].value);
}

static const char *or_dash(const char *s)
{
    return s ? s : "-";
}

const char *pz_version(void)
{
    return "9.8.7";
}

void pz_text_free(char *text)
{
    free(text);
}

enum pz_result pz_context_create(const struct pz_context_params *p, struct pz_context **ctx)
{
    context_params = *p;
    note("context threads=%d device=%s seed=%d level=%d;", p->threads, or_dash(p->device), (int)p->seed,
         (int)p->message_level);
    if (p->precision) {
        p->message(p->user, PZ_MESSAGE_ERROR, "precision 'bf16': not here");
        return PZ_RESULT_DEVICE;
    }
    *ctx = malloc(1);
    return *ctx ? PZ_RESULT_DONE : PZ_RESULT_DEVICE;
}

void pz_context_destroy(struct pz_context **ctx)
{
    free(*ctx);
    *ctx = NULL;
}

enum pz_result pz_context_write_profile(struct pz_context *ctx, const char *path)
{
    note("profile %s %s;", context_params.profile ? "to" : "unasked", path);
    return PZ_RESULT_DONE;
}

const char *pz_context_error(struct pz_context *ctx)
{
    return answer == PZ_RESULT_CANCELLED ? "" : "v.mp4: the double says no; ask it again";
}

static enum pz_result act(void)
{
    context_params.message(context_params.user, PZ_MESSAGE_WARNING, "the double warns");
    context_params.message(context_params.user, PZ_MESSAGE_ERROR, "logged too, not to be printed twice");
    context_params.progress(context_params.user, "faces", 1, 2);
    context_params.progress(context_params.user, "faces", 2, 2);
    char name[64];
    snprintf(name, sizeof name, ".o.mp4.pz-%ld-0.tmp", (long)getpid());
    if (deaf && creat(name, 0600) < 0)
        return PZ_RESULT_WRITE;
    for (int i = 0; deaf && i < 1000; i++)
        usleep(10000);
    for (int i = 0; wait_for_cancel && i < 1000; i++) {
        if (context_params.cancelled(context_params.user))
            return answer = PZ_RESULT_CANCELLED;
        usleep(10000);
    }
    return answer;
}

enum pz_result pz_prepare(struct pz_context *ctx, const struct pz_prepare_params *p, const char *output,
                          struct pz_template **t)
{
    note("prepare %s to %s model=%s face=%s text=%s file=%s", p->video, or_dash(output),
         or_dash(p->lip_sync_model), or_dash(p->face), or_dash(p->transcript), or_dash(p->transcript_file));
    note_pairs("spoken", p->spoken, p->n_spoken);
    note(";");
    enum pz_result result = act();
    *t = result == PZ_RESULT_DONE ? malloc(1) : NULL;
    return result;
}

enum pz_result pz_template_open(struct pz_context *ctx, const char *path, struct pz_template **t)
{
    note("open %s;", path);
    *t = malloc(1);
    return PZ_RESULT_DONE;
}

void pz_template_close(struct pz_template **t)
{
    note(*t ? "close;" : "");
    free(*t);
    *t = NULL;
}

enum pz_result pz_template_describe(struct pz_context *ctx, const struct pz_template *t, char **json)
{
    *json = strdup("{\"fps\": 25.0, \"words\": [{\"text\": \"hi\", \"start_s\": 0.25}]}");
    return PZ_RESULT_DONE;
}

enum pz_result pz_render(struct pz_context *ctx, const struct pz_template *t,
                         const struct pz_render_params *p, char **report)
{
    note("render to %s model=%s crf=%d fit=%s hide=%d", p->output, or_dash(p->lip_sync_model), p->crf,
         or_dash(p->fit), p->keep_names_out);
    note_pairs("var", p->values, p->n_values);
    note_pairs("say", p->say, p->n_say);
    note_pairs("audio", p->audio, p->n_audio);
    note(";");
    enum pz_result result = act();
    *report = result == PZ_RESULT_DONE ? strdup(REPORT) : NULL;
    return result;
}

enum pz_result pz_detect(struct pz_context *ctx, const struct pz_prepare_params *p, char **json)
{
    note("detect %s;", p->video);
    enum pz_result result = act();
    *json = result == PZ_RESULT_DONE ? strdup("{\"transcript\": \"hi there\"}") : NULL;
    return result;
}

enum pz_result pz_check(struct pz_context *ctx, const struct pz_prepare_params *p, char **json)
{
    note("check %s;", p->video);
    *json = strdup("{\"verdict\": \"unusable\"}");
    return PZ_RESULT_DONE;
}

enum pz_result pz_evaluate(struct pz_context *ctx, const struct pz_evaluate_params *p, char **json)
{
    note("evaluate %s %s %s;", p->video, or_dash(p->made), or_dash(p->lip_sync_model));
    *json = strdup("{\"figures\": {\"r_aperture\": 0.5}}");
    return PZ_RESULT_DONE;
}

enum pz_result pz_models_describe(struct pz_context *ctx, char **json)
{
    note("models;");
    *json = strdup("{\"engines\": []}");
    return PZ_RESULT_DONE;
}

enum pz_result pz_models_verify(struct pz_context *ctx, const char *name, char **json)
{
    note("verify %s;", or_dash(name));
    *json = NULL;
    return PZ_RESULT_WEIGHTS;
}

enum pz_result pz_models_licence(struct pz_context *ctx, const char *name, char **licence, bool *accepted)
{
    note("licence %s;", name);
    *licence = strdup("may be used for tests");
    *accepted = false;
    return PZ_RESULT_DONE;
}

enum pz_result pz_models_download(struct pz_context *ctx, const char *name, bool accept_licence, char **json)
{
    note("download %s %d;", name, accept_licence);
    *json = accept_licence ? strdup("{\"files\": []}") : NULL;
    return accept_licence ? PZ_RESULT_DONE : PZ_RESULT_USAGE;
}

enum pz_result pz_models_add(struct pz_context *ctx, const char *name, const char *file, char **json)
{
    note("add %s %s;", name, file);
    *json = strdup("{\"files\": []}");
    return PZ_RESULT_DONE;
}

const char *pz_models_dir(struct pz_context *ctx)
{
    return "/weights";
}

/* ---- running the program with its outputs caught
 * ------------------------------------------------------------ */

static char dir[64], out[8192], err[8192];

static void slurp(const char *name, char *text, size_t n)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    text[fread(text, 1, n - 1, f)] = '\0';
    fclose(f);
}

/* Run in a child, so that signal handlers and descriptors stay its own. `notes` comes back through a file. */
static int run(const char *const *words, int kills)
{
    char *argv[24] = {(char *)"personalize"}, path[128];
    int argc = 1, status;
    for (; words[argc - 1]; argc++)
        argv[argc] = (char *)words[argc - 1];
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        signal(SIGINT,
               SIG_DFL); /* a job in the background of a script starts with it ignored, and so would we */
        if (chdir(dir) != 0 || !freopen("out", "w", stdout) || !freopen("err", "w", stderr))
            _exit(99);
        int code = pz_cli_main(argc, argv);
        snprintf(path, sizeof path, "%s/notes", dir);
        FILE *f = fopen(path, "w");
        if (!f || fputs(notes, f) < 0 || fclose(f) != 0)
            _exit(98);
        fflush(NULL);
        _exit(code);
    }
    for (int i = 0; i < kills; i++) {
        usleep(300000);
        kill(pid, SIGINT);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    slurp("out", out, sizeof out);
    slurp("err", err, sizeof err);
    if (kills < 2)
        slurp("notes", notes, sizeof notes);
    return WEXITSTATUS(status);
}

static int set_up(void **state)
{
    snprintf(dir, sizeof dir, "/tmp/pz-cli-XXXXXX");
    notes[0] = '\0';
    answer = PZ_RESULT_DONE;
    wait_for_cancel = deaf = false;
    return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state)
{
    static const char *const names[] = {"out", "err", "notes", "talk.txt", "v.mp4", "o.mp4"};
    char path[128];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        unlink(path);
    }
    notes[0] = '\0';
    return rmdir(dir);
}

static void one_shot_reaches_the_library(void **state)
{
    const char *const words[] = {"v.mp4",
                                 "--spoken",
                                 "customer_name=Anuj",
                                 "--customer-name",
                                 "John",
                                 "--say",
                                 "customer_name=/dʒɒn/",
                                 "--audio",
                                 "x=x.wav",
                                 "--threads",
                                 "2",
                                 "--hide-values",
                                 "--crf",
                                 "20",
                                 "-o",
                                 "o.mp4",
                                 "--face",
                                 "1",
                                 NULL};
    assert_int_equal(run(words, 0), 0);
    assert_string_equal(notes, "context threads=2 device=- seed=1 level=1;"
                               "prepare v.mp4 to - model=- face=1 text=- file=- spoken:customer_name=Anuj;"
                               "render to o.mp4 model=- crf=20 fit=- hide=1 var:customer_name=John"
                               " say:customer_name=/dʒɒn/ audio:x=x.wav;close;");
    assert_non_null(strstr(out, "o.mp4: 12.00 s, 300 frames: 40 made, 52 encoded, 248 copied"));
    assert_non_null(strstr(out, "customer_name: 'Anuj' -> 'John' at 0.50-0.90 s, fit stretch, face ok"));
    assert_non_null(strstr(err, "personalize: warning: the double warns\n"));
    assert_non_null(strstr(err, "faces    2/2 100%"));
    assert_null(strstr(err, "logged too"));
    assert_null(strchr(err, '\r'));
}

static void quiet_and_json(void **state)
{
    const char *const words[] = {"render", "t.pzt",         "--var", "a=b",   "-q",
                                 "--json", "--no-lip-sync", "-o",    "o.mp4", NULL};
    assert_int_equal(run(words, 0), 0);
    assert_string_equal(notes, "context threads=0 device=- seed=1 level=0;open t.pzt;"
                               "render to o.mp4 model=none crf=0 fit=- hide=0 var:a=b;close;");
    assert_memory_equal(out, REPORT, sizeof REPORT - 1);
    assert_string_equal(out + sizeof REPORT - 1, "\n");
    assert_null(strstr(err, "faces"));
}

static void transcript_is_a_file_or_a_text(void **state)
{
    char path[128];
    snprintf(path, sizeof path, "%s/talk.txt", dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fclose(f);
    const char *const file[] = {"prepare", "v.mp4", "--transcript", "talk.txt", "-o", "t.pzt", NULL};
    assert_int_equal(run(file, 0), 0);
    assert_non_null(strstr(notes, "prepare v.mp4 to t.pzt model=- face=- text=- file=talk.txt;"));
    assert_non_null(strstr(out, "fps: 25\nwords:\n  text hi, start_s 0.25\n"));
    notes[0] = '\0';
    const char *const text[] = {"prepare", "v.mp4", "--transcript", "Hi {a=Bo}.txt", "-o", "t.pzt", NULL};
    assert_int_equal(run(text, 0), 0);
    assert_non_null(strstr(notes, "text=Hi {a=Bo}.txt file=-"));
    const char *const lost[] = {"prepare", "v.mp4", "--transcript", "tlak.txt", "-o", "t.pzt", NULL};
    assert_int_equal(run(lost, 0), 2);
    assert_string_equal(err, "personalize: tlak.txt: no such file; give a transcript file or its text\n");
}

static void errors_come_back_as_one_line(void **state)
{
    const char *const words[] = {"detect", "v.mp4", "-q", NULL};
    static const enum pz_result codes[] = {PZ_RESULT_USAGE,   PZ_RESULT_INPUT,  PZ_RESULT_UNUSABLE,
                                           PZ_RESULT_WEIGHTS, PZ_RESULT_DEVICE, PZ_RESULT_WRITE};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        answer = codes[i];
        assert_int_equal(run(words, 0), codes[i]);
        assert_non_null(strstr(err, "personalize: v.mp4: the double says no; ask it again\n"));
        assert_string_equal(out, "");
    }
}

static void a_context_that_fails_tells_why(void **state)
{
    const char *const words[] = {"detect", "v.mp4", "--precision", "bf16", NULL};
    assert_int_equal(run(words, 0), 5);
    assert_string_equal(err, "personalize: precision 'bf16': not here\n");
}

static void reports_are_printed_also_when_footage_fails(void **state)
{
    const char *const check[] = {"check", "v.mp4", "--json", NULL};
    assert_int_equal(run(check, 0), 3);
    assert_null(strstr(notes, "profile"));
    assert_string_equal(out, "{\"verdict\": \"unusable\"}\n");
    assert_string_equal(err, "personalize: v.mp4: not usable; the report says why\n");
    const char *const evaluate[] = {"evaluate", "a.mp4", "b.mp4", "--lip-sync-model", "auto", NULL};
    assert_int_equal(run(evaluate, 0), 0);
    const char *timed[] = {"evaluate", "v.mp4", "--profile", "t.json", NULL};
    assert_int_equal(run(timed, 0), 0);
    assert_non_null(strstr(notes, "profile to t.json;"));
    assert_string_equal(out, "figures:\n  r_aperture: 0.5\n");
    const char *const path[] = {"models", "path", NULL};
    assert_int_equal(run(path, 0), 0);
    assert_string_equal(out, "/weights\n");
    const char *const verify[] = {"models", "verify", "x", NULL};
    assert_int_equal(run(verify, 0), 4);
    const char *const download[] = {"models", "download", NULL};
    assert_int_equal(run(download, 0), 1);
    assert_non_null(strstr(err, "want list, download NAME, add NAME FILE, verify [NAME] or path"));
    const char *const unasked[] = {"models", "download", "w", NULL};
    assert_int_equal(run(unasked, 0), 1);
    assert_non_null(strstr(notes, "licence w;download w 0;"));
    assert_non_null(strstr(err, "licence of 'w': may be used for tests"));
    const char *const fetch[] = {"models", "download", "w", "--accept-licence", NULL};
    assert_int_equal(run(fetch, 0), 0);
    assert_non_null(strstr(notes, "licence w;download w 1;"));
    const char *const add[] = {"models", "add", "w", "f.pth", NULL};
    assert_int_equal(run(add, 0), 0);
    assert_non_null(strstr(notes, "add w f.pth;"));
}

static void the_source_is_never_the_output(void **state)
{
    char path[128];
    snprintf(path, sizeof path, "%s/v.mp4", dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fclose(f);
    const char *const same[] = {"v.mp4", "-o", "./v.mp4", NULL};
    assert_int_equal(run(same, 0), 1);
    assert_string_equal(err, "personalize: ./v.mp4: is the input itself; give another name with -o\n");
    const char *const mkv[] = {"v.mp4", "-o", "o.mkv", NULL};
    assert_int_equal(run(mkv, 0), 1);
    assert_string_equal(err, "personalize: o.mkv: only MP4 is written; give a name that ends in .mp4\n");
    assert_null(strstr(notes, "prepare"));
}

static void ctrl_c_cancels(void **state)
{
    const char *const words[] = {"v.mp4", "-o", "o.mp4", NULL};
    wait_for_cancel = true;
    assert_int_equal(run(words, 1), 130);
    assert_non_null(strstr(err, "personalize: interrupted; nothing was written\n"));
    assert_null(strstr(notes, "render"));
}

static void a_second_ctrl_c_ends_at_once(void **state)
{
    const char *const words[] = {"v.mp4", "-o", "o.mp4", NULL};
    deaf = true;
    assert_int_equal(run(words, 2), 130);
    /* tear_down's rmdir fails when the temporary file is still there */
}

static void temporaries_are_swept(void **state)
{
    char path[160], other[160], folder[160], inner[224];
    snprintf(path, sizeof path, "%s/.o.mp4.pz-4711-0.tmp", dir);
    snprintf(other, sizeof other, "%s/.o.mp4.pz-47110-0.tmp", dir);
    snprintf(folder, sizeof folder, "%s/.t.pzt.pz-4711-3.tmp", dir);
    snprintf(inner, sizeof inner, "%s/template.json", folder);
    assert_int_equal(mkdir(folder, 0700), 0);
    const char *const files[] = {path, other, inner};
    for (int i = 0; i < 3; i++) {
        int fd = open(files[i], O_CREAT | O_WRONLY, 0600);
        assert_true(fd >= 0);
        close(fd);
    }
    char output[128];
    snprintf(output, sizeof output, "%s/t.pzt/", dir);
    pz_cli_remove_temporaries(output, 4711);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(access(folder, F_OK), -1);
    assert_int_equal(access(other, F_OK), 0);
    unlink(other);
    assert_int_equal(chdir(dir), 0);
    pz_cli_remove_temporaries("o.mp4", 4711);
    assert_int_equal(chdir("/"), 0);
}

static void the_bar_tells_the_numbers(void **state)
{
    char text[256];
    pz_cli_progress_text(text, sizeof text, "render", 150, 300, 3.0, 25, 0);
    assert_string_equal(text, "render   150/300  50% 50.0 fps 2.00x ETA 0:03");
    pz_cli_progress_text(text, sizeof text, "fit", 1, 4, 60, 25, 100);
    assert_string_equal(text, "fit      [######..................] 1/4  25% ETA 3:00");
    pz_cli_progress_text(text, sizeof text, "sound", 5, 0, 1, 0, 0);
    assert_string_equal(text, "sound    5");
    pz_cli_progress_text(text, sizeof text, "render", 900, 300, 0, 0, 12);
    assert_int_equal(strlen(text), 12);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(one_shot_reaches_the_library),   TEST(quiet_and_json),
        TEST(transcript_is_a_file_or_a_text), TEST(errors_come_back_as_one_line),
        TEST(a_context_that_fails_tells_why), TEST(reports_are_printed_also_when_footage_fails),
        TEST(the_source_is_never_the_output), TEST(ctrl_c_cancels),
        TEST(a_second_ctrl_c_ends_at_once),   TEST(temporaries_are_swept),
        TEST(the_bar_tells_the_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
