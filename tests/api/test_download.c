// Downloads against a small server of our own: whole, resumed after a broken line, refused, changed, and what
// is kept.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/download.h"
#include "base/file.h"
#include "base/hash.h"

enum { N = 300000 };

static struct server {
    int fd, port;
    pthread_t thread;
    char body[N];
    int break_after;    /* bytes sent before the line breaks; 0 = never */
    int breaks;         /* how often it still breaks */
    bool ranges, page;  /* continues files; sends a web page */
    int answer;         /* status sent instead, 0 = as asked */
    int requests, last; /* how many; where the last began */
} srv;

static char folder[128], path[200], part[220], url[64];
static int64_t most;

static void reply(int c)
{
    char ask[2048] = "", head[256];
    ssize_t got = recv(c, ask, sizeof ask - 1, 0);
    const char *range = got > 0 ? strstr(ask, "Range: bytes=") : NULL;
    int from = range && srv.ranges ? atoi(range + 13) : 0;
    srv.requests++;
    srv.last = from;
    if (srv.answer || from >= N) {
        snprintf(head, sizeof head, "HTTP/1.1 %d No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                 srv.answer ? srv.answer : 416);
        (void)!send(c, head, strlen(head), MSG_NOSIGNAL);
        return;
    }
    if (srv.page) {
        const char *page =
            "HTTP/1.1 200 OK\r\nContent-Length: 22\r\nConnection: close\r\n\r\n<!DOCTYPE html><html/>";
        (void)!send(c, page, strlen(page), MSG_NOSIGNAL);
        return;
    }
    if (from)
        snprintf(head, sizeof head,
                 "HTTP/1.1 206 Part\r\nContent-Range: bytes %d-%d/%d\r\nContent-Length: %d\r\nConnection: "
                 "close\r\n\r\n",
                 from, N - 1, N, N - from);
    else
        snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n", N);
    (void)!send(c, head, strlen(head), MSG_NOSIGNAL);
    int end = N;
    if (srv.breaks > 0 && srv.break_after) {
        srv.breaks--;
        end = from + srv.break_after < N ? from + srv.break_after : N;
    }
    for (ssize_t n = 0; from < end && n >= 0; from += (int)n)
        n = send(c, srv.body + from, (size_t)(end - from), MSG_NOSIGNAL);
}

static void *serve(void *unused)
{
    (void)unused;
    for (int c; (c = accept(srv.fd, NULL, NULL)) >= 0; close(c))
        reply(c);
    return NULL;
}

static int set_up(void **state)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/pz-download-%d", (int)getpid());
    snprintf(path, sizeof path, "%s/deep/file.bin", folder);
    snprintf(part, sizeof part, "%s.part", path);
    for (int i = 0; i < N; i++)
        srv.body[i] = (char)(i * 2654435761u >> 24);
    srv.fd = socket(AF_INET, SOCK_STREAM, 0);
    if (srv.fd < 0 || bind(srv.fd, (struct sockaddr *)&a, sizeof a) || listen(srv.fd, 4) ||
        getsockname(srv.fd, (struct sockaddr *)&a, &n) || pthread_create(&srv.thread, NULL, serve, NULL))
        return -1;
    snprintf(url, sizeof url, "http://127.0.0.1:%d/file.bin", ntohs(a.sin_port));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    shutdown(srv.fd, SHUT_RDWR);
    close(srv.fd);
    pthread_join(srv.thread, NULL);
    pz_remove_tree(folder);
    return 0;
}

static int fresh(void **state)
{
    (void)state;
    unlink(path);
    unlink(part);
    srv.break_after = srv.breaks = srv.answer = srv.requests = srv.last = 0;
    srv.ranges = true;
    srv.page = false;
    most = 0;
    return 0;
}

static void progress(void *user, const char *stage, int64_t done, int64_t total)
{
    (void)user;
    assert_string_equal(stage, "download");
    assert_true(done >= most || done <= total);
    most = done;
}

static bool stop(void *user)
{
    (void)user;
    return most > 0;
}

static char *right_hash(void)
{
    static char sha[65];
    struct pz_sha256 s;
    pz_sha256_init(&s);
    pz_sha256_update(&s, srv.body, N);
    pz_sha256_hex(&s, sha);
    return sha;
}

