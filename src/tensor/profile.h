/**
 * Profile: where the time of networks goes, operation by operation.
 *
 * Objects   a profile collects the runs of any number of sessions; each session's lines are its own, so that
 * sessions may run on several threads while they are watched. Lifetime   it must outlive the runs it watches;
 * what it collected stays when sessions go. Cost   two readings of a clock a step; nothing where no profile
 * is attached. Threads   attaching may happen on any thread; texts are made when no watched session runs.
 * Device    a watched run is a graph with an event between its steps, a microsecond or two slower each;
 * transfers are not counted.
 */
#ifndef PZ_TENSOR_PROFILE_H
#define PZ_TENSOR_PROFILE_H

#include "tensor/plan.h"

struct pz_profile;

/** NULL on no memory. */
struct pz_profile *pz_profile_create(void);
void pz_profile_destroy(struct pz_profile **p);

/** Time every later run of `s` under the name `network` (copied; letters, digits, spaces). `profile` NULL: no
 * more. Errors: NOMEM, DEVICE. */
PZ_NODISCARD enum pz_status pz_session_profile(struct pz_session *s, struct pz_profile *profile,
                                               const char *network);

/** A table, dearest line first: operation, form that ran it, shapes, calls, milliseconds, share of all,
 * GFLOP/s (two a multiply-add) and GB/s (each operand once). Equal steps of a network are one line. On the
 * heap, free with pz_free(); NULL on no memory. */
char *pz_profile_table(const struct pz_profile *p);

/** The same as a trace that chrome://tracing and Perfetto read: one row a session, one box a step (the first
 * 16384 of a session), and the table's lines under "operations". On the heap, free with pz_free(). */
char *pz_profile_trace(const struct pz_profile *p);

/** Trace to `path`, table to `path` with .txt behind. Errors: NOMEM, WRITE. */
PZ_NODISCARD enum pz_status pz_profile_write(const struct pz_profile *p, struct pz_log *log,
                                             const char *path);

#endif
