// Where a Whisper model's files are, and opening them.
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"
#include "speech/whisper.h"

#define ALL_LANGUAGES 51865 /* tokens of the models that know them */
#define ENGLISH 51864

static const char *const sizes[] = {"tiny",     "tiny.en",  "base",     "base.en",
                                    "small",    "small.en", "medium",   "medium.en",
                                    "large-v1", "large-v2", "large-v3", "large-v3-turbo"};

/* The published name of a size as users write it, NULL when it is none. */
static const char *published(const char *model)
{
    if (strcmp(model, "large") == 0)
        return "large-v3";
    if (strcmp(model, "turbo") == 0)
        return "large-v3-turbo";
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (strcmp(sizes[i], model) == 0)
            return sizes[i];
    return NULL;
}

static bool is_folder(const char *path)
{
    struct stat sb;
    return stat(path, &sb) == 0 && S_ISDIR(sb.st_mode);
}

/* The first of dir/whisper/NAME.ext, or of the files of a folder, that is there. On the heap. */
static char *first_of(const char *dir, const char *name, const char *const *ends)
{
    for (; *ends; ends++) {
        char *path = pz_asprintf("%s/%s%s", dir, name, *ends);
        if (path && pz_file_exists(path))
            return path;
        pz_free(path);
    }
    return NULL;
}

/* Path of the checkpoint; NULL with a logged error. */
static char *locate(const char *model, const char *dir, struct pz_log *log, enum pz_status *st)
{
    static const char *const whole[] = {".pt", ".safetensors", NULL};
    static const char *const inside[] = {"model.safetensors", "model.safetensors.index.json",
                                         "pytorch_model.bin", "pytorch_model.bin.index.json", NULL};
    const char *name = published(model);
    char *path;
    *st = PZ_ERR_WEIGHTS;
    if (name) {
        char *own = pz_asprintf("%s/whisper", dir);
        path = own ? first_of(own, name, whole) : NULL;
        pz_free(own);
        if (!path)
            pz_fail(
                log, *st,
                "Whisper's weights '%s/whisper/%s.pt' are missing: get them with personalize models download "
                "whisper:%s",
                dir, name, name);
        return path;
    }
    if (is_folder(model)) {
        path = first_of(model, "", inside);
        if (!path)
            pz_fail(log, *st, "there is no model.safetensors and no pytorch_model.bin in '%s'", model);
        return path;
    }
    if (!strchr(model, '/') && !strchr(model, '.')) {
        *st = pz_fail(
            log, PZ_ERR_USAGE,
            "no Whisper model '%s'; there are tiny, base, small, medium (each also with .en), large-v1, "
            "large-v2, large-v3 and turbo, or give the path of a file",
            model);
        return NULL;
    }
    if (!pz_file_exists(model)) {
        pz_fail(log, *st,
                "Whisper's weights '%s' are missing: give the path of a file, or a size such as tiny", model);
        return NULL;
    }
    path = pz_strdup(model);
    *st = path ? PZ_OK : PZ_ERR_NOMEM;
    return path;
}

/* "tiny" of ".../tiny.pt", ".../whisper-tiny.safetensors" and ".../whisper-tiny/model.safetensors". */
static void name_of(const char *path, char out[64])
{
    const char *slash = strrchr(path, '/'), *file = slash ? slash + 1 : path, *end;
    if (slash && (strncmp(file, "model", 5) == 0 || strncmp(file, "pytorch_model", 13) == 0)) {
        end = slash;
        for (file = slash; file > path && file[-1] != '/';)
            file--;
    } else {
        end = strrchr(file, '.');
        end = end ? end : file + strlen(file);
    }
    if (strncmp(file, "whisper-", 8) == 0)
        file += 8;
    snprintf(out, 64, "%.*s", end > file ? (int)(end - file) : 0, file);
}

