/** A models folder of LatentSync with the hash rule's weights: scaled down to 64 px pictures, or at full
 * size. */
#ifndef PZ_TEST_SMALL_LATENTSYNC_H
#define PZ_TEST_SMALL_LATENTSYNC_H

#include <stdbool.h>

/** Write UNet (as `latentsync/`, with a configuration of 64 px; full: `latentsync/` without one), VAE and
 * Whisper. `without`, `longer`: as rule_file_write(), of the UNet; NULL: whole. False on failure. */
bool small_latentsync_write(const char *folder, bool full, const char *without, const char *longer);

/** Write Whisper tiny alone, at full size. */
bool small_latentsync_whisper(const char *folder);

#endif
