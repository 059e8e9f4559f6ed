/** PNG writer for pictures that people look at (strips, reports). 8-bit RGB, no reader. */
#ifndef PZ_IMAGE_PNG_H
#define PZ_IMAGE_PNG_H

#include "base/log.h"
#include "image/picture.h"

/** Write [3][h][w] float RGB, clipped to [0,1], atomically (temporary name, then rename).
 *  Errors: WRITE (logged), NOMEM, INTERNAL (zlib). */
PZ_NODISCARD enum pz_status pz_png_write(struct pz_log *log, const char *path, const struct pz_rgb *rgb);

#endif
