/* What can run here and what it needs: the table of weights. Getting them is models_get.c. */
#include "api/models.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "api/models_here.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "face/embedded.h"
#include "face/mtcnn.h"
#include "lipsync/lse.h"
#include "lipsync/wav2lip_model.h"
#include "lipsync/wav2lip_s3fd.h"
#include "speech/whisper.h"

#include "tensor/cuda/cuda.h"

static enum pz_status check_wav2lip(const char *path, const struct pz_job *job);
static enum pz_status check_mtcnn_p(const char *path, const struct pz_job *job);
static enum pz_status check_mtcnn_r(const char *path, const struct pz_job *job);
static enum pz_status check_mtcnn_o(const char *path, const struct pz_job *job);

#define MTCNN_DATA                                                                                           \
    "https://raw.githubusercontent.com/timesler/facenet-pytorch/de894bed2c7bbc028350c649a80b3009ce29aa90/"   \
    "data/"
#define MP_LICENCE "Apache-2.0 (Google MediaPipe)"
#define MP_HOW "scripts/setup --mediapipe"
#define PS_DIR "/usr/share/pocketsphinx/model/en-us/"
#define W2L_LICENCE                                                                                          \
    "research, academic and personal use only, no commercial use (Rudrabha/Wav2Lip; trained on LRS2)"
#define DRIVE_FOLDER "https://drive.google.com/drive/folders/153HLrqlBNxzZcHi17PEvP09kkAfzRshM"

/* A size of Whisper: its checkpoint and its words. OpenAI's address of a checkpoint carries its SHA-256. */
#define WHISPER_LICENCE "MIT (OpenAI)"
#define WHISPER_CODE                                                                                         \
    "https://raw.githubusercontent.com/openai/whisper/c0d2f624c09dc18e709e37c2ad90c039a4eb72a2/whisper/"     \
    "assets/"
#define ALL_WORDS                                                                                            \
    "multilingual.tiktoken", 816730, "b34b360dbb493e781e479794586d661700670d65564001f23024971d1f2fa126"
#define ENGLISH_WORDS                                                                                        \
    "gpt2.tiktoken", 835554, "306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930"
#define WHISPER(size, sha, words) WHISPER_ROWS(size, sha, words)
#define WHISPER_ROWS(size, sha, words_file, words_bytes, words_sha)                                          \
    {.model = "whisper:" size,                                                                               \
     .path = "whisper/" size ".pt",                                                                          \
     .url = "https://openaipublic.azureedge.net/main/whisper/models/" sha "/" size ".pt",                    \
     .sha256 = sha,                                                                                          \
     .licence = WHISPER_LICENCE,                                                                             \
     .used_for = "recognition (--recogniser whisper:" size ")",                                              \
     .how = "personalize models download whisper:" size,                                                     \
     .check = pz_whisper_verify},                                                                            \
    {                                                                                                        \
        .model = "whisper:" size, .path = "whisper/" words_file, .url = WHISPER_CODE words_file,             \
        .n_bytes = words_bytes, .sha256 = words_sha, .licence = WHISPER_LICENCE, .used_for = "its words",    \
        .how = "personalize models download whisper:" size, .check = pz_whisper_verify_words                 \
    }

/* MuseTalk and what it is built of. One licence text for the group: it is accepted once. */
#define MT_LICENCE                                                                                           \
    "MuseTalk: MIT, weights for any use; sd-vae-ft-mse: MIT; whisper-tiny: MIT (OpenAI); face-parsing: MIT " \
    "code, weights trained on CelebAMask-HQ, whose pictures are for non-commercial research"
#define HF "https://huggingface.co/"
#define MT_ROW(group, file, from, what, verify)                                                              \
    {                                                                                                        \
        .model = group, .path = file, .url = from, .licence = MT_LICENCE, .used_for = what,                  \
        .how = "personalize models download " group, .check = verify                                         \
    }

/* LatentSync: one UNet a version, the rest is MuseTalk's too. */
#define LS_LICENCE                                                                                           \
    "LatentSync: OpenRAIL++ (its list of forbidden uses applies); sd-vae-ft-mse: MIT; whisper-tiny: MIT "    \
    "(OpenAI)"
