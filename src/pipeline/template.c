/* template.json: writing, and reading as hostile input. Knows the fields, not how they are measured. */
#include "pipeline/template.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"

#define FORMAT_NAME "personalize-template"
#define MAX_JSON_BYTES ((size_t)256 << 20)
#define MAX_SECONDS 360000.0 /* 100 hours */
#define MAX_TEXT 65536

void pz_template_data_free(struct pz_template_data *t)
{
    if (!t)
        return;
    pz_free(t->source_name);
    pz_free(t->transcript);
    pz_free(t->recogniser);
    for (int i = 0; i < t->n_words; i++)
        pz_free(t->words[i].text);
    pz_free(t->words);
    for (int i = 0; i < t->n_slots; i++) {
        struct pz_template_slot *s = &t->slots[i];
        pz_free(s->name);
        pz_free(s->spoken);
        pz_free(s->before);
        pz_free(s->after);
        pz_free(s->fallback);
    }
    pz_free(t->slots);
    pz_free(t->phones);
    pz_free(t->face_detector);
    pz_free(t->engine);
    pz_free(t->consent_json);
    *t = (struct pz_template_data){0};
}

bool pz_variable_name_ok(const char *name)
{
    size_t n = name ? strlen(name) : 0;
    if (n < 1 || n >= PZ_TEMPLATE_MAX_NAME)
        return false;
    for (size_t i = 0; i < n; i++) {
        char c = name[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'))
            return false;
    }
    return true;
}

/* ---- writing ---- */

static json_t *seconds(int64_t samples)
{
    return json_real(round((double)samples / PZ_SPEECH_RATE * 1e6) / 1e6);
}

static json_t *text_or_null(const char *s)
{
    return s ? json_string(s) : json_null();
}

static json_t *word_json(const struct pz_template_word *w)
{
    return json_pack("{s:s, s:o, s:o, s:f}", "text", w->text, "start_s", seconds(w->start), "end_s",
                     seconds(w->end), "confidence", (double)w->confidence);
}

static json_t *slot_json(const struct pz_template_slot *s)
{
    json_t *o = json_pack("{s:s, s:s, s:o, s:o, s:f, s:s, s:s, s:o}", "name", s->name, "spoken",
                          s->spoken ? s->spoken : "", "start_s", seconds(s->start), "end_s", seconds(s->end),
                          "confidence", (double)s->confidence, "before", s->before ? s->before : "", "after",
                          s->after ? s->after : "", "fallback", text_or_null(s->fallback));
    if (o && s->found_start >= 0)
        json_object_set_new(o, "found_s",
                            json_pack("[o, o]", seconds(s->found_start), seconds(s->found_end)));
    if (o)
        json_object_set_new(o, "face",
                            json_pack("{s:s, s:s, s:[f,f,f], s:b}", "verdict", s->verdict, "reason",
                                      s->verdict_reason, "pose_deg", (double)s->yaw, (double)s->pitch,
                                      (double)s->roll, "occluded", (int)s->occluded));
    return o;
}

static json_t *build(const struct pz_template_data *t, bool with_phones)
{
    json_t *consent = t->consent_json ? json_loads(t->consent_json, 0, NULL) : json_null();
    json_t *root = json_pack(
        "{s:s, s:i, s:s, s:{s:s, s:s, s:I}, s:s, s:b, s:o, s:s, s:[], s:[], s:{s:o, s:i, s:f}, s:{s:s, s:f, "
        "s:f, s:I}, s:o}",
        "format", FORMAT_NAME, "version", PZ_TEMPLATE_VERSION, "created_by", "personalize " PZ_VERSION,
        "source", "name", t->source_name ? t->source_name : "", "sha256", t->source_sha256, "bytes",
        (json_int_t)t->source_bytes, "film", t->film, "transcoded", (int)t->transcoded, "transcript",
        text_or_null(t->transcript), "recogniser", t->recogniser ? t->recogniser : "", "slots", "words",
        "face", "detector", text_or_null(t->face_detector), "track", t->face_track, "share",
        (double)t->face_share, "lip_sync", "model", t->engine ? t->engine : "none", "prepare_s", t->prepare_s,
        "fit_s", t->fit_s, "seed", (json_int_t)(t->seed & INT64_MAX), "consent",
        consent ? consent : json_null());
    if (!root)
        return NULL;
    for (int i = 0; i < t->n_slots; i++)
        json_array_append_new(json_object_get(root, "slots"), slot_json(&t->slots[i]));
    for (int i = 0; i < t->n_words; i++)
        json_array_append_new(json_object_get(root, "words"), word_json(&t->words[i]));
    if (with_phones) {
        json_t *a = json_array();
        for (int i = 0; i < t->n_phones; i++)
            json_array_append_new(a, json_pack("[s, o, o, f]", pz_phone_name(t->phones[i].id),
                                               seconds(t->phones[i].start), seconds(t->phones[i].end),
                                               round((double)t->phones[i].score * 1e3) / 1e3));
        json_object_set_new(root, "phones", a);
    }
    return root;
}

char *pz_template_to_json(const struct pz_template_data *t, bool with_phones)
{
    json_t *root = build(t, with_phones);
    if (!root)
        return NULL;
    char *text = json_dumps(root, JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9));
    json_decref(root);
    char *out = pz_strdup(text);
    free(text);
    return out;
}

