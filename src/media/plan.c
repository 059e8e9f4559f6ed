/* Which packets can be copied. Pure arithmetic on the index; knows nothing of files or codecs.
 *
 * A group is the frames from one closed key frame to the next. Its first c frames (as shown) can be copied
 * when exactly its first c packets (as stored) decode to them: then no packet is lost and none too many is
 * there. Where B-frames reach across that point, the cut moves back until it holds. */
#include "media/plan.h"

enum { SHORTEST_PREFIX = 4 }; /* a cut costs one more IDR; fewer frames than this do not pay for it */

/* How many output frames from `at` on can be copied as one group or the beginning of one. */
static int64_t copyable_from(const struct pz_film_info *info, const struct pz_out_frame *f, int64_t n,
                             int64_t at)
{
    int64_t src = f[at].src;
    if (f[at].touched || !info->frames[src].key)
        return 0;
    const struct pz_frame_entry *e = info->frames + src;
    int64_t shift = f[at].pts - e[0].pts, base = e[0].dts_order, highest = 0, legal = 0, c = 0;
    bool whole = false;
    for (;; c++) {
        bool group_ends = src + c >= info->n_frames || (c > 0 && e[c].key);
        if (group_ends) {
            whole = legal == c;
            break;
        }
        if (at + c >= n || f[at + c].touched || f[at + c].src != src + c || f[at + c].pts - e[c].pts != shift)
            break;
        int64_t order = e[c].dts_order - base;
        if (order < 0)
            break;
        highest = order > highest ? order : highest;
        if (highest == c)
            legal = c + 1;
    }
    return whole || legal >= SHORTEST_PREFIX ? legal : 0;
}

struct pz_stretch pz_plan_next(const struct pz_film_info *info, const struct pz_out_frame *f, int64_t n,
                               int64_t at, bool may_copy)
{
    struct pz_stretch s = {.first = at};
    int64_t c = may_copy ? copyable_from(info, f, n, at) : 0;
    if (c > 0) {
        s.copy = true;
        s.n = c;
        return s;
    }
    int64_t end = at + 1;
    while (end < n && !(may_copy && copyable_from(info, f, n, end) > 0))
        end++;
    s.n = end - at;
    return s;
}

int64_t pz_plan_reorder(const struct pz_film_info *info, const struct pz_out_frame *f,
                        const struct pz_stretch *s)
{
    const struct pz_frame_entry *e = info->frames + f[s->first].src;
    int64_t most = 0;
    for (int64_t i = 0; s->copy && i < s->n; i++) {
        int64_t ahead = e[i].dts_order - e[0].dts_order - i;
        most = ahead > most ? ahead : most;
    }
    return most;
}