#define LS_ROW(group, file, from, what, verify)                                                              \
    {                                                                                                        \
        .model = group, .path = file, .url = from, .licence = LS_LICENCE, .used_for = what,                  \
        .how = "personalize models download " group, .check = verify                                         \
    }
#define LATENTSYNC(group, version, px)                                                                       \
    LS_ROW(group, group "/latentsync_unet.pt",                                                               \
           HF "ByteDance/LatentSync-" version "/resolve/main/latentsync_unet.pt",                            \
           "lip-sync " version ", pictures of " px " px (5 GB)", pz_here_check_latentsync),                  \
        LS_ROW(group, "sd-vae/diffusion_pytorch_model.bin",                                                  \
               HF "stabilityai/sd-vae-ft-mse/resolve/main/diffusion_pytorch_model.bin",                      \
               "lip-sync: pictures and latents", pz_here_check_vae),                                         \
        LS_ROW(group, "whisper/tiny.pt", TINY_URL,                                                           \
               "lip-sync: hearing (whisper/pytorch_model.bin will do as well)", pz_here_check_whisper)
#define TINY_SHA "65147644a518d12f04e32d6f3b26facc3f8dd46e5390956a9424a650c0ce22b9"
#define TINY_URL "https://openaipublic.azureedge.net/main/whisper/models/" TINY_SHA "/tiny.pt"

/* Sizes and hashes are said where somebody has measured or published them; the others are checked by their
 * tensors. */
