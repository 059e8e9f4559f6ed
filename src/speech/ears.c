// PocketSphinx: free recognition, and best paths through graphs of phones. What is searched for is decided
// elsewhere.
//
// A graph's arcs are phones, not words, because the library tells times only for words: every phone gets
// one-phone "words"
// ("AA.0", "AA.1", …; as many aliases as a graph has arcs of that phone), so that times and arcs come back
// exactly. Its log goes to ours through a callback; the library keeps that callback in a static, so it is set
// once per process and finds the log of the call in progress through a thread-local pointer.
#include "speech/ears.h"

#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <ctype.h>

#include <pocketsphinx.h>
#include <sphinxbase/err.h>

#include "base/file.h"
#include "base/mem.h"
#include "speech/acoustic.h"
#include "speech/expected.h"
#include "speech/hybrid.h"
#include "speech/whisper.h"

#define MODEL_DIR "/usr/share/pocketsphinx/model/en-us"
#define DENOISE_FROM (3 * PZ_SPEECH_RATE)
#define SCORE_UNIT 1024.0 // the library keeps path scores shifted right by 10 bits (its SENSCR_SHIFT)
#define PACKAGE_HINT "install the Debian package pocketsphinx-en-us"

/** A decoder for graphs and the phone aliases it knows. */
struct graph {
    ps_decoder_t *ps;
    int aliases[PZ_PH_COUNT]; /* how many of each phone */
};

struct pz_ears {
    struct pz_log *log;
    struct pz_whisper_ears *whisper; /* who recognises words; NULL: this file, borrowed */
    struct pz_lexicon *lexicon;
    char *hmm, *lm, *dict, *phone_lm; /* paths */
    ps_decoder_t *words;              /* language model and dictionary; at first need */
    ps_decoder_t *expecting;          /* the same, told of wanted words; NULL: none */
    pthread_mutex_t opening;          /* of `words` */
    struct graph graphs[2];           /* for sound of a second or two, and for longer sound; at first need */
    ps_decoder_t *allphone;           /* at first need */
    struct pz_acoustic *acoustic;     /* at first need */
};

static _Thread_local struct pz_log *current_log;

static void on_message(void *user, err_lvl_t level, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    size_t n;

    (void)user;
    if (!current_log || level < ERR_WARN)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    n = strlen(text);
    while (n && (text[n - 1] == '\n' || text[n - 1] == '\r'))
        text[--n] = 0;
    // The library calls harmless things errors ("Final result does not match the grammar"), so they stay
    // details.
    pz_debug(current_log, "pocketsphinx: %s", text);
}

static void route_messages(void)
{
    err_set_callback(on_message, NULL);
}

static enum pz_status need_file(struct pz_log *log, const char *path)
{
    if (pz_file_exists(path))
        return PZ_OK;
    return pz_fail(log, PZ_ERR_WEIGHTS, "speech recogniser: %s is missing; %s", path, PACKAGE_HINT);
}

enum pz_status pz_ears_open(const char *model_dir, const struct pz_job *job, struct pz_ears **ears)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    enum pz_status st = PZ_ERR_NOMEM;
    struct pz_log *log = job ? job->log : NULL;
    const char *dir = model_dir ? model_dir : MODEL_DIR;
    struct pz_ears *e = pz_calloc(1, sizeof *e);

    *ears = NULL;
    if (!e)
        return PZ_ERR_NOMEM;
    pthread_once(&once, route_messages);
    pthread_mutex_init(&e->opening, NULL);
    e->log = log;
    e->hmm = pz_path_join(dir, "en-us");
    e->lm = pz_path_join(dir, "en-us.lm.bin");
    e->dict = pz_path_join(dir, "cmudict-en-us.dict");
    e->phone_lm = pz_path_join(dir, "en-us-phone.lm.bin");
    if (!e->hmm || !e->lm || !e->dict || !e->phone_lm)
        goto fail;
    if (!pz_is_dir(e->hmm)) {
        st =
            pz_fail(log, PZ_ERR_WEIGHTS, "speech recogniser: folder %s is missing; %s", e->hmm, PACKAGE_HINT);
        goto fail;
    }
    PZ_TRY(need_file(log, e->lm));
    PZ_TRY(need_file(log, e->dict));
    PZ_TRY(need_file(log, e->phone_lm));
    PZ_TRY(pz_lexicon_open(log, e->dict, &e->lexicon));
    *ears = e;
    return PZ_OK;
