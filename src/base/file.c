/* Files: bounded reads, maps, atomic writes. Does not know formats. */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

enum pz_status pz_file_read(struct pz_log *log, const char *path, size_t max_bytes, char **data, size_t *n)
{
    *data = NULL;
    *n = 0;
    FILE *f = fopen(path, "rb");
    if (!f)
        return pz_fail(log, PZ_ERR_INPUT, "cannot open '%s': %s", path, strerror(errno));
    struct stat sb;
    if (fstat(fileno(f), &sb) != 0 || !S_ISREG(sb.st_mode)) {
        fclose(f);
        return pz_fail(log, PZ_ERR_INPUT, "'%s' is not a regular file", path);
    }
    if ((uint64_t)sb.st_size > max_bytes) {
        fclose(f);
        return pz_fail(log, PZ_ERR_INPUT, "'%s' is too large: %lld bytes, at most %zu are read", path,
                       (long long)sb.st_size, max_bytes);
    }
    size_t want = (size_t)sb.st_size;
    char *buf = pz_calloc(want + 1, 1);
    if (!buf) {
        fclose(f);
        return pz_fail(log, PZ_ERR_NOMEM, "no memory to read '%s'", path);
    }
    size_t got = fread(buf, 1, want, f);
    bool bad = ferror(f) != 0;
    fclose(f);
    if (bad || got != want) {
        pz_free(buf);
        return pz_fail(log, PZ_ERR_INPUT, "'%s' could not be read to its end", path);
    }
    *data = buf;
    *n = got;
    return PZ_OK;
}

