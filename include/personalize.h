/**
 * personalize: one film, the same film for every customer.
 *
 * Chapters
 *   1. Conventions      2. Context      3. Prepared templates      4. Rendering      5. Looking at footage
 *   6. Lip-sync alone   7. Models
 *
 * 1. Conventions
 *   Objects are opaque. What `pz_*_create/open/prepare` gives is freed by the `_destroy/_close` of the same
 * noun, which takes a pointer to the handle, accepts NULL and sets it to NULL. Strings are UTF-8. Paths are
 * of the file system. Parameter structs are filled with their `_DEFAULT` macro first; they and everything
 * they point to are read only during the call. A function that can fail returns an `enum pz_result`, which is
 * also the exit code of the command line; the reason is one line, read with pz_context_error(). Outputs are
 * NULL/zero on failure. Reports are JSON text on the heap, freed with pz_text_free(); docs/report.md lists
 * their fields. The library never prints, exits or aborts, and keeps no globals. Threads: a context and all
 * that was made from it belong to one thread at a time; different contexts are independent. The library runs
 * its own worker threads inside a call and none between calls. Files: an output appears under its name only
 * when it is complete.
 */
#ifndef PERSONALIZE_H
#define PERSONALIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define PZ_API __attribute__((visibility("default")))
#define PZ_CHECKED __attribute__((warn_unused_result))
#else
#define PZ_API
#define PZ_CHECKED
#endif

/** Result of a call; the same numbers are the exit codes of the command line. */
enum pz_result {
    PZ_RESULT_DONE = 0,
    PZ_RESULT_USAGE = 1,      /**< a wrong argument */
    PZ_RESULT_INPUT = 2,      /**< a file, transcript or value that cannot be used */
    PZ_RESULT_UNUSABLE = 3,   /**< nothing usable in the footage: no face, no such word */
    PZ_RESULT_WEIGHTS = 4,    /**< a model's weights are missing */
    PZ_RESULT_DEVICE = 5,     /**< device or memory */
    PZ_RESULT_WRITE = 6,      /**< the output could not be written */
    PZ_RESULT_CANCELLED = 130 /**< the cancel callback asked to stop */
};

/** Version of the library, "MAJOR.MINOR.PATCH". */
PZ_API const char *pz_version(void);

/** Free a text a function of this header gave. NULL is allowed. */
PZ_API void pz_text_free(char *text);

/* ---- 2. Context -------------------------------------------------------------------------------------------
 */

struct pz_context;

enum pz_message_level {
    PZ_MESSAGE_ERROR = 0,
    PZ_MESSAGE_WARNING = 1,
    PZ_MESSAGE_INFO = 2,
    PZ_MESSAGE_DEBUG = 3
};

struct pz_context_params {
    int threads;           /**< worker threads, [0, 256]; 0 = all CPUs this process may use */
    const char *device;    /**< "auto", "cpu", "cuda", "cuda:N"; NULL = "auto" */
    const char *precision; /**< "f32", "f16", "bf16"; NULL = the engine's own default */
    const char
        *models_dir; /**< folder of downloaded weights; NULL = $PERSONALIZE_MODELS, else the user's cache */
    const char *cache_dir;     /**< folder of cached templates; NULL = the user's cache */
    uint64_t seed;             /**< every random choice derives from it */
    bool no_smooth;            /**< leave out the engines' filter over time against a shaking mouth */
    const char *face_detector; /**< "auto", "embedded", "mediapipe", "mtcnn"; "s3fd": wav2lip's own boxes;
                                  NULL = "auto" */
    const char *quality;       /**< diffusion engines: "exact", "fast"; NULL = exact */
    int steps;                 /**< diffusion engines: steps of the sampler; 0 = what `quality` says */
    float guidance; /**< diffusion engines: how strongly the sound leads, 1 = plain; 0 = the usual */
    int size;       /**< side of the network's pictures, px, where there is a choice; 0 = what is there */
    double memory;  /**< diffusion engines: bytes of the device's or main memory that may be taken, slower the
                       fewer; 0 = what is free */
    bool profile;   /**< time every network's operations, for pz_context_write_profile() */
    enum pz_message_level message_level;
    /** One message, no newline; `text` lives until the callback returns. Any worker thread, one call at a
     * time. */
    void (*message)(void *user, enum pz_message_level level, const char *text);
    /** Step `done` of `total` of a stage ("sound", "faces", "fit", "render", …), on the calling thread. */
    void (*progress)(void *user, const char *stage, int64_t done, int64_t total);
    /** Polled at least once a frame; true stops the call with PZ_RESULT_CANCELLED. Any thread. */
    bool (*cancelled)(void *user);
    void *user;
};
#define PZ_CONTEXT_PARAMS_DEFAULT                                                                            \
    {                                                                                                        \
        .seed = 1, .message_level = PZ_MESSAGE_WARNING                                                       \
    }

/** Create a context. `params` NULL = defaults. Errors: USAGE (device or precision of unknown name), DEVICE.
 */