static const struct pz_weight_file files[] = {
    {.model = "embedded",
     .path = "face_detector.safetensors",
     .inside = true,
     .licence = "Apache-2.0 (this project; trained on synthetic people alone)",
     .used_for = "face detection",
     .how = "part of the program"},
    {.model = "embedded",
     .path = "face_landmarks.safetensors",
     .inside = true,
     .licence = "Apache-2.0 (this project; trained on synthetic people alone)",
     .used_for = "face landmarks",
     .how = "part of the program"},
    {.model = "embedded",
     .path = "face_parts.safetensors",
     .inside = true,
     .licence = "Apache-2.0 (this project; trained on synthetic people alone)",
     .used_for = "parts of faces",
     .how = "part of the program"},
    {.model = "mediapipe",
     .path = "mediapipe/face_detection_short_range.tflite",
     .n_bytes = 229714,
     .sha256 = "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
     .licence = MP_LICENCE,
     .used_for = "face detection",
     .how = MP_HOW},
    {.model = "mediapipe",
     .path = "mediapipe/face_landmark_with_attention.tflite",
     .n_bytes = 2495106,
     .sha256 = "e06a804e0144f9929eda782122916b35d60c697c3c9344013ca2bbe76a6ce2b4",
     .licence = MP_LICENCE,
     .used_for = "face landmarks",
     .how = MP_HOW},
    {.model = "mtcnn",
     .path = "mtcnn/pnet.pt",
     .url = MTCNN_DATA "pnet.pt",
     .n_bytes = 28570,
     .sha256 = "a2a71925e0b9996a42f63e47efc1ca19043e69558b5c523b978d611dfae49c8f",
     .licence = "MIT (timesler/facenet-pytorch, which publishes the files)",
     .used_for = "face boxes (--face-detector mtcnn)",
     .how = "personalize models download mtcnn",
     .check = check_mtcnn_p},
    {.model = "mtcnn",
     .path = "mtcnn/rnet.pt",
     .url = MTCNN_DATA "rnet.pt",
     .n_bytes = 403147,
     .sha256 = "bbb937de72efc9ef83b186c49f5f558467a1d7e3453a8ece0d71a886633f6a86",
     .licence = "MIT (timesler/facenet-pytorch, which publishes the files)",
     .used_for = "face boxes (--face-detector mtcnn)",
     .how = "personalize models download mtcnn",
     .check = check_mtcnn_r},
    {.model = "mtcnn",
     .path = "mtcnn/onet.pt",
     .url = MTCNN_DATA "onet.pt",
     .n_bytes = 1559269,
     .sha256 = "165bfbe42940416ccfb977545cf0e976d5bf321f67083ae2aaaa5c764280118d",
     .licence = "MIT (timesler/facenet-pytorch, which publishes the files)",
     .used_for = "face boxes (--face-detector mtcnn)",
     .how = "personalize models download mtcnn",
     .check = check_mtcnn_o},
    {.model = "pocketsphinx",
     .path = PS_DIR "en-us/mdef",
     .licence = "BSD-2-Clause (CMU)",
     .used_for = "recognition and alignment",
     .how = "Debian package pocketsphinx-en-us"},
    {.model = "pocketsphinx",
     .path = PS_DIR "cmudict-en-us.dict",
     .licence = "BSD-2-Clause (CMU)",
     .used_for = "pronunciations",
     .how = "Debian package pocketsphinx-en-us"},
    {.model = "wav2lip",
     .path = "wav2lip/wav2lip_gan.pth",
     .url = "https://drive.usercontent.google.com/"
            "download?id=15G3U08c8xsCkOqQxE38Z2XXDnPcOptNk&export=download&confirm=t",
     .licence = W2L_LICENCE,
     .used_for = "lip-sync, sharper pictures",
     .how = "personalize models download wav2lip",
     .either = true,
     .check = check_wav2lip},
    {.model = "wav2lip",
     .path = "wav2lip/wav2lip.pth",
     .licence = W2L_LICENCE,
     .used_for = "lip-sync, closer lips",
     .how = "fetch by hand from " DRIVE_FOLDER ", then personalize models add wav2lip FILE",
     .either = true,
     .check = check_wav2lip},
    {.model = "s3fd",
     .path = "s3fd/s3fd-619a316812.pth",
     .url = "https://www.adrianbulat.com/downloads/python-fan/s3fd-619a316812.pth",
     .sha256 = "619a316812",
     .licence = "BSD-3-Clause (1adrianb/face-alignment, which publishes the file)",
     .used_for = "face boxes of wav2lip (--face-detector s3fd)",
     .how = "personalize models download s3fd",
     .check = pz_wav2lip_s3fd_verify},
    {.model = "syncnet",
     .path = "syncnet/syncnet_v2.model",
     .url = "https://www.robots.ox.ac.uk/~vgg/software/lipsync/data/syncnet_v2.model",
     .licence =
         "published by Oxford VGG with its research code (joonson/syncnet_python, MIT); the file itself "
         "carries no licence",
     .used_for = "LSE-D, LSE-C and offset in `evaluate`",
     .how = "personalize models download syncnet",
     .check = pz_lse_verify},
    MT_ROW("musetalk", "musetalkV15/musetalk.json",
           HF "TMElyralab/MuseTalk/resolve/main/musetalkV15/musetalk.json", "lip-sync 1.5: sizes",
           pz_here_check_unet_config),
    MT_ROW("musetalk", "musetalkV15/unet.pth", HF "TMElyralab/MuseTalk/resolve/main/musetalkV15/unet.pth",
           "lip-sync 1.5: mouths (3.4 GB)", pz_here_check_unet),
    MT_ROW("musetalk", "sd-vae/config.json", HF "stabilityai/sd-vae-ft-mse/resolve/main/config.json",
           "lip-sync: sizes", pz_here_check_vae_config),
    MT_ROW("musetalk", "sd-vae/diffusion_pytorch_model.bin",
           HF "stabilityai/sd-vae-ft-mse/resolve/main/diffusion_pytorch_model.bin",
           "lip-sync: pictures and latents", pz_here_check_vae),
    MT_ROW("musetalk", "whisper/pytorch_model.bin", HF "openai/whisper-tiny/resolve/main/pytorch_model.bin",
           "lip-sync: hearing (whisper/tiny.pt will do as well)", pz_here_check_whisper),
    MT_ROW("musetalk", "face-parse-bisent/79999_iter.pth",
           "https://drive.usercontent.google.com/"
           "download?id=154JgKpzCPW82qINcVieuPH3fZ2e0P812&export=download&confirm=t",
           "lip-sync: masks", pz_here_check_parser),
    MT_ROW("musetalk:1.0", "musetalk/musetalk.json",
           HF "TMElyralab/MuseTalk/resolve/main/musetalk/musetalk.json", "lip-sync 1.0: sizes",
           pz_here_check_unet_config),
    MT_ROW("musetalk:1.0", "musetalk/pytorch_model.bin",
           HF "TMElyralab/MuseTalk/resolve/main/musetalk/pytorch_model.bin",
           "lip-sync 1.0: mouths; the other files are musetalk's", pz_here_check_unet),
    LATENTSYNC("latentsync", "1.5", "256"),
    LATENTSYNC("latentsync-1.6", "1.6", "512"),
    WHISPER("tiny", TINY_SHA, ALL_WORDS),
    WHISPER("tiny.en", "d3dd57d32accea0b295c96e26691aa14d8822fac7d9d27d5dc00b4ca2826dd03", ENGLISH_WORDS),
    WHISPER("base", "ed3a0b6b1c0edf879ad9b11b1af5a0e6ab5db9205f891f668f8b0e6c6326e34e", ALL_WORDS),
    WHISPER("base.en", "25a8566e1d0c1e2231d1c762132cd20e0f96a85d16145c3a00adf5d1ac670ead", ENGLISH_WORDS),
    WHISPER("small", "9ecf779972d90ba49c06d968637d720dd632c55bbf19d441fb42bf17a411e794", ALL_WORDS),
    WHISPER("small.en", "f953ad0fd29cacd07d5a9eda5624af0f6bcf2258be67c92b79389873d91e0872", ENGLISH_WORDS),
    WHISPER("medium", "345ae4da62f9b3d59415adc60127b97c714f32e89e936602e85993674d08dcb1", ALL_WORDS),
    WHISPER("medium.en", "d7440d1dc186f76616474e0ff0b3b6b879abc9d1a4926b7adfa41db2d497ab4f", ENGLISH_WORDS),
    WHISPER("large-v1", "e4b87e7e0bf463eb8e6956e646f1e277e901512310def2c24bf0e11bd3c28e9a", ALL_WORDS),
    WHISPER("large-v2", "81f7c96c852ee8fc832187b0132e569d6c3065a3252ed18e56effd0b6a73e524", ALL_WORDS),
    WHISPER("large-v3", "e5b1a55b89c1367dacf97e3e19bfd829a01529dbfdeefa8caeb59b3f1b81dadb", ALL_WORDS),
    WHISPER("large-v3-turbo", "aff26ae408abcba5fbf8813c21e62b0941638c5f6eebfb145be0c9839262a19a", ALL_WORDS),
};
#define N_FILES ((int)(sizeof files / sizeof files[0]))

