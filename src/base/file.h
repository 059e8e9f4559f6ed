/**
 * Files: read whole, map, and write so that no half file is ever seen.
 */
#ifndef PZ_BASE_FILE_H
#define PZ_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/log.h"

/** Read a file of at most `max_bytes` into memory; `*data` is zero-terminated behind its `*n` bytes, freed
 * with pz_free(). Errors: INPUT (missing, a folder, too large; logged). */
PZ_NODISCARD enum pz_status pz_file_read(struct pz_log *log, const char *path, size_t max_bytes, char **data,
                                         size_t *n);

struct pz_map {
    const uint8_t *data;
    size_t n_bytes;
};

/** Map a file read-only. Errors: INPUT. Unmap with pz_map_close(). An empty file gives data NULL, n_bytes 0.
 */
PZ_NODISCARD enum pz_status pz_map_open(struct pz_log *log, const char *path, struct pz_map *map);
void pz_map_close(struct pz_map *map);

/** Temporary name in the folder of `path` ("/d/.x.mp4.pz-1234-0.tmp"), on the heap; free with pz_free(). */
char *pz_temp_name(const char *path);

/** Flush `tmp` to disk and rename it to `path`. On failure `tmp` is removed. Errors: WRITE (logged). */
PZ_NODISCARD enum pz_status pz_commit_file(struct pz_log *log, const char *tmp, const char *path);

/** A large file while it is written. Where the file system can (O_TMPFILE), it has no name until it is
 * complete, so that even a killed program leaves nothing behind; elsewhere it is a named temporary. */
struct pz_unnamed {
    int fd;       /**< keeps the nameless file alive; -1: a named temporary */
    char *writer; /**< path to open for writing, as often as needed, while this is open */
    char *path;   /**< the name it will get */
};

/** Begin the file that is to be `path`. Close with pz_unnamed_close(). Errors: NOMEM, WRITE (logged). */
PZ_NODISCARD enum pz_status pz_unnamed_open(struct pz_log *log, const char *path, struct pz_unnamed *u);

/** Flush to disk and give the file its name, replacing what had it. Errors: WRITE (logged). */
PZ_NODISCARD enum pz_status pz_unnamed_commit(struct pz_log *log, struct pz_unnamed *u);

/** Let go; what was not committed is gone. A zeroed or closed `u` is allowed only with fd -1. */
void pz_unnamed_close(struct pz_unnamed *u);

/** Write a whole file atomically. Errors: WRITE (logged), nothing left behind. */
PZ_NODISCARD enum pz_status pz_file_write(struct pz_log *log, const char *path, const void *data, size_t n);

/** Make a folder and its parents. Errors: WRITE. */
PZ_NODISCARD enum pz_status pz_make_dirs(struct pz_log *log, const char *path);

/** Remove a folder and all below it, best effort (used for temporary folders only). */
void pz_remove_tree(const char *path);

bool pz_file_exists(const char *path);

/** Folder of downloaded weights: the given one, else $PERSONALIZE_MODELS, else the user's cache. On the heap
 * (pz_free), NULL on no memory. */
char *pz_weights_dir(const char *given);
bool pz_is_dir(const char *path);

/** "dir/name" on the heap; free with pz_free(). NULL on no memory. */
char *pz_path_join(const char *dir, const char *name);

#endif
