/* make_musetalk DIR [full]: a models folder of MuseTalk 1.5 with the hash rule's weights. */
#include <stdio.h>
#include <string.h>

#include "small_musetalk.h"

int main(int argc, char **argv)
{
    if (argc < 2 ||
        !small_musetalk_write(argv[1], true, argc > 2 && strcmp(argv[2], "full") == 0, SMALL_WHOLE)) {
        fprintf(stderr, "usage: make_musetalk DIR [full]\n");
        return 1;
    }
    return 0;
}