fail:
    pz_ears_close(&e);
    return st;
}

void pz_ears_close(struct pz_ears **ears)
{
    struct pz_ears *e = *ears;

    if (!e)
        return;
    if (e->words)
        ps_free(e->words);
    pz_ears_expect_nothing(e);
    for (int i = 0; i < 2; i++)
        if (e->graphs[i].ps)
            ps_free(e->graphs[i].ps);
    if (e->allphone) {
        // Its search frees the last utterance's segments only when a next one starts.
        if (ps_start_utt(e->allphone) == 0)
            ps_end_utt(e->allphone);
        ps_free(e->allphone);
    }
    pz_acoustic_close(&e->acoustic);
    pz_lexicon_close(&e->lexicon);
    pthread_mutex_destroy(&e->opening);
    pz_free(e->hmm);
    pz_free(e->lm);
    pz_free(e->dict);
    pz_free(e->phone_lm);
    pz_free(e);
    *ears = NULL;
}

void pz_ears_use_whisper(struct pz_ears *ears, struct pz_whisper_ears *whisper)
{
    ears->whisper = whisper;
}

bool pz_ears_uses_whisper(const struct pz_ears *ears)
{
    return ears->whisper != NULL;
}

bool pz_ears_hears_foreign(const struct pz_ears *ears)
{
    const char *language = ears->whisper ? pz_whisper_language(ears->whisper) : NULL;

    return language && strcmp(language, "en") != 0;
}

enum pz_status pz_ears_set_language(struct pz_ears *ears, const char *language)
{
    return pz_lexicon_set_language(ears->lexicon, ears->log, language);
}

const struct pz_lexicon *pz_ears_lexicon(const struct pz_ears *ears)
{
    return ears->lexicon;
}

struct pz_log *pz_ears_log(const struct pz_ears *ears)
{
    return ears->log;
}

/** A decoder with the acoustic model and what `extra` adds (pairs of option and value, NULL-terminated). */
static enum pz_status decoder_open(struct pz_ears *e, struct pz_log *log, bool denoise,
                                   const char *const *extra, ps_decoder_t **out)
{
    enum pz_status st = PZ_OK;
    const char *argv[48] = {
        "pz",   "-hmm", e->hmm, "-remove_silence", "no", "-remove_noise", denoise ? "yes" : "no",
        "-cmn", "batch"};
    int n = 9;
    cmd_ln_t *config;

    while (*extra && n < 47)
        argv[n++] = *extra++;
    current_log = log;
    err_set_logfp(NULL); // or it prints its configuration on stderr; the setting is per thread
    config = cmd_ln_parse_r(NULL, ps_args(), n, (char **)argv, TRUE);
    *out = config ? ps_init(config) : NULL;
    if (config)
        cmd_ln_free_r(config);
    if (!*out)
        st = pz_fail(log, PZ_ERR_WEIGHTS, "speech recogniser: the model in %s cannot be loaded; %s", e->hmm,
                     PACKAGE_HINT);
    current_log = NULL;
    return st;
}

enum pz_status pz_ears_acoustic(struct pz_ears *ears, struct pz_acoustic **acoustic)
{
    enum pz_status st = PZ_OK;

    if (!ears->acoustic)
        st = pz_acoustic_open(ears->log, ears->hmm, &ears->acoustic);
    *acoustic = ears->acoustic;
    return st;
}

int16_t *pz_ears_pcm(const float *samples, int64_t n)
{
    int16_t *pcm = pz_calloc((size_t)n + 1, sizeof *pcm);

    for (int64_t i = 0; pcm && i < n; i++) {
        float v = samples[i] * 32767.0f;

        // One level of noise, the same for the same sound, keeps digital silence away from log 0.
        v += (float)((uint32_t)i * 2654435761u >> 30) - 1.5f;
        pcm[i] = (int16_t)lrintf(v > 32767.0f ? 32767.0f : v < -32768.0f ? -32768.0f : v);
    }
    return pcm;
}

