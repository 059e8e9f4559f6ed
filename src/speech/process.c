// Programs as voices: posix_spawn, no shell. stdin is a socket, because writing to a program that has stopped
// reading must be an error, not a signal that kills our caller.
#include "speech/process.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

extern char **environ;

#define STDERR_KEPT 512

struct child {
    pid_t pid;
    int in, out, err; /* our ends, −1 = closed */
};

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/** A pipe or socket pair whose ends vanish in other programs we may start meanwhile. */
static int channel(int fd[2], bool socket)
{
    if (socket)
        return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd);
    return pipe2(fd, O_CLOEXEC);
}

static enum pz_status start(const char *const *argv, const char *label, struct pz_log *log, struct child *c)
{
    int in[2] = {-1, -1}, out[2] = {-1, -1}, err[2] = {-1, -1}, rc;
    posix_spawn_file_actions_t fa;
    posix_spawnattr_t attr;
    sigset_t none;
    enum pz_status st = PZ_OK;

    if (channel(in, true) || channel(out, false) || channel(err, false)) {
        st = pz_fail(log, PZ_ERR_INTERNAL, "%s: no pipe: %s", label, strerror(errno));
        goto fail;
    }
    posix_spawn_file_actions_init(&fa);
    posix_spawn_file_actions_adddup2(&fa, in[1], 0);
    posix_spawn_file_actions_adddup2(&fa, out[1], 1);
    posix_spawn_file_actions_adddup2(&fa, err[1], 2);
    posix_spawnattr_init(&attr);
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setpgroup(&attr, 0);
    posix_spawnattr_setflags(&attr,
                             POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP); // own group: killed whole
    rc = posix_spawnp(&c->pid, argv[0], &fa, &attr, (char *const *)argv, environ);
    posix_spawn_file_actions_destroy(&fa);
    posix_spawnattr_destroy(&attr);
    if (rc) {
        st = pz_fail(log, PZ_ERR_UNSUPPORTED, "%s: %s cannot be run: %s", label, argv[0], strerror(rc));
        goto fail;
    }
    *c = (struct child){.pid = c->pid, .in = in[0], .out = out[0], .err = err[0]};
    in[0] = out[0] = err[0] = -1;
fail:
    for (int k = 0; k < 2; k++) {
        close_fd(&in[k]);
        close_fd(&out[k]);
        close_fd(&err[k]);
    }
    return st;
}