/* Words beside the checkpoint, else in the models' folder. */
static char *words_path(const char *checkpoint, const char *dir, int n_vocab)
{
    const char *name = n_vocab >= ALL_LANGUAGES ? "multilingual.tiktoken" : "gpt2.tiktoken",
               *slash = strrchr(checkpoint, '/');
    char *path = slash ? pz_asprintf("%.*s/%s", (int)(slash - checkpoint), checkpoint, name)
                       : pz_asprintf("./%s", name);
    if (path && pz_file_exists(path))
        return path;
    pz_free(path);
    return pz_asprintf("%s/whisper/%s", dir, name);
}

enum pz_status pz_whisper_ears_open(const char *model, const char *models_dir, int beams,
                                    const struct pz_plan_params *plan, const struct pz_job *job,
                                    struct pz_whisper_ears **e)
{
    struct pz_log *log = job->log;
    enum pz_status st;
    struct pz_checkpoint *c = NULL;
    struct pz_whisper_vocab *words = NULL;
    char name[64], *path = NULL, *list = NULL;
    *e = NULL;
    path = locate(model && *model ? model : "tiny", models_dir, log, &st);
    if (!path)
        return st;
    struct pz_whisper_options o = {.file = path, .plan = plan ? *plan : pz_plan_default};
    o.plan.threads = pz_pool_threads(job->pool);
    PZ_TRY(pz_checkpoint_open(path, job, &c));
    PZ_TRY(pz_whisper_dims_read(c, path, log, &o.dims));
    list = words_path(path, models_dir, o.dims.vocab);
    if (!list) {
        st = pz_fail(log, PZ_ERR_NOMEM, "no memory for Whisper");
        goto fail;
    }
    name_of(path, name);
    if (!pz_file_exists(list)) {
        st = pz_fail(log, PZ_ERR_WEIGHTS,
                     "Whisper's words '%s' are missing: get them with personalize models download whisper:%s",
                     list, published(name) ? name : "tiny");
        goto fail;
    }
    PZ_TRY(pz_whisper_vocab_open(log, list, o.dims.vocab, &words));
    o.checkpoint = c;
    PZ_TRY(pz_whisper_ears_make(&o, name, beams, &words, job, e));
fail:
    pz_checkpoint_close(&c);
    pz_whisper_vocab_close(&words);
    pz_free(path);
    pz_free(list);
    return st;
}

enum pz_status pz_whisper_verify(const char *path, const struct pz_job *job)
{
    struct pz_log *log = job ? job->log : NULL;
    struct pz_whisper_layer layers[PZ_WHISPER_MAX_LAYERS];
    struct pz_checkpoint *c = NULL;
    struct pz_whisper_dims d;
    struct pz_graph *g = NULL;
    struct pz_params *p = NULL;
    enum pz_status st;
    PZ_TRY(pz_checkpoint_open(path, job, &c));
    PZ_TRY(pz_whisper_dims_read(c, path, log, &d));
    struct pz_params_options o = pz_whisper_params(&d, c, path);
    g = pz_graph_create(log);
    p = g ? pz_params_create(g, &o, log) : NULL;
    if (!p) {
        st = pz_fail(log, PZ_ERR_NOMEM, "no memory for Whisper");
        goto fail;
    }
    pz_nn_whisper_encoder(p, &d, PZ_NONE, NULL);
    pz_nn_whisper_decoder(p, &d, PZ_NONE, PZ_NONE, PZ_NONE, PZ_NONE, layers);
    st = pz_params_finish(p);
fail:
    pz_params_destroy(&p);
    pz_graph_destroy(&g);
    pz_checkpoint_close(&c);
    return st;
}

enum pz_status pz_whisper_verify_words(const char *path, const struct pz_job *job)
{
    struct pz_whisper_vocab *v = NULL;
    enum pz_status st = pz_whisper_vocab_open(NULL, path, ENGLISH, &v);
    if (st == PZ_ERR_WEIGHTS) /* as many ranks as the others have */
        st = pz_whisper_vocab_open(job ? job->log : NULL, path, ALL_LANGUAGES, &v);
    else if (st < PZ_OK)
        st = pz_whisper_vocab_open(job ? job->log : NULL, path, ENGLISH, &v); /* once more, and say why */
    pz_whisper_vocab_close(&v);
    return st;
}
