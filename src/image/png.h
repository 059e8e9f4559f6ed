/** PNG: pictures that people look at (strips, reports), and masks that come with models. 8 bits a channel. */
#ifndef PZ_IMAGE_PNG_H
#define PZ_IMAGE_PNG_H

#include "base/log.h"
#include "image/picture.h"

/** Write [3][h][w] float RGB, clipped to [0,1], atomically (temporary name, then rename).
 *  Errors: WRITE (logged), NOMEM, INTERNAL (zlib). */
PZ_NODISCARD enum pz_status pz_png_write(struct pz_log *log, const char *path, const struct pz_rgb *rgb);

/** Read an 8-bit grey or RGB picture, at most 8192 px a side, as [3][h][w] in [0,1]; opacity is dropped. Free
 *  with pz_rgb_free(). Errors (logged): INPUT, FORMAT (also interlaced, palettes, other depths), NOMEM. */
PZ_NODISCARD enum pz_status pz_png_read(struct pz_log *log, const char *path, struct pz_rgb *rgb);

#endif
