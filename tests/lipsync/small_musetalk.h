/**
 * A models folder of MuseTalk with the hash rule's weights: every file the engine wants, scaled down through
 * its JSON files, or at full size. The face parser calls everything skin, so that masks are known.
 */
#ifndef PZ_TEST_SMALL_MUSETALK_H
#define PZ_TEST_SMALL_MUSETALK_H

#include <stdbool.h>

enum small_damage { SMALL_WHOLE, SMALL_UNET_SHAPE, SMALL_VAE_LACKS };

/** Write it all. `v15`: the folder of 1.5, else of 1.0. `full`: published sizes (5 GB). False on failure. */
bool small_musetalk_write(const char *folder, bool v15, bool full, enum small_damage damage);

#endif
