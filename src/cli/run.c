/* The commands, bound to the public library. Knows nothing of films: it fills parameter structs, shows
 * progress and prints the reports the library gives. */
#include "cli/run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/help.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "cli/show.h"

/* One run of the program. */
struct run {
    struct pz_cli_args args;
    struct pz_cli_progress progress;
    struct pz_cli_error error; /* of our own; the library's is in the context */
    struct pz_context *ctx;
    char last_error[512];     /* last error the library logged: for a context that could not be made */
    struct pz_pair *pairs[4]; /* vars, spoken, say, audio: as the library wants them */
};

enum { VARS, SPOKEN, SAY, AUDIO };

static void on_message(void *user, enum pz_message_level level, const char *text)
{
    static const char *const words[] = {"error", "warning", "", ""};
    struct run *r = user;
    /* The error that ends a call is printed once, at the end. */
    if (level == PZ_MESSAGE_ERROR)
        snprintf(r->last_error, sizeof r->last_error, "%s", text);
    else
        pz_cli_progress_message(&r->progress, words[level], text);
}

static void on_progress(void *user, const char *stage, int64_t done, int64_t total)
{
    pz_cli_progress_step(&((struct run *)user)->progress, stage, done, total);
}

static bool on_cancelled(void *user)
{
    return pz_cli_interrupted();
}

static enum pz_result fail(struct run *r, enum pz_result result, const char *what, const char *where,
                           const char *todo)
{
    r->error.result = result;
    snprintf(r->error.text, sizeof r->error.text, "%s: %s; %s", where, what, todo);
    return result;
}

static enum pz_result make_pairs(struct run *r)
{
    const struct pz_cli_pairs *from[] = {&r->args.vars, &r->args.spoken, &r->args.say, &r->args.audio};
    for (int k = 0; k < 4; k++) {
        r->pairs[k] = calloc((size_t)from[k]->n + 1, sizeof *r->pairs[k]);
        if (!r->pairs[k])
            return fail(r, PZ_RESULT_DEVICE, "out of memory", "command line", "close other programs");
        for (int i = 0; i < from[k]->n; i++)
            r->pairs[k][i] = (struct pz_pair){from[k]->names[i], from[k]->values[i]};
    }
    return PZ_RESULT_DONE;
}

static enum pz_result open_context(struct run *r)
{
    const struct pz_cli_args *a = &r->args;
    struct pz_context_params p = PZ_CONTEXT_PARAMS_DEFAULT;
    p.threads = (int)a->threads;
    p.device = a->device;
    p.precision = a->precision;
    p.no_smooth = a->no_smooth;
    p.quality = a->quality;
    p.face_detector = a->face_detector;
    p.steps = (int)a->steps;
    p.guidance = a->guidance ? strtof(a->guidance, NULL) : 0;
    p.size = a->size ? atoi(a->size) : 0;
    p.memory = a->memory ? 1e9 * strtod(a->memory, NULL) : 0;
    p.models_dir = a->models_dir;
    p.cache_dir = a->cache_dir;
    p.seed = (uint64_t)a->seed;
    p.profile = a->profile != NULL;
    p.message_level = a->quiet ? PZ_MESSAGE_ERROR : a->verbose ? PZ_MESSAGE_INFO : PZ_MESSAGE_WARNING;
    p.message = on_message;
    p.progress = on_progress;
    p.cancelled = on_cancelled;
    p.user = r;
    return pz_context_create(&p, &r->ctx);
}

/* --transcript is a file when there is one of that name; a lone word with an ending was surely meant as one.
 */
static enum pz_result set_transcript(struct run *r, struct pz_prepare_params *p)
{
    const char *t = r->args.transcript;
    struct stat st;
    if (!t)
        return PZ_RESULT_DONE;
    if (strlen(t) < 4096 && stat(t, &st) == 0 && S_ISREG(st.st_mode)) {
        p->transcript_file = t;
        return PZ_RESULT_DONE;
    }
    size_t n = strlen(t);
    if (!strpbrk(t, " \t\n{") && n > 4 && !strcmp(t + n - 4, ".txt"))
        return fail(r, PZ_RESULT_INPUT, "no such file", t, "give a transcript file or its text");
    p->transcript = t;
    return PZ_RESULT_DONE;
}