/** Feed a whole sound. Errors: NOMEM, INTERNAL. */
static enum pz_status listen(struct pz_ears *e, ps_decoder_t *ps, const float *samples, int64_t n)
{
    enum pz_status st = PZ_OK;
    int16_t *pcm;

    if (n > PZ_EARS_MAX_SAMPLES)
        return pz_fail(e->log, PZ_ERR_INTERNAL, "speech recogniser: %lld samples at once", (long long)n);
    pcm = pz_ears_pcm(samples, n);
    if (!pcm)
        return PZ_ERR_NOMEM;
    if (ps_start_stream(ps) < 0 || ps_start_utt(ps) < 0) {
        st = pz_fail(e->log, PZ_ERR_INTERNAL, "speech recogniser: cannot start an utterance");
    } else if (ps_process_raw(ps, pcm, (size_t)n, FALSE, TRUE) < 0) {
        ps_end_utt(ps);
        st = pz_fail(e->log, PZ_ERR_INTERNAL, "speech recogniser: cannot process %lld samples", (long long)n);
    } else if (ps_end_utt(ps) < 0) {
        st = pz_fail(e->log, PZ_ERR_INTERNAL, "speech recogniser: cannot end an utterance");
    }
    pz_free(pcm);
    return st;
}

static int64_t frame_start(int frame, int64_t n)
{
    int64_t at = frame <= 0 ? 0 : (int64_t)frame * PZ_EARS_HOP + PZ_EARS_SHIFT;

    return at < n ? at : n;
}

/** Open what recognises words; nothing happens when it is. Safe on several threads. */
static enum pz_status words_open(struct pz_ears *e, struct pz_log *log)
{
    // Limits on what is searched at once: without them noise takes four times as long as a quiet room. Half
    // of this loses words.
    const char *const extra[] = {"-lm", e->lm, "-dict", e->dict, "-maxhmmpf", "5000", "-maxwpf", "10", NULL};
    enum pz_status st = PZ_OK;

    pthread_mutex_lock(&e->opening);
    if (!e->words)
        st = decoder_open(e, log, true, extra, &e->words);
    pthread_mutex_unlock(&e->opening);
    return st;
}

enum pz_status pz_ears_expect(struct pz_ears *e, const struct pz_keyword *const *k, int n, double share)
{
    // With scores from a file the library's look ahead (-pl_window) would read frames twice.
    const char *const extra[] = {"-dict", e->dict,      "-maxhmmpf", "5000", "-maxwpf",
                                 "20",    "-pl_window", "0",         NULL};
    enum pz_status st;

    if (e->whisper || e->expecting || n < 1)
        return PZ_OK;
    PZ_TRY(decoder_open(e, e->log, false, extra, &e->expecting));
    current_log = e->log;
    PZ_TRY(pz_expected_add(e->log, e->expecting, e->lm, k, n, share));
fail:
    current_log = NULL;
    if (st < PZ_OK)
        pz_ears_expect_nothing(e);
    return st;
}

void pz_ears_expect_nothing(struct pz_ears *e)
{
    if (e->expecting)
        ps_free(e->expecting);
    e->expecting = NULL;
}

void pz_ears_warm(struct pz_ears *e)
{
    if (!e->whisper)
        (void)!words_open(e, NULL); // who listens will say what is wrong
}

