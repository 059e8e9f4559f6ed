/* What a person corrected stays corrected. Knows slots only; nothing is heard here. */
#include "pipeline/manual.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"

#define MAX_BYTES ((size_t)64 << 20)

static bool by_hand(const struct pz_template_slot *s)
{
    return s->start != s->found_start || s->end != s->found_end;
}

static void drop_slot(struct pz_template_slot *s)
{
    pz_free(s->name);
    pz_free(s->spoken);
    pz_free(s->before);
    pz_free(s->after);
    pz_free(s->fallback);
    *s = (struct pz_template_slot){0};
}

/* Words of the film in [from, to), at most four, the last ones or the first ones. */
static char *words_around(const struct pz_template_data *d, int64_t from, int64_t to, bool last)
{
    int idx[4], n = 0;
    for (int i = 0; i < d->n_words; i++) {
        int64_t mid = (d->words[i].start + d->words[i].end) / 2;
        if (mid < from || mid >= to)
            continue;
        if (n == 4 && !last)
            break;
        if (n == 4)
            memmove(idx, idx + 1, 3 * sizeof *idx);
        idx[n < 4 ? n++ : 3] = i;
    }
    char *text = pz_strdup("");
    for (int i = 0; text && i < n; i++) {
        char *longer = pz_asprintf("%s%s%s", text, *text ? " " : "", d->words[idx[i]].text);
        pz_free(text);
        text = longer;
    }
    return text;
}

/* A copy of a corrected slot for `d`; its neighbours are taken from the words when it has none. */
static enum pz_status copy_slot(const struct pz_template_slot *s, const struct pz_template_data *d,
                                struct pz_template_slot *out)
{
    *out = (struct pz_template_slot){
        .name = pz_strdup(s->name),
        .spoken = s->spoken && *s->spoken ? pz_strdup(s->spoken) : words_around(d, s->start, s->end, false),
        .before = words_around(d, 0, s->start, true),
        .after = words_around(d, s->end, INT64_MAX, false),
        .start = s->start,
        .end = s->end,
        .confidence = 1,
        .found_start = s->found_start,
        .found_end = s->found_end,
        .fallback = pz_strdup(s->fallback)};
    if (out->name && out->spoken && out->before && out->after && (out->fallback || !s->fallback))
        return PZ_OK;
    drop_slot(out);
    return PZ_ERR_NOMEM;
}

static bool overlap(int64_t a, int64_t b, int64_t c, int64_t e)
{
    return a < e && c < b;
}

/* Take one corrected slot into `d`: what it covers, and what it was corrected from, goes. */
static enum pz_status take(struct pz_template_data *d, const struct pz_template_slot *s)
{
    int n = 0, at = 0;
    struct pz_template_slot mine, *grown;
    enum pz_status st = copy_slot(s, d, &mine);
    if (st < PZ_OK)
        return st;
    for (int i = 0; i < d->n_slots; i++) {
        struct pz_template_slot *o = &d->slots[i];
        bool was = s->found_start >= 0 && overlap(o->start, o->end, s->found_start, s->found_end) &&
                   strcmp(o->name, s->name) == 0;
        if (was || overlap(o->start, o->end, s->start, s->end))
            drop_slot(o);
        else
            d->slots[n++] = *o;
    }
    d->n_slots = n;
    grown = pz_calloc((size_t)n + 2, sizeof *grown);
    if (!grown) {
        drop_slot(&mine);
        return PZ_ERR_NOMEM;
    }
    while (at < n && d->slots[at].start < mine.start)
        at++;
    memcpy(grown, d->slots, (size_t)at * sizeof *grown);
    grown[at] = mine;
    memcpy(grown + at + 1, d->slots + at, (size_t)(n - at) * sizeof *grown);
    pz_free(d->slots);
    d->slots = grown;
    d->n_slots = n + 1;
    return PZ_OK;
}

static enum pz_status take_file(const char *path, struct pz_template_data *d, struct pz_log *log)
{
    struct pz_template_data hand = {0};
    char *text = NULL;
    size_t n = 0;
    enum pz_status st = pz_file_read(log, path, MAX_BYTES, &text, &n);
    if (st == PZ_OK)
        st = pz_template_parse_slots(&hand, text, n, log);
    pz_free(text);
    if (st < PZ_OK)
        return st;
    for (int i = 0; i < d->n_slots; i++)
        drop_slot(&d->slots[i]);
    d->n_slots = 0;
    for (int i = 0; i < hand.n_slots && st == PZ_OK; i++)
        st = take(d, &hand.slots[i]);
    pz_template_data_free(&hand);
    return st;
}

/* Corrections in the template that is about to be replaced. */
static enum pz_status take_old(const char *output, struct pz_template_data *d, struct pz_log *log)
{
    struct pz_template_data old;
    enum pz_status st = PZ_OK;
    int kept = 0;
    if (pz_template_load(&old, output, NULL) != PZ_OK)
        return PZ_OK; /* none, or not readable any more: nothing to keep */
    for (int i = 0; i < old.n_slots && st == PZ_OK && strcmp(old.source_sha256, d->source_sha256) == 0; i++) {
        const struct pz_template_slot *s = &old.slots[i];
        if (by_hand(s)) {
            st = take(d, s);
            kept++;
            continue;
        }
        for (int k = 0; k < d->n_slots && s->fallback && st == PZ_OK; k++)
            if (strcmp(d->slots[k].name, s->name) == 0 && !d->slots[k].fallback &&
                overlap(d->slots[k].start, d->slots[k].end, s->start, s->end)) {
                d->slots[k].fallback = pz_strdup(s->fallback);
                st = d->slots[k].fallback ? PZ_OK : PZ_ERR_NOMEM;
            }
    }
    if (kept && st == PZ_OK)
        pz_info(log, "%d slot%s corrected by hand in '%s' kept", kept, kept == 1 ? "" : "s", output);
    pz_template_data_free(&old);
    return st;
}

enum pz_status pz_manual_apply(const char *slots_file, const char *output, struct pz_template_data *d,
                               struct pz_log *log)
{
    enum pz_status st = PZ_OK;
    if (slots_file)
        st = take_file(slots_file, d, log);
    else if (output && pz_is_dir(output))
        st = take_old(output, d, log);
    if (st == PZ_ERR_NOMEM)
        pz_fail(log, st, "no memory for the slots corrected by hand");
    return st;
}