enum pz_status pz_template_save(const struct pz_template_data *t, const char *dir, struct pz_log *log)
{
    enum pz_status st = PZ_OK;
    char *text = pz_template_to_json(t, true), *path = pz_path_join(dir, "template.json");
    if (!text || !path)
        st = pz_fail(log, PZ_ERR_NOMEM, "no memory to write template.json");
    else
        st = pz_file_write(log, path, text, strlen(text));
    pz_free(text);
    pz_free(path);
    return st;
}

/* ---- reading ---- */

struct in {
    struct pz_log *log;
    enum pz_status st;
};

static void wrong(struct in *in, const char *where, int i, const char *what)
{
    if (in->st != PZ_OK)
        return;
    if (i >= 0)
        in->st = pz_fail(in->log, PZ_ERR_FORMAT, "template.json: %s[%d]: %s", where, i, what);
    else
        in->st = pz_fail(in->log, PZ_ERR_FORMAT, "template.json: %s: %s", where, what);
}

/* Copy of a string field; NULL allowed when `optional`. */
static char *get_text(struct in *in, const json_t *o, const char *key, const char *where, int i,
                      bool optional)
{
    const json_t *v = json_object_get(o, key);
    if (!v || json_is_null(v)) {
        if (!optional)
            wrong(in, where, i, key);
        return NULL;
    }
    if (!json_is_string(v) || json_string_length(v) > MAX_TEXT ||
        strlen(json_string_value(v)) != json_string_length(v)) {
        wrong(in, where, i, key);
        return NULL;
    }
    char *s = pz_strdup(json_string_value(v));
    if (!s && in->st == PZ_OK)
        in->st = pz_fail(in->log, PZ_ERR_NOMEM, "no memory for the template");
    return s;
}

static double get_number(struct in *in, const json_t *v, const char *where, int i, const char *key, double lo,
                         double hi)
{
    double x = json_is_number(v) ? json_number_value(v) : NAN;
    if (!(x >= lo && x <= hi)) {
        wrong(in, where, i, key);
        return lo;
    }
    return x;
}

static int64_t get_time(struct in *in, const json_t *v, const char *where, int i, const char *key)
{
    return llround(get_number(in, v, where, i, key, 0, MAX_SECONDS) * PZ_SPEECH_RATE);
}

static float get_optional(const json_t *o, const char *key, double otherwise)
{
    const json_t *v = json_object_get(o, key);
    double x = json_is_number(v) ? json_number_value(v) : otherwise;
    return isfinite(x) ? (float)x : (float)otherwise;
}

static size_t array_len(struct in *in, const json_t *a, const char *where, size_t most)
{
    if (!a)
        return 0;
    if (!json_is_array(a) || json_array_size(a) > most) {
        wrong(in, where, -1, "not a list, or too long");
        return 0;
    }
    return json_array_size(a);
}

static void read_words(struct in *in, const json_t *a, struct pz_template_data *t)
{
    size_t n = array_len(in, a, "words", PZ_TEMPLATE_MAX_WORDS);
    t->words = pz_calloc(n + 1, sizeof *t->words);
    for (size_t i = 0; t->words && i < n && in->st == PZ_OK; i++) {
        const json_t *o = json_array_get(a, i);
        struct pz_template_word *w = &t->words[i];
        w->text = get_text(in, o, "text", "words", (int)i, false);
        t->n_words = (int)i + 1;
        w->start = get_time(in, json_object_get(o, "start_s"), "words", (int)i, "start_s");
        w->end = get_time(in, json_object_get(o, "end_s"), "words", (int)i, "end_s");
        w->confidence = get_optional(o, "confidence", 1);
        if (w->end < w->start)
            wrong(in, "words", (int)i, "ends before it starts");
    }
}