static enum pz_result prepare_params(struct run *r, struct pz_prepare_params *p)
{
    const struct pz_cli_args *a = &r->args;
    p->video = a->operands[0];
    p->spoken = r->pairs[SPOKEN];
    p->n_spoken = a->spoken.n;
    p->lip_sync_model = a->no_lip_sync ? "none" : a->lip_sync_model;
    p->face = a->face;
    p->recogniser = a->recogniser;
    p->consent_file = a->consent;
    p->slots_file = a->slots;
    p->language = a->language;
    p->plot = a->plot;
    return set_transcript(r, p);
}

/* The film that is read must not be the file that is written. */
static enum pz_result check_output(struct run *r)
{
    const char *out = r->args.output;
    struct stat a, b;
    size_t n = strlen(out);
    if (r->args.command != PZ_CMD_PREPARE && (n < 5 || strcasecmp(out + n - 4, ".mp4")))
        return fail(r, PZ_RESULT_USAGE, "only MP4 is written", out, "give a name that ends in .mp4");
    if (stat(r->args.operands[0], &a) == 0 && stat(out, &b) == 0 && a.st_dev == b.st_dev &&
        a.st_ino == b.st_ino)
        return fail(r, PZ_RESULT_USAGE, "is the input itself", out, "give another name with -o");
    return PZ_RESULT_DONE;
}

static enum pz_result print_report(struct run *r, const char *json, void (*show)(FILE *, const char *))
{
    pz_cli_progress_end(&r->progress);
    if (r->args.json)
        fprintf(stdout, "%s%s", json, *json && json[strlen(json) - 1] == '\n' ? "" : "\n");
    else if (!r->args.quiet || show == pz_cli_show)
        show(stdout, json);
    if (fflush(stdout) != 0 || ferror(stdout))
        return fail(r, PZ_RESULT_WRITE, strerror(errno), "standard output", "check where it goes");
    return PZ_RESULT_DONE;
}

static enum pz_result render(struct run *r, const struct pz_template *t)
{
    const struct pz_cli_args *a = &r->args;
    char *json = NULL;
    enum pz_result result = pz_template_describe(r->ctx, t, &json);
    if (result != PZ_RESULT_DONE)
        return result;
    r->progress.film_fps = pz_cli_report_number(json, "fps", 0);
    pz_text_free(json);
    json = NULL;
    struct pz_render_params p = PZ_RENDER_PARAMS_DEFAULT;
    p.values = r->pairs[VARS];
    p.n_values = a->vars.n;
    p.say = r->pairs[SAY];
    p.n_say = a->say.n;
    p.audio = r->pairs[AUDIO];
    p.n_audio = a->audio.n;
    p.voice = a->voice;
    p.fit = a->fit;
    p.lip_sync_model = a->no_lip_sync ? "none" : a->lip_sync_model;
    p.output = a->output;
    p.crf = (int)a->crf;
    p.preset = a->preset;
    p.keep_names_out = a->hide_values;
    result = pz_render(r->ctx, t, &p, &json);
    if (result == PZ_RESULT_DONE)
        result = print_report(r, json, pz_cli_show_render);
    pz_text_free(json);
    return result;
}

static enum pz_result do_run(struct run *r)
{
    struct pz_prepare_params p = PZ_PREPARE_PARAMS_DEFAULT;
    struct pz_template *t = NULL;
    enum pz_result result = check_output(r);
    if (result == PZ_RESULT_DONE)
        result = prepare_params(r, &p);
    if (result == PZ_RESULT_DONE)
        result = pz_prepare(r->ctx, &p, NULL, &t);
    if (result == PZ_RESULT_DONE)
        result = render(r, t);
    pz_template_close(&t);
    return result;
}