/** Decode scores instead of sound. Errors: NOMEM, INTERNAL. */
static enum pz_status listen_scored(struct pz_ears *e, ps_decoder_t *ps, const float *samples, int64_t n,
                                    const struct pz_sounds *heard)
{
    enum pz_status st;
    struct pz_acoustic *acoustic;
    FILE *file = NULL;
    char *data = NULL;
    size_t size;

    PZ_TRY(pz_ears_acoustic(e, &acoustic));
    PZ_TRY(pz_hybrid_scores(acoustic, samples, n, heard, &data, &size));
    file = fmemopen(data, size, "rb");
    st = !file ? PZ_ERR_NOMEM
         : ps_start_stream(ps) < 0 || ps_decode_senscr(ps, file) < 0
             ? pz_fail(e->log, PZ_ERR_INTERNAL,
                       "speech recogniser: cannot decode "
                       "%zu bytes of scores",
                       size)
             : PZ_OK;
fail:
    if (file)
        fclose(file);
    pz_free(data);
    return st;
}

/** What a decoder has recognised in sound that begins at sample `at`. */
static enum pz_status take_words(ps_decoder_t *ps, int64_t n, int64_t at, struct pz_words *words)
{
    enum pz_status st = PZ_OK;

    for (ps_seg_t *s = ps_seg_iter(ps); s; s = ps_seg_next(s)) {
        const char *text = ps_seg_word(s);
        struct pz_word w = {0};
        int first, last;
        size_t k = 0;

        if (!text || text[0] == '<' || text[0] == '[' || text[0] == '+')
            continue;
        ps_seg_frames(s, &first, &last);
        w.start = at + frame_start(first, n);
        w.end = at + frame_start(last + 1, n);
        w.confidence = (float)logmath_exp(ps_get_logmath(ps), ps_seg_prob(s, NULL, NULL, NULL));
        if (!(w.confidence >= 0.0f))
            w.confidence = 0.0f;
        if (w.confidence > 1.0f)
            w.confidence = 1.0f;
        while (text[k] && text[k] != '(' && k + 1 < sizeof w.text) {
            w.text[k] = text[k];
            k++;
        }
        st = pz_words_add(words, &w);
        if (st < PZ_OK) {
            ps_seg_free(s);
            break;
        }
    }
    return st;
}

enum pz_status pz_ears_words(struct pz_ears *e, const float *samples, int64_t n, int64_t at,
                             const struct pz_sounds *heard, struct pz_words *words)
{
    enum pz_status st = PZ_OK;

    if (n < PZ_SPEECH_RATE / 10)
        return PZ_OK;
    if (e->whisper)
        return pz_whisper_hear(e->whisper, samples, n, at, words);
    current_log = e->log;
    if (e->expecting && heard) {
        PZ_TRY(listen_scored(e, e->expecting, samples, n, heard));
        st = take_words(e->expecting, n, at, words);
    } else {
        PZ_TRY(words_open(e, e->log));
        current_log = e->log;
        PZ_TRY(listen(e, e->words, samples, n));
        st = take_words(e->words, n, at, words);
    }
fail:
    current_log = NULL;
    return st;
}

enum pz_status pz_ears_arc_add(struct pz_ears_graph *g, struct pz_ears_arc arc)
{
    if (g->n_arcs == g->cap) {
        int want = g->cap ? g->cap * 2 : 256;
        void *p = g->arcs ? pz_regrow(g->arcs, (size_t)g->n_arcs, (size_t)want, sizeof *g->arcs)
                          : pz_calloc((size_t)want, sizeof *g->arcs);

        if (!p)
            return PZ_ERR_NOMEM;
        g->arcs = p;
        g->cap = want;
    }
    g->arcs[g->n_arcs++] = arc;
    if (arc.from >= g->n_states)
        g->n_states = arc.from + 1;
    if (arc.to >= g->n_states)
        g->n_states = arc.to + 1;
    return PZ_OK;
}

void pz_ears_graph_free(struct pz_ears_graph *g)
{
    pz_free(g->arcs);
    *g = (struct pz_ears_graph){0};
}

enum pz_status pz_ears_phone_loop(struct pz_ears_graph *g, int state, float logp, int tag)
{
    enum pz_status st = PZ_OK;

    for (int p = 0; p < PZ_PH_COUNT && st == PZ_OK; p++)
        if (p != PZ_PH_AX)
            st = pz_ears_arc_add(
                g, (struct pz_ears_arc){.from = state, .to = state, .phone = p, .logp = logp, .tag = tag});
    return st;
}