static void read_slot_face(const json_t *f, struct pz_template_slot *s)
{
    const json_t *v = json_object_get(f, "verdict"), *why = json_object_get(f, "reason"),
                 *pose = json_object_get(f, "pose_deg");
    snprintf(s->verdict, sizeof s->verdict, "%s", json_is_string(v) ? json_string_value(v) : "");
    snprintf(s->verdict_reason, sizeof s->verdict_reason, "%s",
             json_is_string(why) ? json_string_value(why) : "");
    float *out[3] = {&s->yaw, &s->pitch, &s->roll};
    for (size_t k = 0; k < 3; k++) {
        const json_t *p = json_array_get(pose, k);
        double x = json_is_number(p) ? json_number_value(p) : 0;
        *out[k] = isfinite(x) ? (float)x : 0;
    }
    s->occluded = json_is_true(json_object_get(f, "occluded"));
}

/* Where listening had put a slot; absent when a person wrote it. */
static void read_found(struct in *in, const json_t *pair, int i, struct pz_template_slot *s)
{
    s->found_start = s->found_end = -1;
    if (json_array_size(pair) != 2)
        return;
    s->found_start = get_time(in, json_array_get(pair, 0), "slots", i, "found_s");
    s->found_end = get_time(in, json_array_get(pair, 1), "slots", i, "found_s");
}

static void read_slots(struct in *in, const json_t *a, struct pz_template_data *t)
{
    size_t n = array_len(in, a, "slots", PZ_TEMPLATE_MAX_SLOTS);
    t->slots = pz_calloc(n + 1, sizeof *t->slots);
    for (size_t i = 0; t->slots && i < n && in->st == PZ_OK; i++) {
        const json_t *o = json_array_get(a, i);
        struct pz_template_slot *s = &t->slots[i];
        t->n_slots = (int)i + 1;
        s->name = get_text(in, o, "name", "slots", (int)i, false);
        if (in->st == PZ_OK && !pz_variable_name_ok(s->name))
            wrong(in, "slots", (int)i, "name must be 1 to 63 of a-z, 0-9 and _");
        s->spoken = get_text(in, o, "spoken", "slots", (int)i, true);
        s->before = get_text(in, o, "before", "slots", (int)i, true);
        s->after = get_text(in, o, "after", "slots", (int)i, true);
        s->fallback = get_text(in, o, "fallback", "slots", (int)i, true);
        s->start = get_time(in, json_object_get(o, "start_s"), "slots", (int)i, "start_s");
        s->end = get_time(in, json_object_get(o, "end_s"), "slots", (int)i, "end_s");
        s->confidence = get_optional(o, "confidence", 1);
        read_found(in, json_object_get(o, "found_s"), (int)i, s);
        if (s->end <= s->start)
            wrong(in, "slots", (int)i, "end_s must be greater than start_s");
        if (i > 0 && s->start < t->slots[i - 1].end)
            wrong(in, "slots", (int)i, "overlaps the slot before it, or is out of order");
        read_slot_face(json_object_get(o, "face"), s);
    }
}

static void read_phones(struct in *in, const json_t *a, struct pz_template_data *t)
{
    size_t n = array_len(in, a, "phones", PZ_TEMPLATE_MAX_PHONES);
    t->phones = pz_calloc(n + 1, sizeof *t->phones);
    for (size_t i = 0; t->phones && i < n && in->st == PZ_OK; i++) {
        const json_t *p = json_array_get(a, i), *name = json_array_get(p, 0);
        struct pz_phone *ph = &t->phones[i];
        t->n_phones = (int)i + 1;
        ph->id = json_is_string(name) ? pz_phone_from_name(json_string_value(name)) : -1;
        if (ph->id < 0)
            wrong(in, "phones", (int)i, "not a phone of the ARPAbet");
        ph->start = get_time(in, json_array_get(p, 1), "phones", (int)i, "start");
        ph->end = get_time(in, json_array_get(p, 2), "phones", (int)i, "end");
        const json_t *sc = json_array_get(p, 3);
        ph->score = json_is_number(sc) ? (float)fmin(fmax(json_number_value(sc), 0), 1) : 1;
        if (ph->end < ph->start || (i > 0 && ph->start < t->phones[i - 1].end))
            wrong(in, "phones", (int)i, "out of order");
    }
}

