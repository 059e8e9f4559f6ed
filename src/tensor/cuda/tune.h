/**
 * Choices of engines and algorithms, by shape; for tensor/cuda only. They are made by timing when a plan is
 * made and, when the plan's parameters name a folder, kept there for the next time: one text file a device
 * and set of library versions. A file that is damaged or of another device is ignored with one line.
 */
#ifndef PZ_TENSOR_CUDA_TUNE_H
#define PZ_TENSOR_CUDA_TUNE_H

#include "base/log.h"

struct pz_tune;

/** `dir` NULL: choices live as long as the plan. `device` names the device and the libraries, one line.
 * NULL only without memory. */
struct pz_tune *pz_tune_open(struct pz_log *log, const char *dir, const char *device);

/** The choice of a key (printable, no blanks), −1 when there is none. */
int pz_tune_get(const struct pz_tune *t, const char *key);

/** Remember 0 … 9999. Without memory nothing is remembered. */
void pz_tune_put(struct pz_tune *t, const char *key, int choice);

/** Write the file when something new was chosen; a folder that cannot be written costs one line. */
void pz_tune_save(struct pz_tune *t, struct pz_log *log);

void pz_tune_close(struct pz_tune *t);

#endif
