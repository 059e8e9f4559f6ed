/* Strips: mouth crops over time, true above made, for people to look at. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "image/png.h"
#include "image/warp.h"
#include "pipeline/evaluate_state.h"

#define TILE 144
#define GAP 3
#define COLUMNS 10
#define MAX_TILES 40
#define REACH 1.9f /* crop side over mouth width */

struct pz_strip {
    int n, tiles, used;
    struct pz_rgb canvas, tile;
};

enum pz_status pz_strip_create(int n, struct pz_strip **out)
{
    struct pz_strip *s = pz_calloc(1, sizeof *s);
    *out = s;
    if (!s)
        return PZ_ERR_NOMEM;
    s->n = n;
    s->tiles = n < MAX_TILES ? n : MAX_TILES;
    int columns = s->tiles < COLUMNS ? s->tiles : COLUMNS, bands = (s->tiles + COLUMNS - 1) / COLUMNS;
    enum pz_status st =
        pz_rgb_alloc(&s->canvas, columns * (TILE + GAP) + GAP, bands * (2 * TILE + 3 * GAP) + GAP);
    if (st == PZ_OK)
        st = pz_rgb_alloc(&s->tile, TILE, TILE);
    if (st < PZ_OK)
        pz_strip_destroy(out);
    return st;
}

void pz_strip_destroy(struct pz_strip **s)
{
    if (!s || !*s)
        return;
    pz_rgb_free(&(*s)->canvas);
    pz_rgb_free(&(*s)->tile);
    pz_free(*s);
    *s = NULL;
}

static void put(struct pz_strip *s, int x0, int y0)
{
    size_t n = (size_t)s->canvas.width * s->canvas.height;
    for (int k = 0; k < 3; k++)
        for (int y = 0; y < TILE; y++)
            memcpy(s->canvas.data + k * n + (size_t)(y0 + y) * s->canvas.width + x0,
                   s->tile.data + (size_t)k * TILE * TILE + (size_t)y * TILE, TILE * sizeof(float));
}

void pz_strip_add(struct pz_strip *s, int k, const struct pz_picture *truth, const struct pz_picture *made,
                  const struct pz_face *face, const struct pz_face_topology *topo)
{
    /* Tile t shows frame t·n/tiles, so that they are evenly spread. */
    if (s->used >= s->tiles || k < (int)((int64_t)s->used * s->n / s->tiles))
        return;
    const float *a = face->xyz[topo->mouth_corner[0]], *b = face->xyz[topo->mouth_corner[1]];
    float cx = 0.5f * (a[0] + b[0]), cy = 0.5f * (a[1] + b[1]);
    float side = fmaxf(REACH * hypotf(a[0] - b[0], a[1] - b[1]), 0.9f * face->interocular),
          scale = side / TILE;
    struct pz_affine m = {scale, 0, cx - side / 2, 0, scale, cy - side / 2};
    int x = GAP + s->used % COLUMNS * (TILE + GAP), y = GAP + s->used / COLUMNS * (2 * TILE + 3 * GAP);
    pz_warp_picture_to_rgb(truth, &m, PZ_FILTER_CUBIC, PZ_BORDER_ZERO, &s->tile);
    put(s, x, y);
    pz_warp_picture_to_rgb(made, &m, PZ_FILTER_CUBIC, PZ_BORDER_ZERO, &s->tile);
    put(s, x, y + TILE + GAP);
    s->used++;
}

enum pz_status pz_strip_write(struct pz_strip *s, struct pz_log *log, const char *path)
{
    return pz_png_write(log, path, &s->canvas);
}
