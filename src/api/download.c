/* Downloads on libcurl: one file at a time, resumed by byte ranges. No mirrors, no parallel pieces, no
 * credentials. */
#include "api/download.h"

#include <curl/curl.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"

#define TRIES 4

struct transfer {
    const struct pz_download *d;
    const struct pz_job *job;
    FILE *file;
    int64_t have; /* bytes in the part before this try */
    bool disk;    /* writing failed */
    char text[CURL_ERROR_SIZE];
};

static size_t take(char *data, size_t size, size_t n, void *user)
{
    struct transfer *t = user;
    size_t put = fwrite(data, size, n, t->file);
    t->disk = put != n;
    return put * size;
}

static int watch(void *user, curl_off_t total, curl_off_t now, curl_off_t up_total, curl_off_t up_now)
{
    struct transfer *t = user;
    int64_t all = t->d->n_bytes ? t->d->n_bytes : total > 0 ? t->have + total : 0;
    if (now > 0)
        pz_job_progress(t->job, "download", t->have + now, all);
    return pz_job_cancelled(t->job);
}

/* One try, from where the part ends. */
static CURLcode try_once(struct transfer *t, long *answer)
{
    CURL *c = curl_easy_init();
    if (!c)
        return CURLE_OUT_OF_MEMORY;
    fseeko(t->file, 0, SEEK_END);
    t->have = ftello(t->file);
    t->text[0] = '\0';
    curl_easy_setopt(c, CURLOPT_URL, t->d->url);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(c, CURLOPT_MAXREDIRS, 8L);
    curl_easy_setopt(c, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, 30L);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 100L);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, 60L);
    curl_easy_setopt(c, CURLOPT_USERAGENT, "personalize/" PZ_VERSION);
    curl_easy_setopt(c, CURLOPT_RESUME_FROM_LARGE, (curl_off_t)t->have);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, watch);
    curl_easy_setopt(c, CURLOPT_XFERINFODATA, t);
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, t->text);
    CURLcode code = curl_easy_perform(c);
    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, answer);
    curl_easy_cleanup(c);
    if (fflush(t->file) != 0)
        t->disk = true;
    return code;
}

/* Errors that another try may mend. */
static bool passing(CURLcode code, long answer)
{
    return code == CURLE_PARTIAL_FILE || code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR ||
           code == CURLE_GOT_NOTHING || code == CURLE_OPERATION_TIMEDOUT || code == CURLE_COULDNT_CONNECT ||
           (code == CURLE_HTTP_RETURNED_ERROR && (answer == 429 || answer >= 500));
}

static enum pz_status fetch(struct transfer *t)
{
    struct pz_log *log = t->job ? t->job->log : NULL;
    bool afresh = false;
    for (int i = 0; i < TRIES; i++) {
        long answer = 0;
        CURLcode code = try_once(t, &answer);
        // 416: the server has no bytes behind the part, which is then whole, or of another file. libcurl
        // calls it success.
        bool nothing_more = answer == 416 && t->have > 0;
        if (nothing_more ? t->have == t->d->n_bytes : code == CURLE_OK)
            return PZ_OK;
        if (t->disk)
            return pz_fail(log, PZ_ERR_WRITE, "'%s.part' cannot be written: %s", t->d->path, strerror(errno));
        if (code == CURLE_ABORTED_BY_CALLBACK)
            return PZ_ERR_CANCELLED;
        if (code == CURLE_OUT_OF_MEMORY)
            return pz_fail(log, PZ_ERR_NOMEM, "no memory for a download");
        if (t->have > 0 && !afresh && (code == CURLE_RANGE_ERROR || nothing_more)) {
            // The server does not continue files, or the part does not belong to this one: once from the
            // start.
            afresh = true;
            if (ftruncate(fileno(t->file), 0) != 0)
                return pz_fail(log, PZ_ERR_WRITE, "'%s.part' cannot be emptied: %s", t->d->path,
                               strerror(errno));
        } else if (i + 1 == TRIES || !passing(code, answer)) {
            return pz_fail(log, PZ_ERR_INPUT, "%s: %s", t->d->url,
                           t->text[0] ? t->text : curl_easy_strerror(code));
        }
    }
    return pz_fail(log, PZ_ERR_INPUT, "%s: the server does not finish", t->d->url);
}

/* Size, hash, and not the page of a server that has no such file. */
static enum pz_status check(const struct pz_download *d, const char *part, struct pz_log *log)
{
    char sha[65], head[16] = "";
    FILE *f = fopen(part, "rb");
    int64_t size = -1;
    if (f) {
        (void)!fread(head, 1, sizeof head - 1, f);
        fseeko(f, 0, SEEK_END);
        size = ftello(f);
        fclose(f);
    }
    if (strncasecmp(head, "<!doctype", 9) == 0 || strncasecmp(head, "<html", 5) == 0)
        return pz_fail(log, PZ_ERR_INPUT,
                       "%s gave a web page, not the file; fetch it by hand and use `models add`", d->url);
    if (size < 0 || (d->n_bytes && size != d->n_bytes))
        return pz_fail(log, PZ_ERR_WEIGHTS, "%s has %lld bytes, %lld were expected", d->url, (long long)size,
                       (long long)d->n_bytes);
    if (!d->sha256)
        return PZ_OK;
    enum pz_status st = pz_sha256_file(log, part, sha);
    if (st >= PZ_OK && strncmp(sha, d->sha256, strlen(d->sha256)) != 0)
        st = pz_fail(log, PZ_ERR_WEIGHTS, "%s has SHA-256 %s, %s was expected", d->url, sha, d->sha256);
    return st;
}

static enum pz_status open_part(struct transfer *t, const char *part)
{
    struct pz_log *log = t->job ? t->job->log : NULL;
    char *dir = pz_strdup(t->d->path), *slash = dir ? strrchr(dir, '/') : NULL;
    enum pz_status st = dir ? PZ_OK : pz_fail(log, PZ_ERR_NOMEM, "no memory for a download");
    if (slash && slash != dir) {
        *slash = '\0';
        st = pz_make_dirs(log, dir);
    }
    pz_free(dir);
    if (st < PZ_OK)
        return st;
    t->file = fopen(part, "ab");
    if (!t->file)
        return pz_fail(log, PZ_ERR_WRITE, "'%s' cannot be written: %s", part, strerror(errno));
    if (flock(fileno(t->file), LOCK_EX | LOCK_NB) != 0)
        return pz_fail(log, PZ_ERR_WRITE, "'%s' is being downloaded already", t->d->path);
    return PZ_OK;
}

enum pz_status pz_download_file(const struct pz_download *d, const struct pz_job *job)
{
    enum pz_status st = PZ_OK;
    struct pz_log *log = job ? job->log : NULL;
    struct transfer t = {.d = d, .job = job};
    char *part = pz_asprintf("%s.part", d->path);
    if (!part)
        return pz_fail(log, PZ_ERR_NOMEM, "no memory for a download");
    PZ_TRY(open_part(&t, part));
    PZ_TRY(fetch(&t));
    st = check(d, part, log);
    if (st == PZ_ERR_WEIGHTS || st == PZ_ERR_INPUT)
        unlink(part);
    if (st < PZ_OK)
        goto fail;
    st = pz_commit_file(log, part, d->path);
fail:
    if (t.file)
        fclose(t.file);
    pz_free(part);
    return st;
}
