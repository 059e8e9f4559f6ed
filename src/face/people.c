/* After the last frame: who was seen, which of them is meant, and their records on disk. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/order.h"
#include "face/speaker.h"
#include "face/topology.h"
#include "face/tracker_impl.h"

#define PORTRAIT 0.6f /* a portrait is another picture in another light */

static enum pz_status median_interocular(const struct pz_face_tracker *t, const struct pz_person *p,
                                         float *out)
{
    float *v = pz_calloc((size_t)p->n + 1, sizeof *v);
    if (!v)
        return pz_fail(t->job.log, PZ_ERR_NOMEM, "no memory to sum up a face");
    for (int64_t i = 0; i < p->n; i++)
        v[i] = p->ticks[i].interocular;
    qsort(v, (size_t)p->n, sizeof *v, pz_by_float);
    *out = v[p->n / 2];
    pz_free(v);
    return PZ_OK;
}

static enum pz_status sum_up(const struct pz_face_tracker *t, const struct pz_person *p,
                             struct pz_face_summary *o)
{
    double sum = 0, square = 0;
    *o = (struct pz_face_summary){.first = p->ticks[0].frame,
                                  .last = p->ticks[p->n - 1].frame,
                                  .n_present = p->n,
                                  .presence = (float)p->n / (float)t->n_pushed};
    memcpy(o->box, p->ticks[p->n / 2].box, sizeof o->box);
    for (int64_t i = 0; i < p->n; i++) {
        sum += (double)p->ticks[i].gap;
        square += (double)p->ticks[i].gap * (double)p->ticks[i].gap;
    }
    o->lip_activity = (float)sqrt(fmax(square / (double)p->n - sum / (double)p->n * sum / (double)p->n, 0));
    return median_interocular(t, p, &o->interocular);
}

enum pz_status pz_face_tracker_finish(struct pz_face_tracker *t)
{
    float rank[PZ_TRACK_PERSONS];
    t->n_order = 0;
    for (int i = 0; i < t->n_persons; i++) {
        struct pz_face_summary s;
        struct pz_person *p = &t->persons[i];
        if (p->n == 0 || (p->n < 5 && p->n * 50 < t->n_pushed)) /* a flicker, not a person */
            continue;
        if (fflush(p->file) != 0)
            return pz_fail(t->job.log, PZ_ERR_WRITE, "cannot write a temporary file of face records: %s",
                           strerror(errno));
        enum pz_status st = sum_up(t, p, &s);
        if (st < PZ_OK)
            return st;
        rank[i] = s.interocular * s.interocular * s.presence;
        int k = t->n_order++;
        while (k > 0 && rank[t->order[k - 1]] < rank[i]) {
            t->order[k] = t->order[k - 1];
            k--;
        }
        t->order[k] = i;
    }
    return PZ_OK;
}

int pz_face_tracker_count(const struct pz_face_tracker *t)
{
    return t->n_order;
}

enum pz_status pz_face_tracker_summary(const struct pz_face_tracker *t, int person,
                                       struct pz_face_summary *out)
{
    *out = (struct pz_face_summary){0};
    if (person < 0 || person >= t->n_order)
        return pz_fail(t->job.log, PZ_ERR_USAGE, "there is no face %d: %d were found", person, t->n_order);
    return sum_up(t, &t->persons[t->order[person]], out);
}

static enum pz_status no_rivals(const struct pz_face_tracker *t)
{
    struct pz_face_summary best, s;
    char list[256] = "";
    size_t n = 0;
    int rivals = 0;
    enum pz_status st = sum_up(t, &t->persons[t->order[0]], &best);
    for (int i = 0; st == PZ_OK && i < t->n_order; i++) {
        st = sum_up(t, &t->persons[t->order[i]], &s);
        if (i > 0 && (s.interocular < 0.5f * best.interocular || s.presence < 0.2f))
            continue;
        rivals += i > 0;
        const float *b = s.box;
        int w = snprintf(list + n, sizeof list - n, "%s%d (at %.0f,%.0f, %.0f px, %.0f %% of the frames)",
                         i ? "; " : "", i, (double)((b[0] + b[2]) / 2), (double)((b[1] + b[3]) / 2),
                         (double)s.interocular, (double)(100 * s.presence));
        n = w > 0 && n + (size_t)w < sizeof list ? n + (size_t)w : n;
    }
    if (st == PZ_OK && rivals)
        st = pz_fail(t->job.log, PZ_ERR_UNUSABLE, "%d faces could be meant, choose one with --face: %s",
                     rivals + 1, list);
    return st;
}

/* "x,y,w,h" in px. */
static bool is_box(const char *s, float box[4])
{
    float v[4];
    char *end;
    for (int i = 0; i < 4; i++) {
        v[i] = strtof(s, &end);
        if (end == s || *end != (i < 3 ? ',' : '\0') || !isfinite(v[i]))
            return false;
        s = end + 1;
    }
    box[0] = v[0];
    box[1] = v[1];
    box[2] = v[0] + v[2];
    box[3] = v[1] + v[3];
    return v[2] > 0 && v[3] > 0;
}

/* The person whose face lies in the box most: mean overlap over the frames in which it touches it at all. */
static enum pz_status in_box(const struct pz_face_tracker *t, const float box[4], int *person)
{
    float best = 0;
    for (int i = 0; i < t->n_order; i++) {
        const struct pz_person *p = &t->persons[t->order[i]];
        double sum = 0;
        for (int64_t k = 0; k < p->n; k++)
            sum += (double)pz_face_iou(p->ticks[k].box, box);
        float most = (float)(sum / (double)p->n);
        if (most > best) {
            best = most;
            *person = i;
        }
    }
    return best >= 0.05f
               ? PZ_OK
               : pz_fail(t->job.log, PZ_ERR_UNUSABLE,
                         "no face was found in the box %.0f,%.0f,%.0f,%.0f; `personalize check` lists "
                         "where faces are",
                         (double)box[0], (double)box[1], (double)(box[2] - box[0]),
                         (double)(box[3] - box[1]));
}