void pz_ears_path_free(struct pz_ears_path *path)
{
    pz_free(path->steps);
    *path = (struct pz_ears_path){0};
}

/** The acoustic model's name of a phone: it has no AX. */
static const char *model_phone(int phone)
{
    return phone == PZ_PH_AX ? "AH" : pz_phone_name(phone);
}

static enum pz_status graph_decoder_open(struct pz_ears *e, bool longer)
{
    const char *const extra[] = {
        "-compallsen", "yes",    "-fsgusefiller", "no",     "-fsgusealtpron", "no",     "-bestpath", "no",
        "-beam",       "1e-100", "-wbeam",        "1e-100", "-pbeam",         "1e-100", "-maxhmmpf", "-1",
        "-lw",         "1",      "-wip",          "1",      "-pip",           "1",      NULL};

    return e->graphs[longer].ps ? PZ_OK : decoder_open(e, e->log, longer, extra, &e->graphs[longer].ps);
}

/** Make sure the decoder knows `count` aliases of a phone. */
static enum pz_status aliases_need(struct pz_ears *e, struct graph *k, int phone, int count)
{
    while (k->aliases[phone] < count) {
        char alias[16];

        snprintf(alias, sizeof alias, "%s.%d", pz_phone_name(phone), k->aliases[phone]);
        if (ps_add_word(k->ps, alias, model_phone(phone), FALSE) < 0)
            return pz_fail(e->log, PZ_ERR_INTERNAL, "speech recogniser: phone %s is not in the model", alias);
        k->aliases[phone]++;
    }
    return PZ_OK;
}

/** Translate a graph; `alias` [n_arcs] receives each arc's alias number. */
static enum pz_status graph_to_fsg(struct pz_ears *e, struct graph *k, const struct pz_ears_graph *g,
                                   int *alias, fsg_model_t **out)
{
    enum pz_status st = PZ_OK;
    int used[PZ_PH_COUNT] = {0};
    logmath_t *lm = ps_get_logmath(k->ps);
    fsg_model_t *fsg = fsg_model_init("pz", lm, 1.0f, g->n_states);

    *out = NULL;
    if (!fsg)
        return PZ_ERR_NOMEM;
    fsg->start_state = 0;
    fsg->final_state = g->n_states - 1;
    for (int i = 0; i < g->n_arcs; i++) {
        const struct pz_ears_arc *a = &g->arcs[i];
        int logp = logmath_ln_to_log(lm, a->logp);
        char word[16];

        if (a->phone < 0) {
            fsg_model_null_trans_add(fsg, a->from, a->to, logp);
            continue;
        }
        alias[i] = used[a->phone]++;
        PZ_TRY(aliases_need(e, k, a->phone, used[a->phone]));
        snprintf(word, sizeof word, "%s.%d", pz_phone_name(a->phone), alias[i]);
        fsg_model_trans_add(fsg, a->from, a->to, logp, fsg_model_word_add(fsg, word));
    }
    {
        glist_t nulls = fsg_model_null_trans_closure(fsg, NULL);

        glist_free(nulls);
    }
    *out = fsg;
    return PZ_OK;
fail:
    fsg_model_free(fsg);
    return st;
}

/** Arc of a segment's word, −1 when it is none of ours. */
static int arc_of(const struct pz_ears_graph *g, const int *alias, const char *word)
{
    const char *dot = word ? strchr(word, '.') : NULL;
    char name[8];
    int phone, k;

    if (!dot || (size_t)(dot - word) >= sizeof name)
        return -1;
    memcpy(name, word, (size_t)(dot - word));
    name[dot - word] = 0;
    phone = pz_phone_from_name(name);
    k = 0;
    for (const char *p = dot + 1; isdigit((unsigned char)*p) && k < 1000000; p++)
        k = k * 10 + (*p - '0');
    for (int i = 0; i < g->n_arcs; i++)
        if (g->arcs[i].phone == phone && phone >= 0 && alias[i] == k)
            return i;
    return -1;
}

