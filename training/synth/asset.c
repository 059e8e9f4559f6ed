/* Reads the head from safetensors: header JSON, then raw little-endian tensors. Does: check every shape and
 * offset, split quads, sort parts by vertex number, keep expressions sparse and on the parts they may move.
 * Does not: write or pack the mesh. Source: safetensors format description; fact sheet synth.md §1, §2. */
#include "asset.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"

struct st_file {
    const unsigned char *data;
    size_t n_data;
    json_t *head;
};

/** Bytes of tensor `name` if dtype and shape match, else NULL. */
static const unsigned char *st_get(const struct st_file *f, const char *name, const char *dtype,
                                   const size_t *shape, size_t rank, size_t elem)
{
    json_t *t = json_object_get(f->head, name);
    const char *dt = json_string_value(json_object_get(t, "dtype"));
    json_t *sh = json_object_get(t, "shape"), *off = json_object_get(t, "data_offsets");
    if (!dt || strcmp(dt, dtype) != 0 || json_array_size(sh) != rank || json_array_size(off) != 2)
        return NULL;
    size_t n = elem;
    for (size_t i = 0; i < rank; i++) {
        if (json_integer_value(json_array_get(sh, i)) != (json_int_t)shape[i] || !pz_mul(n, shape[i], &n))
            return NULL;
    }
    json_int_t a = json_integer_value(json_array_get(off, 0)), b = json_integer_value(json_array_get(off, 1));
    if (a < 0 || b < a || (size_t)b > f->n_data || (size_t)(b - a) != n)
        return NULL;
    return f->data + a;
}

static float half_to_float(uint16_t h)
{
    uint32_t s = (uint32_t)(h >> 15) << 31, e = (h >> 10) & 31, m = h & 1023, u;
    if (e == 0) {
        float v = (float)m * (1.f / 16777216.f);
        return s ? -v : v;
    }
    u = s | (e == 31 ? 0x7f800000u | m << 13 : (e + 112) << 23 | m << 13);
    float f;
    memcpy(&f, &u, 4);
    return f;
}

static int vertex_part(int v)
{
    if (v < 9409)
        return PZ_SYN_SKIN;
    if (v < 11248)
        return PZ_SYN_SCALP;
    if (v < 13294)
        return PZ_SYN_SOCKET;
    if (v < 14062)
        return PZ_SYN_EYEPIT;
    if (v < 17039)
        return PZ_SYN_GUM;
    if (v < 21451)
        return PZ_SYN_TEETH;
    return v < 23021 ? PZ_SYN_EYE_L : PZ_SYN_EYE_R;
}

static bool is_eye_shape(const char *n)
{
    return !strncmp(n, "eye", 3) || !strncmp(n, "brow", 4) || !strncmp(n, "cheekSquint", 11);
}

/** May shape `name` move vertex `v`? Only skin, head, the sockets and, for jaw shapes, gums and lower teeth.
 */
static bool may_move(const char *name, int v, int lower)
{
    int p = vertex_part(v);
    if (p == PZ_SYN_SKIN || p == PZ_SYN_SCALP)
        return true;
    if (p == PZ_SYN_EYEPIT)
        return is_eye_shape(name);
    if (p == PZ_SYN_SOCKET)
        return !is_eye_shape(name);
    if (p == PZ_SYN_GUM || p == PZ_SYN_TEETH)
        return lower && !strncmp(name, "jaw", 3);
    return false;
}