struct engine_row {
    const char *name, *needs, *weights;
    bool cuda;                    /* runs there too */
    bool (*has)(const char *dir); /* are its weights there; NULL = all files of `needs` */
};

static const struct engine_row engines[] = {
    {"gaussian_splatting", NULL, "fitted to the speaker at prepare", false, NULL},
    {"wav2lip", "wav2lip", "official, research and non-commercial use", true, NULL},
    {"wav2lip:embedded", NULL,
     "inside the program; our own small network, trained on rendered heads with synthesised voices only",
     true, NULL},
    {"musetalk", "musetalk", "official, MIT", true, pz_here_has_musetalk},
    {"latentsync", "latentsync", "official, OpenRAIL++", true, pz_here_has_latentsync},
    {"vasa1", NULL, "never published; own weights", false, NULL},
    {"emo", NULL, "never published; own weights", false, NULL},
};
#define N_ENGINES ((int)(sizeof engines / sizeof engines[0]))

static enum pz_status check_mtcnn_p(const char *path, const struct pz_job *job)
{
    return pz_mtcnn_verify(path, 0, job);
}

static enum pz_status check_mtcnn_r(const char *path, const struct pz_job *job)
{
    return pz_mtcnn_verify(path, 1, job);
}

static enum pz_status check_mtcnn_o(const char *path, const struct pz_job *job)
{
    return pz_mtcnn_verify(path, 2, job);
}

static enum pz_status check_wav2lip(const char *path, const struct pz_job *job)
{
    return pz_wav2lip_verify(path, job, NULL);
}

