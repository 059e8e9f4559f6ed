/* The scratch folder of one test program. */
#include "scratch.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"

static char dir[64] = "/tmp/pz-media-XXXXXX";

int scratch_setup(void **state)
{
    return mkdtemp(dir) ? 0 : -1;
}

int scratch_teardown(void **state)
{
    pz_remove_tree(dir);
    return 0;
}

const char *in(const char *name)
{
    static char path[128];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    return path;
}