static enum pz_status read_expressions(struct pz_syn_asset *a, const struct st_file *f, const uint16_t *e)
{
    json_t *meta = json_object_get(f->head, "__metadata__");
    const char *txt = json_string_value(json_object_get(meta, "expression_names"));
    json_t *names = txt ? json_loads(txt, 0, NULL) : NULL;
    bool ok = json_array_size(names) == PZ_SYN_N_EXPR;
    for (int k = 0; ok && k < PZ_SYN_N_EXPR; k++) {
        const char *s = json_string_value(json_array_get(names, (size_t)k));
        if (!s || strlen(s) >= sizeof a->expr_name[k]) {
            ok = false;
            break;
        }
        strcpy(a->expr_name[k], s);
        struct pz_syn_sparse *sp = &a->expr[k];
        for (int pass = 0; pass < 2; pass++) {
            int n = 0;
            for (int v = 0; v < PZ_SYN_N_VERTS; v++) {
                const uint16_t *h = e + ((size_t)k * PZ_SYN_N_VERTS + (size_t)v) * 3;
                struct v3 d = v3(half_to_float(h[0]), half_to_float(h[1]), half_to_float(h[2]));
                if (!(v3_dot(d, d) > 1e-6f) || !may_move(s, v, a->lower[v]))
                    continue;
                if (pass) {
                    sp->vertex[n] = v;
                    sp->delta[n] = d;
                }
                n++;
            }
            if (!pass) {
                sp->vertex = pz_calloc((size_t)n + 1, sizeof *sp->vertex);
                sp->delta = pz_calloc((size_t)n + 1, sizeof *sp->delta);
                if (!sp->vertex || !sp->delta) {
                    json_decref(names);
                    return PZ_ERR_NOMEM;
                }
            }
            sp->n = n;
        }
    }
    json_decref(names);
    return ok ? PZ_OK : PZ_ERR_FORMAT;
}

/** Which vertices follow the jaw: lower teeth, lower gum, tongue. Islands interleave, so use the jaw shape
 * itself: a gum or tooth vertex that jawOpen moves by more than 0.3 cm belongs to the lower jaw. */
static void mark_lower(struct pz_syn_asset *a, const uint16_t *jaw)
{
    for (int v = 14062; v < 21451; v++) {
        const uint16_t *h = jaw + (size_t)v * 3;
        struct v3 d = v3(half_to_float(h[0]), half_to_float(h[1]), half_to_float(h[2]));
        a->lower[v] = v3_len(d) > .3f;
    }
}

static bool is_tongue_uv(const float *uv)
{
    bool top = uv[0] > 2.47f && uv[0] < 2.96f && uv[1] < .745f;
    bool under = uv[0] > 1.99f && uv[0] < 2.27f && uv[1] > .09f && uv[1] < .42f;
    return top || under;
}

static enum pz_status read_faces(struct pz_log *log, struct pz_syn_asset *a, const struct st_file *f)
{
    enum { NF = 26384, NUV = 28911 };
    const int32_t *fv = (const void *)st_get(f, "face_vertices", "I32", (size_t[]){NF, 4}, 2, 4);
    const int32_t *fu = (const void *)st_get(f, "face_uvs", "I32", (size_t[]){NF, 4}, 2, 4);
    const float *uv = (const void *)st_get(f, "uv", "F32", (size_t[]){NUV, 2}, 2, 4);
    if (!fv || !fu || !uv)
        return pz_fail(log, PZ_ERR_FORMAT, "head: faces or UVs missing or of another size");
    a->tri = pz_calloc(2 * NF, 3 * sizeof *a->tri);
    a->tri_uv = pz_calloc(2 * NF, 6 * sizeof *a->tri_uv);
    a->mat = pz_calloc(2 * NF, 1);
    if (!a->tri || !a->tri_uv || !a->mat)
        return PZ_ERR_NOMEM;
    for (int i = 0; i < NF; i++) {
        const int32_t *q = fv + 4 * i, *w = fu + 4 * i;
        int nc = q[3] < 0 ? 3 : 4;
        for (int c = 0; c < nc; c++)
            if (q[c] < 0 || q[c] >= PZ_SYN_N_VERTS || w[c] < 0 || w[c] >= NUV)
                return pz_fail(log, PZ_ERR_FORMAT, "head: face %d points outside", i);
        if (q[0] >= 24591 || (q[0] >= 22221 && q[0] < 23021) || q[0] >= 23791)
            continue; /* lacrimal fluid, cards and the inner iris disc: drawn by other means */
        int mat = vertex_part(q[0] < 9409 && q[1] >= 9409 ? q[1] : q[0]);
        for (int h = 0; h < nc - 2; h++) {
            int cs[3] = {0, 1 + h, 2 + h};
            uint32_t *t = a->tri + 3 * (size_t)a->n_tri;
            float *tu = a->tri_uv + 6 * (size_t)a->n_tri;
            for (int c = 0; c < 3; c++) {
                t[c] = (uint32_t)q[cs[c]];
                tu[2 * c] = uv[2 * w[cs[c]]];
                tu[2 * c + 1] = uv[2 * w[cs[c]] + 1];
            }
            int m = mat;
            if (mat == PZ_SYN_SKIN || mat == PZ_SYN_SCALP)
                m = tu[0] >= 1.f ? PZ_SYN_SCALP : PZ_SYN_SKIN;
            if (mat == PZ_SYN_GUM && is_tongue_uv(tu)) {
                m = PZ_SYN_TONGUE;
                for (int c = 0; c < 3; c++)
                    a->lower[t[c]] = 2;
            }
            a->mat[a->n_tri++] = (uint8_t)m;
        }
    }
    return PZ_OK;
}