PZ_API PZ_CHECKED enum pz_result pz_context_create(const struct pz_context_params *params,
                                                   struct pz_context **ctx);
PZ_API void pz_context_destroy(struct pz_context **ctx);

/** Write where the networks' time went since the context was made: a trace that chrome://tracing and Perfetto
 * read to `path`, and a table to `path` with .txt behind. Errors: USAGE (made without `profile`), DEVICE,
 * WRITE.
 */
PZ_API PZ_CHECKED enum pz_result pz_context_write_profile(struct pz_context *ctx, const char *path);

/** The last error line of this context, "" when there was none. Valid until the next call with this context.
 */
PZ_API const char *pz_context_error(struct pz_context *ctx);

/* ---- 3. Prepared templates --------------------------------------------------------------------------------
 */

/** A name with a text: variables, spoken words, respellings, recordings. */
struct pz_pair {
    const char *name;
    const char *value;
};

struct pz_prepare_params {
    const char *video;      /**< the film */
    const char *transcript; /**< text with `{name=spoken words}` marks, or NULL */
    const char
        *transcript_file; /**< file with the same, or NULL; without either, VIDEO's stem + ".txt" is tried */
    const struct pz_pair *spoken; /**< [n_spoken] what is said in the film where a variable stands */
    int n_spoken;
    const char *lip_sync_model; /**< engine name, "auto", or NULL = "auto"; "none" = sound only */
    const char *face; /**< which person, when there are several: index, "largest"; NULL = must be clear */
    const char *recogniser;   /**< "pocketsphinx", "whisper", "whisper:SIZE" (or a file); "auto" and NULL: the
                                   first */
    const char *consent_file; /**< JSON consent record to carry along, or NULL */
    const char *language;     /**< spoken in the film, as espeak-ng names it ("hi", "de"); NULL = English */
    const char
        *slots_file;  /**< slots corrected by hand, they win: a template.json or the JSON of pz_detect(),
                         or NULL. Without it, corrections in the template that `output` names are kept */
    const char *plot; /**< pz_detect(): PNG to draw waveform, spectrogram, words and slots into, or NULL */
};
#define PZ_PREPARE_PARAMS_DEFAULT                                                                            \
    {                                                                                                        \
        0                                                                                                    \
    }

struct pz_template;

/** Analyse a film once. `output` names the folder to write ("x.pzt"); NULL = keep it in the cache, and take
 * it from there when the same film was prepared with the same parameters before. Errors: USAGE, INPUT,
 * UNUSABLE, WEIGHTS, DEVICE, WRITE, CANCELLED. */
PZ_API PZ_CHECKED enum pz_result pz_prepare(struct pz_context *ctx, const struct pz_prepare_params *params,
                                            const char *output, struct pz_template **t);

/** Open a prepared template. Errors: INPUT (missing, broken, other version). */
PZ_API PZ_CHECKED enum pz_result pz_template_open(struct pz_context *ctx, const char *path,
                                                  struct pz_template **t);
PZ_API void pz_template_close(struct pz_template **t);

/** Folder of a template; lives as long as the handle. */
PZ_API const char *pz_template_path(const struct pz_template *t);

/** Variables of a template: name `i` of pz_template_n_variables(), in order of first appearance; NULL
 * outside. */
PZ_API int pz_template_n_variables(const struct pz_template *t);
PZ_API const char *pz_template_variable(const struct pz_template *t, int i);

/** What was found: transcript, words, slots with times, faces, verdicts, as JSON (docs/report.md). Errors:
 * DEVICE. */
PZ_API PZ_CHECKED enum pz_result pz_template_describe(struct pz_context *ctx, const struct pz_template *t,
                                                      char **json);

/* ---- 4. Rendering -----------------------------------------------------------------------------------------
 */

struct pz_render_params {
    const struct pz_pair *values; /**< [n_values] what each variable shall say */
    int n_values;
    const struct pz_pair
        *say; /**< [n_say] pronunciation of a variable's value: IPA between slashes, or respelling */
    int n_say;
    const struct pz_pair *audio; /**< [n_audio] a recording to use instead of a voice: name → sound file */
    int n_audio;
    const char *voice;          /**< "flite[:slt]", "espeak-ng[:en-us]", "command:PROGRAM"; NULL = "auto" */
    const char *fit;            /**< "auto", "borrow", "stretch", "retime"; NULL = "auto" */
    const char *lip_sync_model; /**< engine, "auto", "none"; NULL = what the template was prepared for */
    const char *output;         /**< OUT.mp4; its report is written beside it as OUT.json */
    int crf;                    /**< x264 quality of encoded stretches, [1, 40]; 0 = default */
    const char *preset;         /**< x264 preset of encoded stretches; NULL = default */
    bool keep_names_out;        /**< leave the customer's values out of the report */
};
#define PZ_RENDER_PARAMS_DEFAULT                                                                             \
    {                                                                                                        \
        0                                                                                                    \
    }

/** Make one customer's film. `*report` gets the report as JSON (may be NULL).
 *  Errors: USAGE (a variable without value, unknown variable), INPUT, UNUSABLE, WEIGHTS, DEVICE, WRITE,
 * CANCELLED. */