/** Move bytes until the program closes its output. `tail` keeps the start of its stderr. */
static enum pz_status talk(struct child *c, const char *in, size_t in_n, size_t max_out, double deadline,
                           const struct pz_job *job, uint8_t **out, size_t *n, char tail[STDERR_KEPT],
                           const char **why)
{
    size_t cap = 0, tail_n = 0, sent = 0;

    while (c->out >= 0 || c->err >= 0) {
        struct pollfd p[3] = {{.fd = c->in, .events = POLLOUT},
                              {.fd = c->out, .events = POLLIN},
                              {.fd = c->err, .events = POLLIN}};
        char trash[4096];
        ssize_t k;

        if (pz_job_cancelled(job))
            return PZ_ERR_CANCELLED;
        if (pz_now() > deadline) {
            *why = "took too long";
            return PZ_ERR_INTERNAL;
        }
        if (sent == in_n)
            close_fd(&c->in);
        p[0].fd = c->in;
        if (poll(p, 3, 100) < 0 && errno != EINTR) {
            *why = strerror(errno);
            return PZ_ERR_INTERNAL;
        }
        if (c->in >= 0 && (p[0].revents & (POLLOUT | POLLERR | POLLHUP))) {
            k = send(c->in, in + sent, in_n - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (k > 0)
                sent += (size_t)k;
            else if (k < 0 && errno != EAGAIN && errno != EINTR)
                sent = in_n; // it does not read: its exit code will tell
        }
        if (c->out >= 0 && p[1].revents) {
            if (*n + sizeof trash + 1 > cap) {
                size_t want = cap ? cap * 2 : 1 << 16;
                void *m = *out ? pz_regrow(*out, cap, want, 1) : pz_calloc(want, 1);

                if (!m)
                    return PZ_ERR_NOMEM;
                *out = m;
                cap = want;
            }
            k = read(c->out, *out + *n, sizeof trash);
            if (k > 0)
                *n += (size_t)k;
            else if (k == 0 || errno != EINTR)
                close_fd(&c->out);
            if (*n > max_out) {
                *why = "wrote too much";
                return PZ_ERR_INTERNAL;
            }
        }
        if (c->err >= 0 && p[2].revents) {
            k = read(c->err, trash, sizeof trash);
            for (ssize_t i = 0; i < k && tail_n + 1 < STDERR_KEPT; i++)
                tail[tail_n++] = isprint((unsigned char)trash[i]) ? trash[i] : ' ';
            if (k == 0 || (k < 0 && errno != EINTR))
                close_fd(&c->err);
        }
    }
    return PZ_OK;
}

/** Wait for the exit, at most to the deadline, then kill. */
static int reap(const struct child *c, double deadline, bool now)
{
    int status = -1;

    if (now)
        kill(-c->pid, SIGKILL);
    for (;;) {
        pid_t got = waitpid(c->pid, &status, now ? 0 : WNOHANG);

        if (got == c->pid || (got < 0 && errno != EINTR))
            break;
        if (got == 0 && pz_now() > deadline) {
            kill(-c->pid, SIGKILL);
            now = true;
        } else if (got == 0) {
            poll(NULL, 0, 5);
        }
    }
    return status;
}

enum pz_status pz_process_run(const char *const *argv, const char *label, const char *in, size_t in_n,
                              size_t max_out, double limit_s, const struct pz_job *job, uint8_t **out,
                              size_t *n)
{
    struct pz_log *log = job ? job->log : NULL;
    struct child c = {.pid = -1, .in = -1, .out = -1, .err = -1};
    char tail[STDERR_KEPT] = "";
    const char *why = NULL;
    double deadline = pz_now() + limit_s;
    enum pz_status st;
    int status;

    *out = NULL;
    *n = 0;
    st = start(argv, label, log, &c);
    if (st < PZ_OK)
        return st;
    st = talk(&c, in, in_n, max_out, deadline, job, out, n, tail, &why);
    close_fd(&c.in);
    close_fd(&c.out);
    close_fd(&c.err);
    status = reap(&c, deadline, st < PZ_OK);
    if (st == PZ_OK && !(WIFEXITED(status) && WEXITSTATUS(status) == 0)) {
        bool exited = WIFEXITED(status);

        st = pz_fail(log, PZ_ERR_INTERNAL, "%s: %s ended with %s %d: %.200s", label, argv[0],
                     exited ? "exit code" : "signal", exited ? WEXITSTATUS(status) : WTERMSIG(status),
                     tail[0] ? tail : "(no message)");
    } else if (st == PZ_ERR_INTERNAL) {
        st = pz_fail(log, st, "%s: %s %s", label, argv[0], why ? why : "failed");
    }
    if (st == PZ_OK && *out)
        (*out)[*n] = 0;
    if (st < PZ_OK) {
        pz_free(*out);
        *out = NULL;
        *n = 0;
    }
    return st;
}

bool pz_process_split(const char *line, char *store, size_t store_n, const char **argv, int max)
{
    int n = 0;
    size_t k = 0;

    while (*line) {
        char quote = 0;

        while (isspace((unsigned char)*line))
            line++;
        if (!*line)
            break;
        if (n + 1 >= max)
            return false;
        argv[n++] = store + k;
        for (; *line && (quote || !isspace((unsigned char)*line)); line++) {
            if (quote ? *line == quote : *line == '"' || *line == '\'') {
                quote = quote ? 0 : *line;
                continue;
            }
            if (k + 2 > store_n)
                return false;
            store[k++] = *line;
        }
        if (quote || k + 1 > store_n)
            return false;
        store[k++] = 0;
    }
    argv[n] = NULL;
    return n > 0;
}
