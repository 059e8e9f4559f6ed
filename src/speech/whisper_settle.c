// Words after the warping: too long ones are shortened, punctuation joins its word, words and segments agree
// about where they begin and end. Source: spec/whisper.md §9.6.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/order.h"
#include "speech/whisper_times.h"

#define SENTENCE_ENDS ".。!！?？"
#define BEFORE "\"'“¿([{-"
#define AFTER "\"'.。,，!！?？:：”)]}、"
#define MEDIAN_MOST 0.7
#define SIDE 0.5 /* seconds by which a segment must differ from its word to be right */

static bool among(const char *word, const char *marks)
{
    return strstr(marks, word) != NULL;
}

static void stripped(const char *s, char out[96])
{
    size_t n;
    while (*s == ' ' || (*s >= 9 && *s <= 13))
        s++;
    n = strlen(s);
    while (n && (s[n - 1] == ' ' || (s[n - 1] >= 9 && s[n - 1] <= 13)))
        n--;
    memcpy(out, s, n);
    out[n] = 0;
}

/* Median of the durations that are not zero, 0 without any; at most MEDIAN_MOST. */
static double median_duration(const struct pz_whisper_word *w, int n)
{
    double *d = pz_calloc((size_t)n + 1, sizeof *d), m = 0;
    int k = 0;
    for (int i = 0; d && i < n; i++)
        if (w[i].end != w[i].start)
            d[k++] = w[i].end - w[i].start;
    if (k) {
        qsort(d, (size_t)k, sizeof *d, pz_by_double);
        m = k % 2 ? d[k / 2] : (d[k / 2 - 1] + d[k / 2]) / 2;
    }
    pz_free(d);
    return m < MEDIAN_MOST ? m : MEDIAN_MOST;
}

static void shorten(struct pz_whisper_word *w, int n, double most)
{
    for (int i = 1; i < n && most > 0; i++) {
        if (!(w[i].end - w[i].start > most))
            continue;
        if (among(w[i].text, SENTENCE_ENDS))
            w[i].end = w[i].start + most;
        else if (among(w[i - 1].text, SENTENCE_ENDS))
            w[i].start = w[i].end - most;
    }
}

/* `b` behind `a`, into `to` (which may be either); the other one becomes empty. */
static void join(struct pz_whisper_word *to, struct pz_whisper_word *a, struct pz_whisper_word *b)
{
    char text[sizeof a->text];
    int n = a->n_tokens + b->n_tokens;
    size_t la = strlen(a->text), lb = strlen(b->text);
    if (la + lb >= sizeof text)
        return;
    memcpy(text, a->text, la);
    memcpy(text + la, b->text, lb + 1);
    a->text[0] = b->text[0] = 0;
    a->n_tokens = b->n_tokens = 0;
    memcpy(to->text, text, la + lb + 1);
    to->n_tokens = n;
}

static void join_marks(struct pz_whisper_word *w, int n)
{
    for (int i = n - 2, j = n - 1; i >= 0; i--) {
        char mark[96];
        stripped(w[i].text, mark);
        if (w[i].text[0] == ' ' && among(mark, BEFORE))
            join(&w[j], &w[i], &w[j]);
        else
            j = i;
    }
    for (int i = 0, j = 1; j < n; j++) {
        size_t len = strlen(w[i].text);
        if (!(len && w[i].text[len - 1] == ' ') && among(w[j].text, AFTER))
            join(&w[i], &w[i], &w[j]);
        else
            i = j;
    }
}

static double cents(double s)
{
    return rint(s * 100) / 100;
}

/* The first words after a pause, and the segment's own edges. */
static void edges(struct pz_whisper_word *w, int n, struct pz_whisper_segment *s, double last_speech,
                  double median)
{
    double most = 2 * median;
    if (w[0].end - last_speech > 4 * median &&
        (w[0].end - w[0].start > most || (n > 1 && w[1].end - w[0].start > 2 * most))) {
        if (n > 1 && w[1].end - w[1].start > most)
            w[0].end = w[1].start = fmax(w[1].end / 2, w[1].end - most);
        w[0].start = fmax(0, w[0].end - most);
    }
    if (s->start < w[0].end && s->start - SIDE > w[0].start)
        w[0].start = fmax(0, fmin(w[0].end - median, s->start));
    else
        s->start = w[0].start;
    if (s->end > w[n - 1].start && s->end + SIDE < w[n - 1].end)
        w[n - 1].end = fmax(w[n - 1].start + median, s->end);
    else
        s->end = w[n - 1].end;
}

void pz_whisper_words_settle(struct pz_whisper_words *words, int first, double window_start,
                             struct pz_whisper_segment *segments, int n_segments, double last_speech)
{
    struct pz_whisper_word *w = words->items + first;
    int n = words->n - first, at = 0, kept = 0;
    double median = n > 0 ? median_duration(w, n) : 0;
    if (n > 0) {
        shorten(w, n, 2 * median);
        join_marks(w, n);
    }
    for (int k = 0; k < n_segments; k++) {
        struct pz_whisper_segment *s = &segments[k];
        int tokens = 0;
        s->first_word = first + kept;
        for (; at < n && tokens < s->n_tokens; at++) {
            tokens += w[at].n_tokens;
            if (!w[at].text[0])
                continue;
            w[kept] = w[at];
            w[kept].start = cents(window_start + w[kept].start);
            w[kept].end = cents(window_start + w[kept].end);
            kept++;
        }
        s->n_words = first + kept - s->first_word;
        if (s->n_words > 0) {
            edges(words->items + s->first_word, s->n_words, s, last_speech, median);
            last_speech = s->end;
        }
    }
    words->n = first + kept;
}
