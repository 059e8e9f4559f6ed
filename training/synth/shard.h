/**
 * Shards: safetensors files of N records each, written record by record by many threads.
 *
 * Stills (synth_faces), S = picture side, L = 512 landmarks of points.h:
 *   image      u8  [N,S,S,3]    RGB
 *   landmarks  f32 [N,L,3]      x, y in pixels, pixel centres at +½; z in the same unit, 0 at the head's
 * origin, towards the camera negative visible    u8  [N,L]        1: in front of everything else drawn (0.3
 * cm tolerance) and inside the picture pose       f32 [N,7]        quaternion w x y z (w ≥ 0) head → camera,
 * then the head's origin in cm. Camera axes: x right, y up, z towards the viewer, so the origin's z is
 * negative. A head point h lies at R·h + t, its pixel is centre + focal·(X, −Y)/(−Z) weights    f32 [N,53]
 * ICT expressions in the order of pz_q_weight_name() gap        f32 [N]          inner lips, cm, below 0
 * pressed gaze       f32 [N,4]        radians: eyes in the head yaw (+ subject's left), pitch (+ down); the
 * same against the camera focal      f32 [N]          pixels;  centre f32 [N,2] principal point, pixels parts
 * u8  [N,S/2,S/2]  0 background 1 skin 2 lips 3 inner mouth (dark, gum, tongue) 4 teeth 5 eyes 6 brows 7 hair
 * of the head 8 glasses (rims; lenses when dark) 9 occluder 10 clothes 11 hat. Beards are skin. depth f16
 * [N,S/4,S/4]  cm from the camera along its axis, +inf background box        f32 [N,4]        x0 y0 x1 y1
 * round the 68 iBUG points, grown by 10 % attributes u8  [N,16]       0 beard (enum pz_q_beard), 1 glasses (1
 * clear 2 tinted 3 sun), 2 |yaw| > 40°, 3 dark, 4 occluded (a thing in front, > 5 % of the 478 hidden), 5 hat
 * (enum pz_q_hat), 6 open mouth (> 0.3 cm), 7 lipstick, 8 skin tone 0 light … 4 dark, 9 hair 0 none 1 short 2
 * long, 10 thing in front (enum pz_q_block), 11 too bright, 12 hidden share of the 478 · 255, 13 eyes shut,
 * 14 fringe, 15 old person     i32 [N], frame i32 [N] Scenes (--scene) have up to H = 4 heads: landmarks,
 * visible, pose, weights, gap, gaze, focal, centre, box and attributes get an axis H after N, and `count` i32
 * [N] says how many are filled; the others are 0.
 */
#ifndef PZ_SYN_SHARD_H
#define PZ_SYN_SHARD_H

#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "base/pool.h"
#include "base/status.h"
#include "quick_arena.h"

enum { PZ_SHARD_MAX = 24 };

/** One tensor: name, safetensors type, and the shape of a record (the axis N is added unless `single`). */
struct pz_shard_field {
    const char *name, *dtype;
    int rank;
    int64_t shape[4];
    int single;     /**< one value for the whole file: shape is taken as it is */
    size_t n_bytes; /**< of a record; set by open */
    size_t offset;  /**< in the file; set by open */
};

struct pz_shard {
    int n_field, n_record;
    struct pz_shard_field field[PZ_SHARD_MAX];
    char *path, *tmp;
    uint8_t *map; /**< the file in memory; kept for the next one */
    size_t n_bytes, n_map;
    struct pz_q_arena arena;
};

/** Begin a file; `*s` is zeroed or was committed: its memory is used again, so records must be written whole.
 * `text` goes into the metadata as "about". Errors: USAGE, NOMEM. */
PZ_NODISCARD enum pz_status pz_shard_open(struct pz_log *log, const char *path,
                                          const struct pz_shard_field *f, int n_field, int n_record,
                                          const char *text, struct pz_shard *s);
/** Where record i of a field lies; NULL for an unknown name. Records may be written by different threads. */
void *pz_shard_at(const struct pz_shard *s, const char *name, int i);
/** Write the file under a temporary name, in slices on `pool` (may be NULL), and give it its own. Errors:
 * WRITE. */
PZ_NODISCARD enum pz_status pz_shard_commit(struct pz_log *log, struct pz_pool *pool, struct pz_shard *s);
/** Free; what was not committed is gone. Allowed on a zeroed shard. */
void pz_shard_close(struct pz_shard *s);

#endif