enum pz_status pz_map_open(struct pz_log *log, const char *path, struct pz_map *map)
{
    *map = (struct pz_map){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return pz_fail(log, PZ_ERR_INPUT, "cannot open '%s': %s", path, strerror(errno));
    struct stat sb;
    if (fstat(fd, &sb) != 0 || !S_ISREG(sb.st_mode)) {
        close(fd);
        return pz_fail(log, PZ_ERR_INPUT, "'%s' is not a regular file", path);
    }
    if (sb.st_size > 0) {
        void *p = mmap(NULL, (size_t)sb.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED) {
            close(fd);
            return pz_fail(log, PZ_ERR_INPUT, "cannot map '%s': %s", path, strerror(errno));
        }
        map->data = p;
        map->n_bytes = (size_t)sb.st_size;
    }
    close(fd);
    return PZ_OK;
}

void pz_map_close(struct pz_map *map)
{
    if (map && map->data)
        munmap((void *)(uintptr_t)map->data, map->n_bytes);
    if (map)
        *map = (struct pz_map){0};
}

char *pz_temp_name(const char *path)
{
    static atomic_uint serial; /* only makes names distinct; no behaviour hangs on its value */
    const char *slash = strrchr(path, '/');
    int dir = slash ? (int)(slash - path) + 1 : 0;
    return pz_asprintf("%.*s.%s.pz-%ld-%u.tmp", dir, path, path + dir, (long)getpid(),
                       atomic_fetch_add(&serial, 1));
}

enum pz_status pz_commit_file(struct pz_log *log, const char *tmp, const char *path)
{
    int fd = open(tmp, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return pz_fail(log, PZ_ERR_WRITE, "cannot reopen '%s': %s", tmp, strerror(errno));
    int rc = fsync(fd);
    int err = errno;
    close(fd);
    if (rc == 0) {
        rc = rename(tmp, path);
        err = errno;
    }
    if (rc != 0) {
        unlink(tmp);
        return pz_fail(log, PZ_ERR_WRITE, "cannot write '%s': %s", path, strerror(err));
    }
    return PZ_OK;
}

/* A nameless file in the folder of `path`, or -1 where there can be none. */
static int open_nameless(const char *path)
{
#ifdef O_TMPFILE
    const char *slash = strrchr(path, '/');
    char *dir = slash ? pz_asprintf("%.*s", (int)(slash - path) + 1, path) : pz_strdup(".");
    int fd = dir ? open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0666) : -1;
    pz_free(dir);
    return fd;
#else
    return -1;
#endif
}

enum pz_status pz_unnamed_open(struct pz_log *log, const char *path, struct pz_unnamed *u)
{
    *u = (struct pz_unnamed){.fd = open_nameless(path), .path = pz_strdup(path)};
    if (u->fd >= 0) {
        u->writer = pz_asprintf("/proc/self/fd/%d", u->fd);
        if (u->writer && access(u->writer, W_OK) != 0) { /* no /proc here: nobody could open it */
            close(u->fd);
            u->fd = -1;
            pz_free(u->writer);
            u->writer = NULL;
        }
    }
    if (u->fd < 0)
        u->writer = pz_temp_name(path);
    if (u->path && u->writer)
        return PZ_OK;
    pz_unnamed_close(u);
    return pz_fail(log, PZ_ERR_NOMEM, "no memory to write '%s'", path);
}

enum pz_status pz_unnamed_commit(struct pz_log *log, struct pz_unnamed *u)
{
    if (u->fd < 0)
        return pz_commit_file(log, u->writer, u->path);
    /* A link cannot replace a file, a rename can: the complete file bears a temporary name for an instant. */
    char *tmp = pz_temp_name(u->path);
    if (!tmp)
        return pz_fail(log, PZ_ERR_NOMEM, "no memory to write '%s'", u->path);
    enum pz_status st = PZ_OK;
    if (fsync(u->fd) != 0 || linkat(AT_FDCWD, u->writer, AT_FDCWD, tmp, AT_SYMLINK_FOLLOW) != 0) {
        st = pz_fail(log, PZ_ERR_WRITE, "cannot write '%s': %s", u->path, strerror(errno));
    } else if (rename(tmp, u->path) != 0) {
        st = pz_fail(log, PZ_ERR_WRITE, "cannot write '%s': %s", u->path, strerror(errno));
        unlink(tmp);
    }
    pz_free(tmp);
    return st;
}

void pz_unnamed_close(struct pz_unnamed *u)
{
    if (u->fd >= 0)
        close(u->fd);
    else if (u->writer)
        unlink(u->writer); /* after a commit there is nothing of that name */
    pz_free(u->writer);
    pz_free(u->path);
    *u = (struct pz_unnamed){.fd = -1};
}

enum pz_status pz_file_write(struct pz_log *log, const char *path, const void *data, size_t n)
{
    char *tmp = pz_temp_name(path);
    if (!tmp)
        return pz_fail(log, PZ_ERR_NOMEM, "no memory to write '%s'", path);
    enum pz_status st = PZ_OK;
    FILE *f = fopen(tmp, "wb");
    if (!f) {
        st = pz_fail(log, PZ_ERR_WRITE, "cannot write '%s': %s", path, strerror(errno));
        pz_free(tmp);
        return st;
    }
    bool bad = fwrite(data, 1, n, f) != n;
    int err = errno;
    if (fclose(f) != 0) {
        bad = true;
        err = errno;
    }
    if (bad) {
        unlink(tmp);
        st = pz_fail(log, PZ_ERR_WRITE, "cannot write '%s': %s", path, strerror(err));
    } else {
        st = pz_commit_file(log, tmp, path);
    }
    pz_free(tmp);
    return st;
}

enum pz_status pz_make_dirs(struct pz_log *log, const char *path)
{
    char *p = pz_strdup(path);
    if (!p)
        return pz_fail(log, PZ_ERR_NOMEM, "no memory to make folder '%s'", path);
    for (char *s = p + 1;; s++) {
        if (*s != '/' && *s != '\0')
            continue;
        char c = *s;
        *s = '\0';
        if (mkdir(p, 0777) != 0 && errno != EEXIST) {
            enum pz_status st = pz_fail(log, PZ_ERR_WRITE, "cannot make folder '%s': %s", p, strerror(errno));
            pz_free(p);
            return st;
        }
        *s = c;
        if (c == '\0')
            break;
    }
    pz_free(p);
    return pz_is_dir(path) ? PZ_OK : pz_fail(log, PZ_ERR_WRITE, "'%s' is not a folder", path);
}

void pz_remove_tree(const char *path)
{
    struct stat sb;
    if (lstat(path, &sb) != 0)
        return;
    if (!S_ISDIR(sb.st_mode)) {
        unlink(path);
        return;
    }
    DIR *d = opendir(path);
    if (d) {
        struct dirent *e;
        while ((e = readdir(d))) {
            if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
                continue;
            char *child = pz_path_join(path, e->d_name);
            if (child)
                pz_remove_tree(child);
            pz_free(child);
        }
        closedir(d);
    }
    rmdir(path);
}

bool pz_file_exists(const char *path)
{
    struct stat sb;
    return stat(path, &sb) == 0 && S_ISREG(sb.st_mode);
}

bool pz_is_dir(const char *path)
{
    struct stat sb;
    return stat(path, &sb) == 0 && S_ISDIR(sb.st_mode);
}

char *pz_path_join(const char *dir, const char *name)
{
    size_t n = strlen(dir);
    return pz_asprintf("%s%s%s", dir, n && dir[n - 1] == '/' ? "" : "/", name);
}

char *pz_weights_dir(const char *given)
{
    const char *env = getenv("PERSONALIZE_MODELS"), *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (given)
        return pz_strdup(given);
    if (env && *env)
        return pz_strdup(env);
    if (xdg && *xdg)
        return pz_asprintf("%s/personalize/models", xdg);
    return pz_asprintf("%s/.cache/personalize/models", home && *home ? home : "/tmp");
}
