/* The engines of this build, by command-line name. An engine is listed when it can run, never before. */
#include "lipsync/engine.h"

#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"

#include "lipsync/engine_gs.h"
#include "lipsync/engine_latentsync.h"
#include "lipsync/engine_musetalk.h"
#include "lipsync/engine_wav2lip.h"
#include "lipsync/engine_wav2lip_embedded.h"

static const struct pz_engine_vtable *const engines[] = {&pz_engine_gaussian_splatting, &pz_engine_wav2lip,
                                                         &pz_engine_wav2lip_embedded, &pz_engine_musetalk,
                                                         &pz_engine_latentsync};
#define AHEAD_BYTES ((int64_t)256 << 20)
#define N_ENGINES (sizeof engines / sizeof engines[0])

const struct pz_engine_vtable *pz_engine_find(const char *name)
{
    for (size_t i = 0; name && i < N_ENGINES; i++)
        if (strcmp(engines[i]->name, name) == 0)
            return engines[i];
    return NULL;
}

const char *const *pz_engine_names(void)
{
    static const char *const names[] = {"gaussian_splatting", "wav2lip",    "wav2lip:embedded",
                                        "musetalk",           "latentsync", NULL};
    return names;
}

int pz_engine_ahead(const struct pz_engine_vtable *v, const void *engine, int width, int height)
{
    int n = v->ahead && v->feed ? v->ahead(engine) : 1;
    int64_t bytes = (int64_t)width * height * 3 / 2, fit = bytes > 0 ? AHEAD_BYTES / bytes : 1;
    n = n > fit ? (int)fit : n;
    return n < 1 ? 1 : n;
}

char *pz_engine_stamp_files(const char *const *paths, int n)
{
    char *text = pz_strdup("");
    for (int i = 0; i < n && text; i++) {
        struct stat sb;
        const char *slash = paths[i] ? strrchr(paths[i], '/') : NULL;
        char *longer =
            !paths[i] || stat(paths[i], &sb) != 0
                ? pz_asprintf("%s-;", text)
                : pz_asprintf("%s%s %lld %lld.%09ld;", text, slash ? slash + 1 : paths[i],
                              (long long)sb.st_size, (long long)sb.st_mtim.tv_sec, (long)sb.st_mtim.tv_nsec);
        pz_free(text);
        text = longer;
    }
    return text;
}