PZ_API PZ_CHECKED enum pz_result pz_render(struct pz_context *ctx, const struct pz_template *t,
                                           const struct pz_render_params *params, char **report);

/* ---- 5. Looking at footage --------------------------------------------------------------------------------
 */

/** Transcript, words and slots of a film without preparing it for an engine, as JSON. Errors as pz_prepare().
 */
PZ_API PZ_CHECKED enum pz_result pz_detect(struct pz_context *ctx, const struct pz_prepare_params *params,
                                           char **json);

/** Is this footage usable, and where not; what will it cost: JSON. Errors: INPUT, WEIGHTS, DEVICE, CANCELLED.
 */
PZ_API PZ_CHECKED enum pz_result pz_check(struct pz_context *ctx, const struct pz_prepare_params *params,
                                          char **json);

struct pz_evaluate_params {
    const char *video;
    const char *made; /**< NULL = self-reenactment of `video`; else the finished film to compare with it */
    const char *lip_sync_model; /**< engine; NULL = "auto" */
    const char *face;           /**< as in pz_prepare_params */
    const char *judge;          /**< whose face networks measure, as face_detector; NULL = those that find */
    const char *strip;          /**< PNG to write for human eyes (true mouths above, made below), or NULL */
};
#define PZ_EVALUATE_PARAMS_DEFAULT                                                                           \
    {                                                                                                        \
        0                                                                                                    \
    }

/** Quality figures as JSON: `{"clip", "lip_sync_model", "device", "fit_s", "figures", "controls"}`.
 *  Errors: USAGE, INPUT, UNUSABLE, WEIGHTS, DEVICE, WRITE, CANCELLED. */
PZ_API PZ_CHECKED enum pz_result pz_evaluate(struct pz_context *ctx, const struct pz_evaluate_params *params,
                                             char **json);

/* ---- 6. Lip-sync alone ------------------------------------------------------------------------------------
 */

struct pz_lipsync;

/** New sound for one stretch of a film. The stretch keeps its length. */
struct pz_lipsync_segment {
    int64_t start_us, end_us; /**< microseconds of the film, half-open, end > start */
    const float *samples;     /**< mono, [-1,1], or NULL = the film's own sound there */
    int64_t n_samples;        /**< exactly round((end − start) · rate) ± 1 */
    int rate;                 /**< Hz, [8000, 192000] */
};

/** A lip-sync processor of one engine. Errors: USAGE (unknown engine), WEIGHTS, DEVICE. */
PZ_API PZ_CHECKED enum pz_result pz_lipsync_create(struct pz_context *ctx, const char *engine,
                                                   struct pz_lipsync **p);
PZ_API void pz_lipsync_destroy(struct pz_lipsync **p);

/** Make `output` from `video` with new sound and lips in `n` segments (ascending, not overlapping). The film
 * is prepared on first use and taken from the cache later. `*report` as in pz_render(), may be NULL. */
PZ_API PZ_CHECKED enum pz_result pz_lipsync_apply(struct pz_lipsync *p, const char *video,
                                                  const struct pz_lipsync_segment *segments, int n,
                                                  const char *output, char **report);

/* ---- 7. Models --------------------------------------------------------------------------------------------
 */

/** Engines and weights: what exists in this build, what is installed, licences, what runs here: JSON. */
PZ_API PZ_CHECKED enum pz_result pz_models_describe(struct pz_context *ctx, char **json);

/** Licence of a model's weights (pz_text_free), and whether it was accepted before. Errors: USAGE (unknown
 * name). */
PZ_API PZ_CHECKED enum pz_result pz_models_licence(struct pz_context *ctx, const char *name, char **licence,
                                                   bool *accepted);

/** Fetch the weights of a model from their official address into the models folder; what came before a break
 * is continued. Progress is stage "download", in bytes. `accept_licence`: the user has accepted the licence;
 * it is noted. Errors: USAGE (unknown name, licence not accepted), INPUT (address, line), WEIGHTS (not the
 * expected file), WRITE, CANCELLED. */
PZ_API PZ_CHECKED enum pz_result pz_models_download(struct pz_context *ctx, const char *name,
                                                    bool accept_licence, char **json);

/** Take a local file as a model's weights: checked tensor by tensor, then put into the models folder. Errors:
 * USAGE, INPUT, WEIGHTS (the first wrong tensor is named), WRITE. */
PZ_API PZ_CHECKED enum pz_result pz_models_add(struct pz_context *ctx, const char *name, const char *file,
                                               char **json);

/** Check the installed weights of one model (or all: NULL) by size and SHA-256, or by their tensors. `*json`
 * says file by file. Errors: USAGE (unknown name), WEIGHTS (missing or wrong). */
PZ_API PZ_CHECKED enum pz_result pz_models_verify(struct pz_context *ctx, const char *name, char **json);

/** Folder where weights are looked for; lives as long as the context. */
PZ_API const char *pz_models_dir(struct pz_context *ctx);

#ifdef __cplusplus
}
#endif
#endif
