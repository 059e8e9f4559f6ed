/* Checks of the files that belong to MuseTalk and LatentSync, and what an engine needs and reaches on this
 * machine. */
#include "api/models_here.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/pool.h"
#include "lipsync/diffusers_config.h"
#include "lipsync/engine_plan.h"
#include "lipsync/face_parser.h"
#include "lipsync/latents.h"
#include "lipsync/latentsync_model.h"
#include "lipsync/musetalk_model.h"
#include "lipsync/speech_features.h"
#include "tensor/cpu/ceilings.h"
#include "tensor/cpu/cpu.h"
#include "tensor/cuda/cuda.h"

/* ---- files ---- */

/* The JSON beside a file, on the heap. */
static char *beside(const char *path, const char *name)
{
    const char *slash = strrchr(path, '/');
    return slash ? pz_asprintf("%.*s/%s", (int)(slash - path), path, name) : pz_strdup(name);
}

enum pz_status pz_here_check_unet(const char *path, const struct pz_job *job)
{
    char *config = beside(path, "musetalk.json");
    enum pz_status st = config ? pz_musetalk_verify(path, config, job) : PZ_ERR_NOMEM;
    pz_free(config);
    return st;
}

enum pz_status pz_here_check_unet_config(const char *path, const struct pz_job *job)
{
    struct pz_sd_unet_config c;
    return pz_diffusers_unet(path, &pz_musetalk_unet, job ? job->log : NULL, &c);
}

enum pz_status pz_here_check_vae(const char *path, const struct pz_job *job)
{
    char *config = beside(path, "config.json");
    enum pz_status st = config ? pz_latents_verify(path, config, job) : PZ_ERR_NOMEM;
    pz_free(config);
    return st;
}

enum pz_status pz_here_check_vae_config(const char *path, const struct pz_job *job)
{
    struct pz_sd_vae_config c;
    return pz_diffusers_vae(path, &pz_sd_vae_default, job ? job->log : NULL, &c);
}

enum pz_status pz_here_check_whisper(const char *path, const struct pz_job *job)
{
    return pz_speech_features_verify(path, job, NULL);
}

enum pz_status pz_here_check_parser(const char *path, const struct pz_job *job)
{
    return pz_face_parser_verify(path, job);
}

bool pz_here_has_musetalk(const char *dir)
{
    struct pz_musetalk_files f;
    bool yes = pz_musetalk_find(dir, NULL, NULL, &f) >= PZ_OK;
    if (yes)
        pz_musetalk_files_free(&f);
    return yes;
}

enum pz_status pz_here_check_latentsync(const char *path, const struct pz_job *job)
{
    return pz_latentsync_verify(path, job, NULL);
}

bool pz_here_has_latentsync(const char *dir)
{
    struct pz_latentsync_files f;
    bool yes = pz_latentsync_find(dir, 0, NULL, &f) >= PZ_OK;
    if (yes)
        pz_latentsync_files_free(&f);
    return yes;
}

/* ---- what to expect ---- */

/* Weights of UNet, both halves of the VAE, Whisper's encoder and BiSeNet, in millions; operations a drawn
 * frame and a prepared one, in 10⁹ (the fact sheet's table). */
#define MUSETALK_WEIGHTS 955.0
#define MUSETALK_AROUND 91.0 /* of them the VAE's and Whisper's: F32 beside a UNet in BF16 */
#define MUSETALK_DRAWN 800.0
#define MUSETALK_PREPARED 573.0
/* Work memory beside the weights, bytes: the VAE's largest pictures and the film's. */
#define WORK_CPU 0.5e9
/* Share of the processor's multiply-adds in registers that these networks reach, measured on a Zen 4 (two
 * threads, the UNet in BF16); convolutions by Winograd do with fewer operations than are counted, so it is
 * high. */
#define CPU_SHARE 0.68
/* Share of an 8192³ F16 product's rate that UNet and decoder reach at batch 20, measured on one H100
 * (docs/notes/tensor.md): 800 GFLOP in 33.7 / 20 ms, of 822 TFLOP/s. */
#define CUDA_SHARE 0.578

static double two_digits(double v)
{
    return rint(100 * v) / 100;
}

/* What is needed of the memory there is. */
static json_t *on_device(const char *precision, bool cuda, double need, double fps, const char *basis)
{
    double have = pz_engine_memory(cuda);
    json_t *o = json_pack("{s:s, s:I, s:o}", "precision", precision, "memory_bytes", (json_int_t)need,
                          "frames_per_second", fps > 0 ? json_real(two_digits(fps)) : json_null());
    if (o && have > 0) {
        json_object_set_new(o, "memory_free_bytes", json_integer((json_int_t)have));
        json_object_set_new(o, "fits", json_boolean(need <= have));
    }
    if (o)
        json_object_set_new(o, "basis", json_string(basis));
    return o;
}

/* The networks on the device at hand, at the batch its memory allows. */
static json_t *musetalk_on_cuda(void)
{
    int batch = pz_musetalk_batch(true, PZ_DTYPE_F16);
    double copy = 0, product = 0, need = pz_musetalk_need(batch, PZ_DTYPE_F16);
    bool known = pz_cuda_ceilings(NULL, &copy, &product) >= PZ_OK;
    json_t *o =
        on_device("f16", true, need, known && batch == 20 ? product * CUDA_SHARE / 1e9 / MUSETALK_DRAWN : 0,
                  !known        ? "this device could not be measured"
                  : batch == 20 ? "computed: operations a frame over what this device's F16 product "
                                  "reached just now, times the share of it measured on an H100"
                                : "too little memory is free for the batches that were measured");
    if (o)
        json_object_set_new(o, "batch", json_integer(batch));
    return o;
}

json_t *pz_here_expect(const char *engine, struct pz_pool *pool)
{
    if (strcmp(engine, "musetalk") != 0)
        return NULL;
    int rung = pz_plan_default.rung;
    bool bf16 = pz_cpu_has_bf16(rung);
    double peak = pool ? pz_cpu_peak(rung, bf16 ? PZ_DTYPE_BF16 : PZ_DTYPE_F32, pool) : 0,
           rate = peak * CPU_SHARE / 1e9;
    json_t *cpu =
        on_device(bf16 ? "bf16" : "f32", false,
                  (MUSETALK_WEIGHTS * (bf16 ? 2 : 4) + (bf16 ? 2 * MUSETALK_AROUND : 0)) * 1e6 + WORK_CPU,
                  rate / MUSETALK_DRAWN,
                  "computed: operations a frame over what this processor's multiply-adds reached "
                  "just now, times the share of it measured on another machine");
    if (cpu && rate > 0)
        json_object_set_new(cpu, "prepared_frames_per_second",
                            json_real(two_digits(rate / MUSETALK_PREPARED)));
    json_t *o = json_pack("{s:o}", "cpu", cpu);
    if (o && pz_cuda_present())
        json_object_set_new(o, "cuda", musetalk_on_cuda());
    return o;
}
