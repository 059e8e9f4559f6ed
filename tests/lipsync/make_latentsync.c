/* make_latentsync DIR [full|whisper]: a models folder of LatentSync with the hash rule's weights: small, at
 * full size, or Whisper alone at full size. */
#include <stdio.h>
#include <string.h>

#include "small_latentsync.h"

int main(int argc, char **argv)
{
    const char *what = argc > 2 ? argv[2] : "";
    if (argc < 2 || !(strcmp(what, "whisper") == 0
                          ? small_latentsync_whisper(argv[1])
                          : small_latentsync_write(argv[1], strcmp(what, "full") == 0, NULL, NULL))) {
        fprintf(stderr, "usage: make_latentsync DIR [full|whisper]\n");
        return 1;
    }
    return 0;
}
