/**
 * Our own face networks as graphs: form and names of docs/notes/face-networks.md. Stands on src/nn alone, so
 * that it builds without films.
 *
 * All take x = R'G'B'·2 − 1 in NHWC; after an error values are PZ_NONE and pz_params_finish() tells.
 */
#ifndef PZ_FACE_EMBEDDED_NET_H
#define PZ_FACE_EMBEDDED_NET_H

#include "nn/param.h"

enum {
    PZ_EMBEDDED_CROP = 192,     /* side of the landmarker's input */
    PZ_EMBEDDED_POINTS = 512,   /* x, y, z, log σ each */
    PZ_EMBEDDED_WEIGHTS = 2048, /* 53 ICT expression weights before their sigmoid */
    PZ_EMBEDDED_TURN = 2101,    /* two 3-vectors */
    PZ_EMBEDDED_PRESENCE = 2107,
    PZ_EMBEDDED_OUT = 2108,
    PZ_EMBEDDED_LETTERBOX = 160, /* side of the detector's input */
    PZ_EMBEDDED_CELL = 15,       /* numbers of a detector's cell */
    PZ_EMBEDDED_MAP = 96,        /* side of the parser's output */
    PZ_EMBEDDED_CLASSES = 12
};

/** What the parser takes from the landmarker: maps of side 96, 48, 24, 12. */
struct pz_embedded_features {
    int f96, f48, f24, f12;
};

/** x [B,192,192,3] → [B,2108]; `features` may be NULL. */
int pz_embedded_landmarks(struct pz_params *p, int x, struct pz_embedded_features *features);

/** → logits [B,96,96,12]. */
int pz_embedded_parts(struct pz_params *p, const struct pz_embedded_features *features);

/** x [B,160,160,3] → maps [B,20,20,15] (stride 8), [B,10,10,15] (stride 16). */
void pz_embedded_detector(struct pz_params *p, int x, int map[2]);

#endif
