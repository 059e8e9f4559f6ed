// Where LatentSync's files are. Opens none but the configuration and the mask.
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "image/png.h"
#include "lipsync/latents.h"
#include "lipsync/latentsync_model.h"
#include "lipsync/speech_features.h"

void pz_latentsync_files_free(struct pz_latentsync_files *f)
{
    pz_free(f->unet);
    pz_free(f->vae);
    pz_free(f->vae_config);
    pz_free(f->whisper);
    pz_free(f->mask);
    *f = (struct pz_latentsync_files){0};
}

/* The number behind `resolution:` in the first configuration beside the weights; 0 when there is none. */
static enum pz_status read_size(const char *dir, const char *folder, struct pz_log *log, int *size)
{
    static const char *const names[] = {"stage2.yaml", "stage2_512.yaml", "config.yaml"};
    *size = 0;
    for (int i = 0; i < 3 && !*size; i++) {
        char *path = pz_asprintf("%s/%s/%s", dir, folder, names[i]), *text = NULL;
        size_t n;
        enum pz_status st = path ? PZ_OK : pz_fail(log, PZ_ERR_NOMEM, "no memory for a path");
        if (path && pz_file_exists(path)) {
            st = pz_file_read(log, path, (size_t)1 << 20, &text, &n);
            const char *at = st >= PZ_OK ? strstr(text, "resolution:") : NULL;
            long found = at ? strtol(at + strlen("resolution:"), NULL, 10) : 0;
            if (at && (found < 32 || found > 1024 || found % 64))
                st = pz_fail(log, PZ_ERR_FORMAT, "'%s': a resolution of %ld px is none LatentSync has", path,
                             found);
            *size = at ? (int)found : 0;
        }
        pz_free(text);
        pz_free(path);
        if (st < PZ_OK)
            return st;
    }
    return PZ_OK;
}

static enum pz_status find_mask(const char *dir, const char *folder, struct pz_log *log, char **mask)
{
    const char *const folders[] = {folder, "latentsync"};
    for (int i = 0; i < 2 && !*mask; i++) {
        char *path = pz_asprintf("%s/%s/mask.png", dir, folders[i]);
        if (!path)
            return pz_fail(log, PZ_ERR_NOMEM, "no memory for a path");
        if (pz_file_exists(path))
            *mask = path;
        else
            pz_free(path);
    }
    return PZ_OK;
}

enum pz_status pz_latentsync_find(const char *models_dir, int size, struct pz_log *log,
                                  struct pz_latentsync_files *f)
{
    static const struct {
        const char *folder;
        int size;
    } versions[] = {{"latentsync", 256}, {"latentsync-1.6", 512}};
    enum pz_status st = PZ_OK;
    const char *dir = models_dir ? models_dir : "";
    *f = (struct pz_latentsync_files){0};
    for (int i = 0; i < 2 && !f->unet; i++) {
        int has;
        char *path = pz_asprintf("%s/%s/latentsync_unet.pt", dir, versions[i].folder);
        if (!path) {
            st = pz_fail(log, PZ_ERR_NOMEM, "no memory for a path");
            goto fail;
        }
        st = read_size(dir, versions[i].folder, log, &has);
        has = has ? has : versions[i].size;
        if (st >= PZ_OK && (!size || size == has) && pz_file_exists(path)) {
            f->unet = path;
            f->size = has;
            st = find_mask(dir, versions[i].folder, log, &f->mask);
        } else {
            pz_free(path);
        }
        if (st < PZ_OK)
            goto fail;
    }
    PZ_TRY(pz_latents_find(models_dir, log, &f->vae, &f->vae_config));
    PZ_TRY(pz_speech_features_find(models_dir, log, &f->whisper));
    const char *missing =
        !f->unet      ? size == 512 ? "latentsync-1.6/latentsync_unet.pt" : "latentsync/latentsync_unet.pt"
        : !f->vae     ? "sd-vae/diffusion_pytorch_model.bin"
        : !f->whisper ? "whisper/tiny.pt"
                      : NULL;
    if (missing)
        st = pz_fail(log, PZ_ERR_WEIGHTS,
                     "latentsync lacks weights: there is no '%s' in '%s'; get them with `personalize models "
                     "download %s`, or `personalize models add %s FILE`",
                     missing, dir, size == 512 ? "latentsync-1.6" : "latentsync",
                     size == 512 ? "latentsync-1.6" : "latentsync");
fail:
    if (st < PZ_OK)
        pz_latentsync_files_free(f);
    return st;
}

enum pz_status pz_latentsync_read_mask(const struct pz_latentsync_files *f, struct pz_log *log,
                                       struct pz_rgb *mask)
{
    double sum = 0;
    *mask = (struct pz_rgb){0};
    enum pz_status st = f->mask ? pz_png_read(log, f->mask, mask) : PZ_OK;
    if (st < PZ_OK || !mask->data)
        return st;
    size_t n = (size_t)mask->width * (size_t)mask->height;
    for (size_t i = 0; i < n; i++)
        sum += 1 - mask->data[i];
    if (sum >= 0.05 * (double)n && sum <= 0.95 * (double)n)
        return PZ_OK;
    pz_rgb_free(mask);
    return pz_fail(log, PZ_ERR_FORMAT, "'%s' is no mask: %.0f %% of it would be repainted", f->mask,
                   100 * sum / (double)n);
}