static enum pz_result do_prepare(struct run *r)
{
    struct pz_prepare_params p = PZ_PREPARE_PARAMS_DEFAULT;
    struct pz_template *t = NULL;
    char *json = NULL;
    enum pz_result result = check_output(r);
    if (result == PZ_RESULT_DONE)
        result = prepare_params(r, &p);
    if (result == PZ_RESULT_DONE)
        result = pz_prepare(r->ctx, &p, r->args.output, &t);
    if (result == PZ_RESULT_DONE)
        result = pz_template_describe(r->ctx, t, &json);
    if (result == PZ_RESULT_DONE)
        result = print_report(r, json, pz_cli_show);
    pz_text_free(json);
    pz_template_close(&t);
    return result;
}

static enum pz_result do_render(struct run *r)
{
    struct pz_template *t = NULL;
    enum pz_result result = check_output(r);
    if (result == PZ_RESULT_DONE)
        result = pz_template_open(r->ctx, r->args.operands[0], &t);
    if (result == PZ_RESULT_DONE)
        result = render(r, t);
    pz_template_close(&t);
    return result;
}

/* detect and check: the same parameters, a report out. Footage that `check` calls unusable is exit code 3. */
static enum pz_result do_look(struct run *r)
{
    struct pz_prepare_params p = PZ_PREPARE_PARAMS_DEFAULT;
    char *json = NULL;
    enum pz_result result = prepare_params(r, &p);
    if (result == PZ_RESULT_DONE)
        result =
            r->args.command == PZ_CMD_DETECT ? pz_detect(r->ctx, &p, &json) : pz_check(r->ctx, &p, &json);
    if (json) {
        enum pz_result printed = print_report(r, json, pz_cli_show);
        result = result == PZ_RESULT_DONE ? printed : result;
    }
    if (result == PZ_RESULT_DONE && r->args.command == PZ_CMD_CHECK &&
        pz_cli_report_is(json, "verdict", "unusable"))
        result = fail(r, PZ_RESULT_UNUSABLE, "not usable", r->args.operands[0], "the report says why");
    pz_text_free(json);
    return result;
}

static enum pz_result do_evaluate(struct run *r)
{
    struct pz_evaluate_params p = PZ_EVALUATE_PARAMS_DEFAULT;
    char *json = NULL;
    p.video = r->args.operands[0];
    p.made = r->args.n_operands > 1 ? r->args.operands[1] : NULL;
    p.lip_sync_model = r->args.lip_sync_model;
    p.face = r->args.face;
    p.strip = r->args.strip;
    p.judge = r->args.judge;
    enum pz_result result = pz_evaluate(r->ctx, &p, &json);
    if (result == PZ_RESULT_DONE)
        result = print_report(r, json, pz_cli_show);
    pz_text_free(json);
    return result;
}

/* Show the licence; ask, when somebody is there to answer. True when it is (or was) accepted. */
static bool accept_licence(struct run *r, const char *name, enum pz_result *result)
{
    char *licence = NULL, line[16] = "";
    bool accepted = false;
    *result = pz_models_licence(r->ctx, name, &licence, &accepted);
    if (*result == PZ_RESULT_DONE && !accepted) {
        fprintf(stderr, "personalize: licence of '%s': %s\n", name, licence);
        if (!r->args.accept_licence && isatty(STDIN_FILENO) && isatty(STDERR_FILENO)) {
            fputs("Do you accept it? [y/N] ", stderr);
            accepted = fgets(line, sizeof line, stdin) && (line[0] == 'y' || line[0] == 'Y');
        }
        accepted = accepted || r->args.accept_licence;
    }
    pz_text_free(licence);
    return accepted;
}

static enum pz_result get_models(struct run *r, const char *what, char **json)
{
    const char *name = r->args.operands[1], *file = r->args.n_operands > 2 ? r->args.operands[2] : NULL;
    enum pz_result result;
    if (!strcmp(what, "add"))
        return pz_models_add(r->ctx, name, file, json);
    bool accepted = accept_licence(r, name, &result);
    return result == PZ_RESULT_DONE ? pz_models_download(r->ctx, name, accepted, json) : result;
}

