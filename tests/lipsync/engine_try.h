/**
 * What the programs that try a neural engine share (musetalk_try, latentsync_try): the engine on a painted
 * film, timed, with its patches kept, so that devices and precisions can be compared on machines without
 * films and codecs.
 */
#ifndef PZ_TEST_ENGINE_TRY_H
#define PZ_TEST_ENGINE_TRY_H

#include "lipsync/engine.h"

enum { ENGINE_TRY_MOST = 400 }; /**< frames */

struct engine_try {
    const char *engine;
    struct pz_engine_open_params params; /**< but for the prepared folder */
    const char *dir, *name;              /**< patches: DIR/NAME.f32; prepared: DIR/art-NAME */
    int frames, drawn;                   /**< of the film; of them drawn, from the first on */
    double busy; /**< > 0: drawn a third time, the caller's processor busy for so many seconds after each
                    picture, as pasting and encoding are */
};

/** Prepare, open, draw twice; says on stdout what took how long and how much memory is in use. */
enum pz_status engine_try_film(const struct engine_try *t, const struct pz_job *job);

/** Device memory in use, of all processes, on stdout; silent without a device. */
void engine_try_memory(const char *when);

/** PSNR of the values in [0,1] that both files hold; the exit code. */
int engine_try_compare(const char *a, const char *b);

/** A log's lines to stderr. */
void engine_try_say(void *user, enum pz_log_level level, const char *text);

#endif
