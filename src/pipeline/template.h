/**
 * Prepared template: the folder `NAME.pzt/` that `prepare` writes and `render` reads.
 *
 *     template.json     everything a person may read and edit: transcript, words, slots, phones, what was
 * measured film.mp4 (…)      the film itself, H.264, from which untouched packets are copied; extension of
 * its container face.bin          face records of the chosen person (face/track.h) ENGINE/           what the
 * lip-sync engine learned
 *
 * The folder is portable: it names no other path. It is written under a temporary name and renamed when
 * complete. template.json is read as hostile input: sizes, types and ranges are checked, and the offending
 * field is named.
 */
#ifndef PZ_PIPELINE_TEMPLATE_H
#define PZ_PIPELINE_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/job.h"
#include "speech/phones.h"

#define PZ_TEMPLATE_VERSION 1
#define PZ_TEMPLATE_MAX_WORDS 100000
#define PZ_TEMPLATE_MAX_SLOTS 1000
#define PZ_TEMPLATE_MAX_PHONES 1000000
#define PZ_TEMPLATE_MAX_NAME 64

struct pz_template_word {
    char *text;
    int64_t start, end; /**< samples at PZ_SPEECH_RATE */
    float confidence;   /**< [0,1] */
};

/** One place where a variable is spoken. */
struct pz_template_slot {
    char *name;           /**< variable, [a-z0-9_]{1,63} */
    char *spoken;         /**< what is said in the film; may be "" when given by time alone */
    char *before, *after; /**< neighbouring words of the sentence, "" when unknown */
    int64_t start, end;   /**< samples at PZ_SPEECH_RATE, half-open */
    float confidence;
    int64_t found_start, found_end; /**< where listening put it; start or end that differ were corrected by
                                       hand. −1 = put in by hand */
    char *fallback;                 /**< value when the customer has none, or NULL */
    char verdict[24];               /**< "ok", "risky", "unusable", "no face", "sound only" */
    char verdict_reason[96];
    float yaw, pitch, roll; /**< mean head pose over the slot, degrees */
    bool occluded;
};

/** Plain owned; pz_template_data_free(). All strings on the heap (pz_free). */
struct pz_template_data {
    char *source_name; /**< file name of the film, without folders */
    char source_sha256[65];
    int64_t source_bytes;
    char film[16];    /**< file name of the film in the folder, "film.EXT" */
    bool transcoded;  /**< the film in the folder is not the source's own stream */
    char *transcript; /**< NULL when none was given */
    char *recogniser;
    struct pz_template_word *words;
    int n_words;
    struct pz_template_slot *slots; /**< ascending, not overlapping */
    int n_slots;
    struct pz_phone *phones; /**< of the film's sound, complete */
    int n_phones;
    char *face_detector; /**< NULL when no face was looked for */
    int face_track;      /**< chosen person, −1 = none */
    float face_share;    /**< share of looked-at frames with that face, [0,1] */
    char *engine;        /**< "none" = sound only */
    double prepare_s, fit_s;
    char *consent_json; /**< the consent record as given, or NULL */
    uint64_t seed;
};

void pz_template_data_free(struct pz_template_data *t);

/** Write DIR/template.json atomically. Errors: WRITE, NOMEM. */
PZ_NODISCARD enum pz_status pz_template_save(const struct pz_template_data *t, const char *dir,
                                             struct pz_log *log);

/** Read DIR/template.json. Errors: INPUT (missing, another version), FORMAT (a field is wrong, named), NOMEM.
 */
PZ_NODISCARD enum pz_status pz_template_load(struct pz_template_data *t, const char *dir, struct pz_log *log);

/** The same from memory (`n` bytes, need not be terminated); used by the fuzzer. */
PZ_NODISCARD enum pz_status pz_template_parse(struct pz_template_data *t, const char *text, size_t n,
                                              struct pz_log *log);

/** Only the slots of a template.json, or of what `detect` printed, into `t` (else zero). */
PZ_NODISCARD enum pz_status pz_template_parse_slots(struct pz_template_data *t, const char *text, size_t n,
                                                    struct pz_log *log);

/** The template as JSON text, on the heap (pz_free). NULL on no memory. `with_phones`: include the phone
 * line. */
char *pz_template_to_json(const struct pz_template_data *t, bool with_phones);

/** True for a legal variable name: [a-z0-9_]{1,63}. */
bool pz_variable_name_ok(const char *name);

#endif
