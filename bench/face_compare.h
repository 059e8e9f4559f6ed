/** Pictures of face_compare: points of two landmarkers drawn over a face. */
#ifndef PZ_BENCH_FACE_COMPARE_H
#define PZ_BENCH_FACE_COMPARE_H

#include "face/embedded.h"
#include "face/landmarker.h"

#define OVERLAYS 6

/** A row of OVERLAYS faces, each drawn twice: first landmarker red, second green; `side` px a face. With a
 * parser a third time: parts in colours. */
struct overlay {
    struct pz_rgb rgb;
    int side, n, rows;
    struct pz_face_parts *parser;
};

/** `parser` may be NULL and is not owned. */
enum pz_status overlay_open(struct overlay *o, int side, struct pz_face_parts *parser);
/** Next place: the face around the first landmarker's points. `b` may be NULL. */
void overlay_add(struct overlay *o, const struct pz_picture *pic, const struct pz_face_points *a,
                 const struct pz_face_points *b);
enum pz_status overlay_close(struct overlay *o, struct pz_log *log, const char *path);

#endif