const struct pz_weight_file *pz_weight_file_at(int i)
{
    return i >= 0 && i < N_FILES ? &files[i] : NULL;
}

char *pz_api_models_dir(const char *given)
{
    return pz_weights_dir(given);
}

char *pz_weight_file_locate(const struct pz_weight_file *f, const char *dir)
{
    if (f->inside)
        return pz_strdup(f->path);
    return f->path[0] == '/' ? pz_strdup(f->path) : pz_path_join(dir, f->path);
}

static bool is_inside(const char *name)
{
    size_t n;
    for (int i = 0; i < 3; i++)
        if (strcmp(pz_embedded_name((enum pz_embedded_file)i), name) == 0)
            return pz_embedded_data((enum pz_embedded_file)i, &n) != NULL;
    return false;
}

/* "ok", "missing" or "different". `hash`: compare the bytes, not only the size. */
static const char *state_of(struct pz_log *log, const struct pz_weight_file *f, const char *dir, bool hash)
{
    char *path = pz_weight_file_locate(f, dir), sha[65];
    struct stat sb;
    const char *state = "ok";
    if (f->inside)
        state = is_inside(f->path) ? "ok" : "missing";
    else if (!path || stat(path, &sb) != 0 || !S_ISREG(sb.st_mode))
        state = "missing";
    else if (f->n_bytes && (int64_t)sb.st_size != f->n_bytes)
        state = "different";
    else if (hash && f->sha256 &&
             (pz_sha256_file(log, path, sha) != PZ_OK || strncmp(sha, f->sha256, strlen(f->sha256)) != 0))
        state = "different";
    pz_free(path);
    return state;
}

static json_t *file_json(const struct pz_weight_file *f, const char *dir, const char *state)
{
    char *path = pz_weight_file_locate(f, dir);
    json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "model", f->model, "file", path ? path : f->path,
                          "state", state, "licence", f->licence, "used_for", f->used_for, "from", f->how);
    if (o && f->url)
        json_object_set_new(o, "address", json_string(f->url));
    if (o && f->sha256)
        json_object_set_new(o, "sha256", json_string(f->sha256));
    pz_free(path);
    return o;
}

static enum pz_status dump(struct pz_log *log, json_t *root, char **json)
{
    char *text = root ? json_dumps(root, JSON_INDENT(2) | JSON_PRESERVE_ORDER) : NULL;
    *json = pz_strdup(text);
    free(text);
    json_decref(root);
    return *json ? PZ_OK : pz_fail(log, PZ_ERR_NOMEM, "no memory for the answer");
}

/* All files of a model, or one of those of which either will do. */
static bool have_all(struct pz_log *log, const char *model, const char *dir)
{
    bool any = false, either = false;
    for (int i = 0; i < N_FILES; i++) {
        if (!model || strcmp(files[i].model, model) != 0)
            continue;
        bool here = strcmp(state_of(log, &files[i], dir, false), "ok") == 0;
        if (files[i].either) {
            either = true;
            any = any || here;
        } else if (!here) {
            return false;
        }
    }
    return !either || any;
}

/* Somebody's networks for faces: every engine stands on them. */
static bool have_faces(struct pz_log *log, const char *dir)
{
    return have_all(log, "embedded", dir) || have_all(log, "mediapipe", dir);
}