static void holds_the_body(void)
{
    char *data;
    size_t n;
    assert_int_equal(pz_file_read(NULL, path, 1 << 20, &data, &n), PZ_OK);
    assert_int_equal(n, N);
    assert_memory_equal(data, srv.body, N);
    free(data);
    assert_false(pz_file_exists(part));
}

static void whole(void **state)
{
    struct pz_job job = {.progress = progress};
    struct pz_download d = {.url = url, .path = path, .n_bytes = N, .sha256 = right_hash()};
    (void)state;
    assert_int_equal(pz_download_file(&d, &job), PZ_OK);
    holds_the_body();
    assert_int_equal(most, N);
    assert_int_equal(srv.requests, 1);
}

static void a_broken_line_is_continued(void **state)
{
    char first[11] = "";
    memcpy(first, right_hash(), 10);
    struct pz_download d = {.url = url, .path = path, .sha256 = first}; // some digits are enough
    (void)state;
    srv.break_after = 100000;
    srv.breaks = 2;
    assert_int_equal(pz_download_file(&d, NULL), PZ_OK);
    holds_the_body();
    assert_int_equal(srv.requests, 3);
    assert_int_equal(srv.last, 200000);
}

static void a_later_call_continues_too(void **state)
{
    struct pz_job job = {.progress = progress, .cancelled = stop};
    struct pz_download d = {.url = url, .path = path, .n_bytes = N, .sha256 = right_hash()};
    struct stat sb;
    (void)state;
    srv.break_after = 50000;
    srv.breaks = 1;
    assert_int_equal(pz_download_file(&d, &job), PZ_ERR_CANCELLED);
    assert_false(pz_file_exists(path));
    assert_int_equal(stat(part, &sb), 0);
    assert_true(sb.st_size > 0 && sb.st_size <= N);
    assert_int_equal(pz_download_file(&d, NULL), PZ_OK);
    assert_int_equal(srv.last, sb.st_size);
    holds_the_body();
}

static void a_server_that_does_not_continue_starts_again(void **state)
{
    struct pz_download d = {.url = url, .path = path, .n_bytes = N, .sha256 = right_hash()};
    (void)state;
    srv.ranges = false;
    srv.break_after = 100000;
    srv.breaks = 1;
    assert_int_equal(pz_download_file(&d, NULL), PZ_OK);
    holds_the_body();
    // And a part of another file, longer than this one.
    unlink(path);
    srv.ranges = true;
    FILE *f = fopen(part, "wb");
    assert_non_null(f);
    assert_int_equal(ftruncate(fileno(f), N + 5), 0);
    fclose(f);
    assert_int_equal(pz_download_file(&d, NULL), PZ_OK);
    holds_the_body();
}

static void what_is_wrong_is_not_kept(void **state)
{
    struct pz_download d = {.url = url, .path = path, .n_bytes = N + 1};
    char bad[65];
    (void)state;
    assert_int_equal(pz_download_file(&d, NULL), PZ_ERR_WEIGHTS); // size
    assert_false(pz_file_exists(part));
    d.n_bytes = 0;
    memcpy(bad, right_hash(), sizeof bad);
    bad[3] = bad[3] == '0' ? '1' : '0';
    d.sha256 = bad;
    assert_int_equal(pz_download_file(&d, NULL), PZ_ERR_WEIGHTS);
    d.sha256 = NULL;
    srv.page = true;
    assert_int_equal(pz_download_file(&d, NULL), PZ_ERR_INPUT);
    srv.page = false;
    srv.answer = 404;
    srv.requests = 0;
    assert_int_equal(pz_download_file(&d, NULL), PZ_ERR_INPUT);
    assert_int_equal(srv.requests, 1); // no use in asking again
    srv.answer = 503;
    assert_int_equal(pz_download_file(&d, NULL), PZ_ERR_INPUT);
    assert_int_equal(srv.requests, 5);
    assert_false(pz_file_exists(path));
    d.url = "file:///etc/hostname";
    assert_int_equal(pz_download_file(&d, NULL), PZ_ERR_INPUT);
    d.url = url;
    d.path = "/proc/nowhere/file";
    assert_int_equal(pz_download_file(&d, NULL), PZ_ERR_WRITE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(whole, fresh),
        cmocka_unit_test_setup(a_broken_line_is_continued, fresh),
        cmocka_unit_test_setup(a_later_call_continues_too, fresh),
        cmocka_unit_test_setup(a_server_that_does_not_continue_starts_again, fresh),
        cmocka_unit_test_setup(what_is_wrong_is_not_kept, fresh),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
