/** Background: an office with a bright window, a shelf and lamps, painted and put out of focus. Linear light.
 */
#ifndef PZ_SYN_BACKDROP_H
#define PZ_SYN_BACKDROP_H

#include "base/log.h"
#include "base/pool.h"
#include "person.h"

struct pz_syn_backdrop {
    int w, h;
    struct v3 *px; /**< [h][w] */
};

/** Paint for a frame of out_w × out_h pixels. Owner: free with pz_syn_backdrop_close(). Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_syn_backdrop_make(struct pz_log *log, struct pz_pool *pool,
                                                 const struct pz_syn_person *p, int out_w, int out_h,
                                                 struct pz_syn_backdrop *b);
void pz_syn_backdrop_close(struct pz_syn_backdrop *b);
/** Bilinear, u and v in 0…1 of the frame. */
struct v3 pz_syn_backdrop_get(const struct pz_syn_backdrop *b, float u, float v);

#endif