static enum pz_status like_portrait(struct pz_face_tracker *t, const struct pz_face_choice *c, int *person)
{
    struct pz_likeness look;
    float best = 2;
    enum pz_status st = pz_tracker_portrait(t, c->portrait, &t->guest, &look);
    if (st == PZ_END)
        return pz_fail(t->job.log, PZ_ERR_UNUSABLE, "no face was found in the portrait '%s'", c->which);
    for (int i = 0; st == PZ_OK && i < t->n_order; i++) {
        float d = pz_album_distance(&t->persons[t->order[i]].album, &look);
        pz_debug(t->job.log, "face %d differs from the portrait by %.2f", i, (double)d);
        if (d < best) {
            best = d;
            *person = i;
        }
    }
    if (st == PZ_OK && best > PORTRAIT)
        st =
            pz_fail(t->job.log, PZ_ERR_UNUSABLE, "nobody in the film looks like the portrait '%s'", c->which);
    return st;
}

static enum pz_status speaking(const struct pz_face_tracker *t, const struct pz_face_choice *c, int *person)
{
    float best = 0, second = 0;
    for (int i = 0; i < t->n_order; i++) {
        const struct pz_person *p = &t->persons[t->order[i]];
        float s = 0;
        enum pz_status st = pz_speaker_score(p->ticks, p->n, c->loudness, c->user, &s);
        if (st < PZ_OK)
            return pz_fail(t->job.log, st, "no memory to find the speaker");
        pz_debug(t->job.log, "face %d moves its lips with the sound: %.2f", i, (double)s);
        if (s > best) {
            second = best;
            best = s;
            *person = i;
        } else if (s > second) {
            second = s;
        }
    }
    return best >= PZ_SPEAKER_LEAST && best > second + 0.01f
               ? PZ_OK
               : pz_fail(
                     t->job.log, PZ_ERR_UNUSABLE,
                     "nobody's lips move clearly with the sound; choose the face with --face INDEX or a box");
}

enum pz_status pz_face_tracker_choose(struct pz_face_tracker *t, const struct pz_face_choice *c, int *person)
{
    float box[4];
    const char *which = c ? c->which : NULL;
    *person = 0;
    if (t->n_order == 0)
        return pz_fail(t->job.log, PZ_ERR_UNUSABLE, "no face was found in the film");
    if (!which)
        return no_rivals(t);
    if (strcmp(which, "largest") == 0)
        return PZ_OK;
    if (c->portrait)
        return like_portrait(t, c, person);
    if (strcmp(which, "speaker") == 0)
        return c->loudness
                   ? speaking(t, c, person)
                   : pz_fail(t->job.log, PZ_ERR_UNUSABLE,
                             "the film has no sound: who speaks cannot be told; choose a face by number");
    if (is_box(which, box))
        return in_box(t, box, person);
    char *end;
    long v = strtol(which, &end, 10);
    if (end == which || *end || v < 0 || v >= t->n_order)
        return pz_fail(
            t->job.log, PZ_ERR_USAGE,
            "there is no face '%.40s': choose largest, speaker, a box X,Y,W,H, a portrait or 0 to %d", which,
            t->n_order - 1);
    *person = (int)v;
    return PZ_OK;
}

enum pz_status pz_face_tracker_write(struct pz_face_tracker *t, int person, const char *path)
{
    if (person < 0 || person >= t->n_order)
        return pz_fail(t->job.log, PZ_ERR_USAGE, "there is no face %d: %d were found", person, t->n_order);
    struct pz_person *p = &t->persons[t->order[person]];
    const struct pz_face_topology *topo = pz_face_topology_mesh();
    struct pz_track_header head = {.record_bytes = sizeof(struct pz_face), .n_points = PZ_FACE_MESH_POINTS};
    memcpy(head.magic, PZ_TRACK_MAGIC, sizeof head.magic);
    snprintf(head.topology, sizeof head.topology, "%s", topo->name);
    char *tmp = pz_temp_name(path);
    FILE *f = tmp ? fopen(tmp, "w+b") : NULL;
    enum pz_status st = PZ_OK;
    if (!f) {
        st = tmp ? pz_fail(t->job.log, PZ_ERR_WRITE, "cannot write '%s': %s", path, strerror(errno))
                 : pz_fail(t->job.log, PZ_ERR_NOMEM, "no memory to write '%s'", path);
        pz_free(tmp);
        return st;
    }
    bool ok = fwrite(&head, sizeof head, 1, f) == 1;
    if (ok)
        st = pz_face_solve(p->file, p->n, &t->job, f, &head.n_records);
    ok = ok && st == PZ_OK && fseeko(f, 0, SEEK_SET) == 0 && fwrite(&head, sizeof head, 1, f) == 1;
    int err = errno;
    if (fclose(f) != 0 && ok) {
        ok = false;
        err = errno;
    }
    if (ok) {
        st = pz_commit_file(t->job.log, tmp, path);
    } else {
        unlink(tmp);
        if (st == PZ_OK)
            st = pz_fail(t->job.log, PZ_ERR_WRITE, "cannot write '%s': %s", path, strerror(err));
    }
    pz_free(tmp);
    return st;
}