static enum pz_result do_models(struct run *r)
{
    int n = r->args.n_operands;
    const char *what = n ? r->args.operands[0] : "list";
    const char *name = n > 1 ? r->args.operands[1] : NULL;
    char *json = NULL;
    enum pz_result result;
    if (!strcmp(what, "path") && !name) {
        const char *dir = pz_models_dir(r->ctx);
        if (printf("%s\n", dir ? dir : "") < 0 || fflush(stdout) != 0)
            return fail(r, PZ_RESULT_WRITE, strerror(errno), "standard output", "check where it goes");
        return PZ_RESULT_DONE;
    }
    if (!strcmp(what, "list") && !name)
        result = pz_models_describe(r->ctx, &json);
    else if (!strcmp(what, "verify") && n <= 2)
        result = pz_models_verify(r->ctx, name, &json);
    else if ((!strcmp(what, "download") && n == 2) || (!strcmp(what, "add") && n == 3))
        result = get_models(r, what, &json);
    else
        return fail(r, PZ_RESULT_USAGE, "not something this version does with models", what,
                    "want list, download NAME, add NAME FILE, verify [NAME] or path");
    if (json) {
        enum pz_result printed = print_report(r, json, pz_cli_show);
        result = result == PZ_RESULT_DONE ? printed : result;
    }
    pz_text_free(json);
    return result;
}

static enum pz_result work(struct run *r)
{
    enum pz_result result = make_pairs(r);
    if (result == PZ_RESULT_DONE)
        result = open_context(r);
    if (result != PZ_RESULT_DONE)
        return result;
    switch (r->args.command) {
    case PZ_CMD_RUN:
        return do_run(r);
    case PZ_CMD_PREPARE:
        return do_prepare(r);
    case PZ_CMD_RENDER:
        return do_render(r);
    case PZ_CMD_DETECT:
    case PZ_CMD_CHECK:
        return do_look(r);
    case PZ_CMD_EVALUATE:
        return do_evaluate(r);
    case PZ_CMD_MODELS:
        return do_models(r);
    case PZ_CMD_COUNT:
        break;
    }
    return PZ_RESULT_USAGE;
}

static enum pz_result print_text(struct run *r)
{
    if (r->args.version)
        printf("personalize %s\n", pz_version());
    else if (r->args.help_man)
        pz_cli_man(stdout);
    else
        pz_cli_help(stdout, r->args.command);
    if (fflush(stdout) != 0 || ferror(stdout))
        return fail(r, PZ_RESULT_WRITE, strerror(errno), "standard output", "check where it goes");
    return PZ_RESULT_DONE;
}

/* The one error line. */
static void print_error(struct run *r, enum pz_result result)
{
    const char *text = r->error.text;
    if (result == PZ_RESULT_CANCELLED)
        text = "interrupted; nothing was written";
    if (!*text && r->ctx)
        text = pz_context_error(r->ctx);
    if (!*text)
        text = r->last_error;
    if (!*text)
        text = "failed without a reason; please report it";
    pz_cli_progress_message(&r->progress, "", text);
}

int pz_cli_main(int argc, char **argv)
{
    struct run r = {.ctx = NULL};
    pz_cli_progress_init(&r.progress, stderr, isatty(STDERR_FILENO) == 1, false);
    enum pz_result result = pz_cli_parse(argc, argv, &r.args, &r.error);
    r.progress.quiet = r.args.quiet;
    if (result == PZ_RESULT_DONE) {
        if (r.args.help || r.args.version || r.args.help_man)
            result = print_text(&r);
        else if (!pz_cli_interrupt_start(r.args.output))
            result = fail(&r, PZ_RESULT_DEVICE, strerror(errno), "signal handlers", "close other programs");
        else
            result = work(&r);
        if (result == PZ_RESULT_DONE && r.ctx && r.args.profile)
            result = pz_context_write_profile(r.ctx, r.args.profile);
    }
    pz_cli_progress_end(&r.progress);
    if (result != PZ_RESULT_DONE)
        print_error(&r, result);
    pz_context_destroy(&r.ctx);
    for (int k = 0; k < 4; k++)
        free(r.pairs[k]);
    pz_cli_args_free(&r.args);
    return (int)result;
}
