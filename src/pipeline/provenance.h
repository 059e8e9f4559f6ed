/**
 * Provenance: what a finished film says about itself.
 *
 * An XMP packet (ISO 16684-1) with IPTC DigitalSourceType `compositeWithTrainedAlgorithmicMedia` and the
 * edited ranges in seconds. It names no customer and no value.
 */
#ifndef PZ_PIPELINE_PROVENANCE_H
#define PZ_PIPELINE_PROVENANCE_H

#include <stdbool.h>
#include <stddef.h>

struct pz_edited_range {
    double start_s, end_s; /**< output time */
    bool sound, picture;   /**< what was made */
};

/** The packet as text, on the heap (pz_free). NULL on no memory. `consent`: the template carries a consent
 * record. `engine` is a name such as "gaussian_splatting", or "none". */
char *pz_provenance_xmp(const struct pz_edited_range *ranges, int n, const char *engine,
                        const char *source_sha256, bool consent);

#endif
