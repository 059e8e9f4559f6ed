/** What models.c asks about MuseTalk's and LatentSync's files, and about this machine. */
#ifndef PZ_API_MODELS_HERE_H
#define PZ_API_MODELS_HERE_H

#include <jansson.h>
#include <stdbool.h>

#include "base/job.h"

/** Checks of single files by their tensors or values; the JSON beside a file is heeded. Errors: WEIGHTS,
 * INPUT, FORMAT, UNSUPPORTED, NOMEM; logged. */
PZ_NODISCARD enum pz_status pz_here_check_unet(const char *path, const struct pz_job *job);
PZ_NODISCARD enum pz_status pz_here_check_unet_config(const char *path, const struct pz_job *job);
PZ_NODISCARD enum pz_status pz_here_check_vae(const char *path, const struct pz_job *job);
PZ_NODISCARD enum pz_status pz_here_check_vae_config(const char *path, const struct pz_job *job);
PZ_NODISCARD enum pz_status pz_here_check_whisper(const char *path, const struct pz_job *job);
PZ_NODISCARD enum pz_status pz_here_check_parser(const char *path, const struct pz_job *job);

/** Are all files of MuseTalk (either version) in a models folder? */
bool pz_here_has_musetalk(const char *dir);

/** The same of LatentSync: its UNet's file; are all files of either version there? */
PZ_NODISCARD enum pz_status pz_here_check_latentsync(const char *path, const struct pz_job *job);
bool pz_here_has_latentsync(const char *dir);

/** Memory and speed an engine is expected to need and reach here, device by device, each with what the figure
 * stands on; NULL where nothing is known. Measures the processor for a few hundredths of a second. New
 * reference. */
json_t *pz_here_expect(const char *engine, struct pz_pool *pool);

#endif