/* "film.EXT" with a short plain extension: never a path out of the folder. */
static bool film_name_ok(const char *s)
{
    if (!s || strncmp(s, "film.", 5) != 0 || strlen(s) < 6 || strlen(s) > 12)
        return false;
    for (const char *c = s + 5; *c; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9')))
            return false;
    return true;
}

static void read_rest(struct in *in, const json_t *root, struct pz_template_data *t)
{
    const json_t *src = json_object_get(root, "source"), *face = json_object_get(root, "face"),
                 *lip = json_object_get(root, "lip_sync"), *consent = json_object_get(root, "consent");
    t->source_name = get_text(in, src, "name", "source", -1, false);
    char *sha = get_text(in, src, "sha256", "source", -1, false);
    if (sha)
        snprintf(t->source_sha256, sizeof t->source_sha256, "%s", sha);
    pz_free(sha);
    t->source_bytes = (int64_t)json_integer_value(json_object_get(src, "bytes"));
    const json_t *film = json_object_get(root, "film");
    if (json_is_string(film) && film_name_ok(json_string_value(film)))
        snprintf(t->film, sizeof t->film, "%s", json_string_value(film));
    else
        wrong(in, "template", -1, "film must be a file name like film.mp4");
    t->transcoded = json_is_true(json_object_get(root, "transcoded"));
    t->transcript = get_text(in, root, "transcript", "template", -1, true);
    t->recogniser = get_text(in, root, "recogniser", "template", -1, true);
    t->face_detector = get_text(in, face, "detector", "face", -1, true);
    json_int_t track = json_integer_value(json_object_get(face, "track"));
    t->face_track = track >= 0 && track < 10000 ? (int)track : -1;
    t->face_share = get_optional(face, "share", 0);
    t->engine = get_text(in, lip, "model", "lip_sync", -1, false);
    t->prepare_s = get_optional(lip, "prepare_s", 0);
    t->fit_s = get_optional(lip, "fit_s", 0);
    t->seed = (uint64_t)json_integer_value(json_object_get(lip, "seed"));
    if (json_is_object(consent)) {
        char *text = json_dumps(consent, JSON_PRESERVE_ORDER);
        t->consent_json = pz_strdup(text);
        free(text);
    }
}

enum pz_status pz_template_parse(struct pz_template_data *t, const char *text, size_t n, struct pz_log *log)
{
    *t = (struct pz_template_data){.face_track = -1};
    json_error_t err;
    json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &err);
    if (!root)
        return pz_fail(log, PZ_ERR_FORMAT, "template.json line %d: %s", err.line, err.text);
    struct in in = {log, PZ_OK};
    const json_t *f = json_object_get(root, "format"), *v = json_object_get(root, "version");
    if (!json_is_string(f) || strcmp(json_string_value(f), FORMAT_NAME) != 0)
        in.st = pz_fail(log, PZ_ERR_FORMAT, "template.json: not a template of personalize");
    else if (!json_is_integer(v) || json_integer_value(v) != PZ_TEMPLATE_VERSION)
        in.st = pz_fail(log, PZ_ERR_INPUT,
                        "template.json: version %lld, this program reads %d; prepare the film again",
                        (long long)json_integer_value(v), PZ_TEMPLATE_VERSION);
    if (in.st == PZ_OK) {
        read_rest(&in, root, t);
        read_words(&in, json_object_get(root, "words"), t);
        read_slots(&in, json_object_get(root, "slots"), t);
        read_phones(&in, json_object_get(root, "phones"), t);
        if (in.st == PZ_OK && (!t->words || !t->slots || !t->phones))
            in.st = pz_fail(log, PZ_ERR_NOMEM, "no memory for the template");
    }
    json_decref(root);
    if (in.st != PZ_OK)
        pz_template_data_free(t);
    return in.st;
}

enum pz_status pz_template_parse_slots(struct pz_template_data *t, const char *text, size_t n,
                                       struct pz_log *log)
{
    json_error_t err;
    struct in in = {log, PZ_OK};
    *t = (struct pz_template_data){.face_track = -1};
    json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &err);
    if (!root)
        return pz_fail(log, PZ_ERR_FORMAT, "slots file line %d: %s", err.line, err.text);
    if (!json_is_array(json_object_get(root, "slots")))
        in.st = pz_fail(log, PZ_ERR_FORMAT, "slots file: no list \"slots\" in it");
    else
        read_slots(&in, json_object_get(root, "slots"), t);
    if (in.st == PZ_OK && !t->slots)
        in.st = pz_fail(log, PZ_ERR_NOMEM, "no memory for the slots");
    json_decref(root);
    if (in.st != PZ_OK)
        pz_template_data_free(t);
    return in.st;
}

enum pz_status pz_template_load(struct pz_template_data *t, const char *dir, struct pz_log *log)
{
    *t = (struct pz_template_data){0};
    char *path = pz_path_join(dir, "template.json"), *text = NULL;
    size_t n = 0;
    enum pz_status st;
    if (!path)
        return pz_fail(log, PZ_ERR_NOMEM, "no memory for the template");
    if (!pz_is_dir(dir))
        st = pz_fail(log, PZ_ERR_INPUT,
                     "'%s' is not a prepared template (a folder made by 'personalize prepare')", dir);
    else
        st = pz_file_read(log, path, MAX_JSON_BYTES, &text, &n);
    if (st == PZ_OK)
        st = pz_template_parse(t, text, n, log);
    pz_free(path);
    pz_free(text);
    return st;
}
