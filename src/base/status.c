/* Status names and their exit codes. Holds no state. */
#include "base/status.h"

const char *pz_status_text(enum pz_status st)
{
    switch (st) {
    case PZ_OK:
        return "done";
    case PZ_END:
        return "end of data";
    case PZ_ERR_USAGE:
        return "bad usage";
    case PZ_ERR_INPUT:
        return "bad input";
    case PZ_ERR_FORMAT:
        return "broken file";
    case PZ_ERR_UNSUPPORTED:
        return "unsupported input";
    case PZ_ERR_UNUSABLE:
        return "footage not usable";
    case PZ_ERR_WEIGHTS:
        return "weights missing";
    case PZ_ERR_NOMEM:
        return "out of memory";
    case PZ_ERR_DEVICE:
        return "device failed";
    case PZ_ERR_INTERNAL:
        return "internal error";
    case PZ_ERR_WRITE:
        return "write failed";
    case PZ_ERR_CANCELLED:
        return "interrupted";
    }
    return "unknown status";
}

int pz_status_exit_code(enum pz_status st)
{
    switch (st) {
    case PZ_OK:
    case PZ_END:
        return 0;
    case PZ_ERR_USAGE:
        return 1;
    case PZ_ERR_INPUT:
    case PZ_ERR_FORMAT:
    case PZ_ERR_UNSUPPORTED:
        return 2;
    case PZ_ERR_UNUSABLE:
        return 3;
    case PZ_ERR_WEIGHTS:
        return 4;
    case PZ_ERR_NOMEM:
    case PZ_ERR_DEVICE:
    case PZ_ERR_INTERNAL:
        return 5;
    case PZ_ERR_WRITE:
        return 6;
    case PZ_ERR_CANCELLED:
        return 130;
    }
    return 5;
}
