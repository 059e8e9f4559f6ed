/* make_latentsync DIR [full]: a models folder of LatentSync with the hash rule's weights. */
#include <stdio.h>
#include <string.h>

#include "small_latentsync.h"

int main(int argc, char **argv)
{
    if (argc < 2 || !small_latentsync_write(argv[1], argc > 2 && strcmp(argv[2], "full") == 0, NULL, NULL)) {
        fprintf(stderr, "usage: make_latentsync DIR [full]\n");
        return 1;
    }
    return 0;
}
