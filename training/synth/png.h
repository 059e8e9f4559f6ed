/** PNG stills, stored without compression: for looking at, not for keeping. */
#ifndef PZ_SYN_PNG_H
#define PZ_SYN_PNG_H

#include <stdint.h>

#include "base/log.h"
#include "base/status.h"

/** Write rgb [h][w][3] to `path`. Errors: NOMEM, WRITE. */
PZ_NODISCARD enum pz_status pz_syn_png_write(struct pz_log *log, const char *path, const uint8_t *rgb, int w,
                                             int h);

#endif
