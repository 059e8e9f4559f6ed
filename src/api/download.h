/** Files from the network: resumed where they broke off, checked, and seen under their name only when whole.
 */
#ifndef PZ_API_DOWNLOAD_H
#define PZ_API_DOWNLOAD_H

#include "base/job.h"

struct pz_download {
    const char *url;    /**< http or https */
    const char *path;   /**< where it goes; its folder is made; "PATH.part" holds what came so far */
    int64_t n_bytes;    /**< size it must have, 0 = not known */
    const char *sha256; /**< hex digits its hash must begin with (all 64 or fewer), NULL = not known */
};

/**
 * Get one file. What an earlier call left in "PATH.part" is kept and continued; a broken line is tried again
 * three times. Progress is reported as stage "download", in bytes; cancelling leaves the part for the next
 * call.
 *
 * Errors  INPUT (no such host or file, line broken for good, a web page came instead of a file), WEIGHTS
 * (size or hash differ; the part is removed), WRITE (disk), CANCELLED, NOMEM; all logged with the server's
 * own words. Threads  one call a path at a time (a second one is refused, also from another process). Source
 * RFC 9110 §14.
 */
PZ_NODISCARD enum pz_status pz_download_file(const struct pz_download *d, const struct pz_job *job);

#endif