enum pz_status pz_api_models_describe(struct pz_pipeline *p, char **json)
{
    struct pz_log *log = p->job.log;
    char *dir = pz_api_models_dir(p->models_dir);
    *json = NULL;
    if (!dir)
        return pz_fail(log, PZ_ERR_NOMEM, "no memory for the answer");
    json_t *root = json_pack("{s:s, s:[], s:[]}", "models_dir", dir, "engines", "weights");
    for (int i = 0; i < N_ENGINES; i++) {
        const struct engine_row *e = &engines[i];
        bool built = pz_engine_find(e->name) != NULL;
        bool has = e->has ? e->has(dir) : have_all(log, e->needs, dir);
        const char *status = !built                        ? "not in this build"
                             : has && have_faces(log, dir) ? "ready"
                                                           : "weights missing";
        json_t *expect = built ? pz_here_expect(e->name, p->job.pool) : NULL, *row;
        json_array_append_new(json_object_get(root, "engines"),
                              row =
                                  json_pack("{s:s, s:s, s:s, s:o}", "name", e->name, "status", status,
                                            "weights", e->weights, "devices",
                                            !built                         ? json_array()
                                            : e->cuda && pz_cuda_present() ? json_pack("[s,s]", "cpu", "cuda")
                                                                           : json_pack("[s]", "cpu")));
        if (expect)
            json_object_set_new(row, "expected", expect);
    }
    for (int i = 0; i < N_FILES; i++)
        json_array_append_new(json_object_get(root, "weights"),
                              file_json(&files[i], dir, state_of(log, &files[i], dir, false)));
    pz_free(dir);
    return dump(log, root, json);
}

/* Is another file of the same model there that will do as well? */
static bool has_other(struct pz_log *log, int which, const char *dir)
{
    for (int i = 0; i < N_FILES; i++)
        if (files[which].either && files[i].either && i != which &&
            !strcmp(files[i].model, files[which].model) &&
            !strcmp(state_of(log, &files[i], dir, false), "ok"))
            return true;
    return false;
}

/* Size and hash where known, else the tensors. */
static const char *verify_one(struct pz_pipeline *p, const struct pz_weight_file *f, const char *dir)
{
    const char *state = state_of(p->job.log, f, dir, true);
    char *path = f->check && !f->sha256 && !strcmp(state, "ok") ? pz_weight_file_locate(f, dir) : NULL;
    if (path && f->check(path, &p->job) < PZ_OK)
        state = "different";
    pz_free(path);
    return state;
}

enum pz_status pz_api_models_verify(struct pz_pipeline *p, const char *name, char **json)
{
    struct pz_log *log = p->job.log;
    enum pz_status st = PZ_OK;
    char *dir = pz_api_models_dir(p->models_dir);
    json_t *list = json_array();
    int n = 0;
    const struct pz_weight_file *bad = NULL;
    bool broken = false, own = dir && have_all(log, "embedded", dir); /* faces need nothing else then */
    *json = NULL;
    for (int i = 0; dir && i < N_FILES; i++) {
        // Without a name: what the default engine stands on; official weights are looked at when they are
        // there.
        bool optional = files[i].check || files[i].inside || (!strcmp(files[i].model, "mediapipe") && own);
        if (name ? strcmp(files[i].model, name) != 0
                 : optional && !strcmp(state_of(log, &files[i], dir, false), "missing"))
            continue;
        const char *state = verify_one(p, &files[i], dir);
        json_array_append_new(list, file_json(&files[i], dir, state));
        if (strcmp(state, "ok") != 0 && !bad && !(strcmp(state, "missing") == 0 && has_other(log, i, dir))) {
            bad = &files[i];
            broken = strcmp(state, "different") == 0;
        }
        n++;
    }
    if (n == 0) {
        json_decref(list);
        st = dir ? pz_api_models_unknown(log, name) : pz_fail(log, PZ_ERR_NOMEM, "no memory for the answer");
    } else {
        st = dump(log, json_pack("{s:o}", "files", list), json);
    }
    if (st == PZ_OK && bad && !(broken && bad->check && !bad->sha256))
        st = pz_fail(log, PZ_ERR_WEIGHTS, "%s is missing or not the expected file; get it with %s", bad->path,
                     bad->how);
    else if (st == PZ_OK && bad)
        st = PZ_ERR_WEIGHTS; // the check has said what is wrong with its tensors
    pz_free(dir);
    return st;
}

enum pz_status pz_api_models_unknown(struct pz_log *log, const char *name)
{
    char known[512] = "";
    for (int i = 0; i < N_FILES; i++) {
        size_t at = strlen(known);
        if (!i || strcmp(files[i].model, files[i - 1].model) != 0)
            snprintf(known + at, sizeof known - at, "%s%s", at ? ", " : "", files[i].model);
    }
    return pz_fail(log, PZ_ERR_USAGE, "no weights called '%s'; there are: %s", name ? name : "", known);
}
