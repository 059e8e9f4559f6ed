/* Signals by a pipe: the handler writes a byte, a thread reads it and acts, so that nothing unsafe runs in a
 * handler. */
#include "cli/interrupt.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "personalize.h"

static atomic_bool interrupted;
static int wake[2] = {-1, -1};
static const char *watched_output;

static void handler(int number)
{
    int saved = errno;
    ssize_t n = write(wake[1], "", 1);
    (void)n; /* the pipe is full only when thousands of signals wait already */
    errno = saved;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    remove(path);
    return 0;
}

void pz_cli_remove_temporaries(const char *output, long pid)
{
    const char *slash = strrchr(output, '/');
    /* A folder given with a slash at the end ("x.pzt/") has its temporary beside it, not in it. */
    while (slash && slash > output && !slash[1]) {
        const char *p = slash;
        while (p > output && p[-1] != '/')
            p--;
        slash = p > output ? p - 1 : NULL;
    }
    size_t n = slash ? (size_t)(slash - output) + 1 : 0;
    char *dir = n ? strndup(output, n) : strdup("./");
    DIR *d = dir ? opendir(dir) : NULL;
    char mark[48];
    snprintf(mark, sizeof mark, ".pz-%ld-", pid);
    for (struct dirent *e; d && (e = readdir(d));) {
        const char *at = e->d_name[0] == '.' ? strstr(e->d_name, mark) : NULL;
        size_t length = strlen(e->d_name);
        if (!at || length < 5 || strcmp(e->d_name + length - 4, ".tmp"))
            continue;
        char path[4096];
        if (snprintf(path, sizeof path, "%s%s", dir, e->d_name) < (int)sizeof path)
            nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    }
    if (d)
        closedir(d);
    free(dir);
}

static void *watch(void *unused)
{
    for (int count = 0;;) {
        char c;
        ssize_t n = read(wake[0], &c, 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return NULL;
        atomic_store(&interrupted, true);
        if (++count < 2)
            continue;
        if (watched_output)
            pz_cli_remove_temporaries(watched_output, (long)getpid());
        _exit(PZ_RESULT_CANCELLED);
    }
}

bool pz_cli_interrupt_start(const char *output)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction act = {.sa_handler = handler, .sa_flags = SA_RESTART};
    pthread_t thread;
    watched_output = output;
    if (pipe2(wake, O_CLOEXEC) != 0)
        return false;
    int rc = pthread_create(&thread, NULL, watch, NULL);
    if (rc != 0) {
        errno = rc;
        return false;
    }
    pthread_detach(thread);
    sigemptyset(&act.sa_mask);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct sigaction old;
        /* A signal ignored from outside (nohup, a background job of a script) stays ignored. */
        if (sigaction(numbers[i], NULL, &old) != 0 || old.sa_handler == SIG_IGN)
            continue;
        if (sigaction(numbers[i], &act, NULL) != 0)
            return false;
    }
    return true;
}

bool pz_cli_interrupted(void)
{
    return atomic_load(&interrupted);
}