enum pz_status pz_syn_asset_open(struct pz_log *log, const char *path, struct pz_syn_asset *a)
{
    enum pz_status st = PZ_OK;
    struct pz_map map = {0};
    struct st_file f = {0};
    memset(a, 0, sizeof *a);
    PZ_TRY(pz_map_open(log, path, &map));
    uint64_t n_head = 0;
    if (map.n_bytes >= 8)
        memcpy(&n_head, map.data, 8);
    if (map.n_bytes < 8 || n_head > map.n_bytes - 8 || n_head > 1u << 24) {
        PZ_TRY(pz_fail(log, PZ_ERR_FORMAT, "%s: not a safetensors file", path));
    }
    f.head = json_loadb((const char *)map.data + 8, (size_t)n_head, 0, NULL);
    f.data = (const unsigned char *)map.data + 8 + n_head;
    f.n_data = map.n_bytes - 8 - (size_t)n_head;
    const size_t nv = PZ_SYN_N_VERTS;
    const float *neu = (const void *)st_get(&f, "neutral", "F32", (size_t[]){nv, 3}, 2, 4);
    const uint16_t *ex =
        (const void *)st_get(&f, "expressions", "F16", (size_t[]){PZ_SYN_N_EXPR, nv, 3}, 3, 2);
    const uint16_t *id = (const void *)st_get(&f, "identities", "F16", (size_t[]){PZ_SYN_N_ID, nv, 3}, 3, 2);
    if (!neu || !ex || !id)
        PZ_TRY(pz_fail(log, PZ_ERR_FORMAT, "%s: is not the ICT-FaceKit head this program knows", path));
    a->neutral = pz_calloc(nv, sizeof *a->neutral);
    a->identity = pz_calloc(nv * PZ_SYN_N_ID, sizeof *a->identity);
    a->part = pz_calloc(nv, 1);
    a->lower = pz_calloc(nv, 1);
    if (!a->neutral || !a->identity || !a->part || !a->lower)
        PZ_TRY(pz_fail(log, PZ_ERR_NOMEM, "head: out of memory"));
    memcpy(a->neutral, neu, nv * sizeof *a->neutral);
    for (size_t i = 0; i < nv * PZ_SYN_N_ID; i++)
        a->identity[i] =
            v3(half_to_float(id[3 * i]), half_to_float(id[3 * i + 1]), half_to_float(id[3 * i + 2]));
    for (int v = 0; v < PZ_SYN_N_VERTS; v++)
        a->part[v] = (uint8_t)vertex_part(v);
    /* jawOpen is found by name after the names are read; the lower-jaw mark needs it before, so look it up
     * here. */
    const char *txt =
        json_string_value(json_object_get(json_object_get(f.head, "__metadata__"), "expression_names"));
    json_t *names = txt ? json_loads(txt, 0, NULL) : NULL;
    for (size_t k = 0; k < json_array_size(names) && k < PZ_SYN_N_EXPR; k++) {
        const char *s = json_string_value(json_array_get(names, k));
        if (s && !strcmp(s, "jawOpen"))
            mark_lower(a, ex + k * nv * 3);
    }
    json_decref(names);
    PZ_TRY(read_faces(log, a, &f));
    PZ_TRY(read_expressions(a, &f, ex));
fail:
    json_decref(f.head);
    pz_map_close(&map);
    if (st < PZ_OK)
        pz_syn_asset_close(a);
    return st;
}