/** Copy the decoder's segments into a path. With `g` NULL arcs are phone ids. */
static enum pz_status take_path(ps_decoder_t *ps, const struct pz_ears_graph *g, const int *alias, int64_t n,
                                struct pz_ears_path *path)
{
    int count = 0;
    logmath_t *lm = ps_get_logmath(ps);

    for (ps_seg_t *s = ps_seg_iter(ps); s; s = ps_seg_next(s))
        count++;
    path->steps = count ? pz_calloc((size_t)count, sizeof *path->steps) : NULL;
    if (count && !path->steps)
        return PZ_ERR_NOMEM;
    for (ps_seg_t *s = ps_seg_iter(ps); s; s = ps_seg_next(s)) {
        int first, last, acoustic, lang, back;
        int arc = g ? arc_of(g, alias, ps_seg_word(s)) : pz_phone_from_name(ps_seg_word(s));

        if (!g && arc < 0)
            arc = PZ_PH_SIL; // +NSN+, +SPN+
        if (arc < 0)
            continue;
        ps_seg_frames(s, &first, &last);
        if (last < first)
            continue;
        ps_seg_prob(s, &acoustic, &lang, &back);
        path->steps[path->n++] =
            (struct pz_ears_step){.arc = arc,
                                  .start = frame_start(first, n),
                                  .end = frame_start(last + 1, n),
                                  .score = logmath_log_to_ln(lm, 1) * SCORE_UNIT * acoustic};
    }
    if (path->n)
        path->steps[path->n - 1].end = n;
    return PZ_OK;
}

enum pz_status pz_ears_search(struct pz_ears *e, const float *samples, int64_t n,
                              const struct pz_ears_graph *g, struct pz_ears_path *path)
{
    enum pz_status st;
    fsg_model_t *fsg = NULL;
    struct graph *k = &e->graphs[n >= DENOISE_FROM];
    int *alias = NULL;

    *path = (struct pz_ears_path){0};
    // The library's noise removal must learn what the noise is, which takes seconds.
    PZ_TRY(graph_decoder_open(e, n >= DENOISE_FROM));
    current_log = e->log;
    alias = pz_calloc((size_t)g->n_arcs + 1, sizeof *alias);
    if (!alias) {
        st = PZ_ERR_NOMEM;
        goto fail;
    }
    PZ_TRY(graph_to_fsg(e, k, g, alias, &fsg));
    // ps_set_fsg() keeps its own reference and replaces the search of the same name.
    if (ps_set_fsg(k->ps, "pz", fsg) < 0 || ps_set_search(k->ps, "pz") < 0) {
        st = pz_fail(e->log, PZ_ERR_INTERNAL, "speech recogniser: graph of %d arcs refused", g->n_arcs);
        goto fail;
    }
    PZ_TRY(listen(e, k->ps, samples, n));
    PZ_TRY(take_path(k->ps, g, alias, n, path));
    path->complete = path->n > 0; // the library gives no segments when the final state was not reached
    st = PZ_OK;
fail:
    if (fsg)
        fsg_model_free(fsg);
    pz_free(alias);
    current_log = NULL;
    if (st < PZ_OK)
        pz_ears_path_free(path);
    return st;
}

enum pz_status pz_ears_allphone(struct pz_ears *e, const float *samples, int64_t n, struct pz_ears_path *path)
{
    enum pz_status st;
    const char *const extra[] = {"-allphone", e->phone_lm, "-beam",        "1e-20", "-pbeam", "1e-10",
                                 "-lw",       "2.0",       "-allphone_ci", "yes",   NULL};

    *path = (struct pz_ears_path){0};
    if (!e->allphone) {
        st = decoder_open(e, e->log, false, extra, &e->allphone);
        if (st < PZ_OK)
            return st;
    }
    current_log = e->log;
    PZ_TRY(listen(e, e->allphone, samples, n));
    PZ_TRY(take_path(e->allphone, NULL, NULL, n, path));
    path->complete = path->n > 0;
    st = PZ_OK;
fail:
    current_log = NULL;
    if (st < PZ_OK)
        pz_ears_path_free(path);
    return st;
}
