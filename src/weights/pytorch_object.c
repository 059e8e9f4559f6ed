/*
 * What the names in PyTorch's pickles mean: storages, the functions that build tensors from them, dicts.
 * Every other class or function yields an opaque value. Nothing is looked up, imported or called.
 */
#include "weights/pytorch_pickle.h"

#include <stdio.h>
#include <string.h>

#define MAX_STORAGES (1u << 20)
#define MAX_TENSORS (1u << 20)

static const struct known {
    const char *module, *name;
    uint8_t cls, dtype, elem;
} known[] = {
    {"collections", "OrderedDict", PZ_PICKLE_CLASS_DICT, 0, 0},
    {"collections", "defaultdict", PZ_PICKLE_CLASS_DEFAULTDICT, 0, 0},
    {"builtins", "dict", PZ_PICKLE_CLASS_DICT, 0, 0},
    {"__builtin__", "dict", PZ_PICKLE_CLASS_DICT, 0, 0},
    {"torch", "Size", PZ_PICKLE_CLASS_SIZE, 0, 0},
    {"torch._utils", "_rebuild_tensor", PZ_PICKLE_CLASS_TENSOR, 0, 0},
    {"torch._utils", "_rebuild_tensor_v2", PZ_PICKLE_CLASS_TENSOR, 0, 0},
    {"torch._utils", "_rebuild_tensor_v3", PZ_PICKLE_CLASS_TENSOR_V3, 0, 0},
    {"torch._utils", "_rebuild_parameter", PZ_PICKLE_CLASS_PARAMETER, 0, 0},
    {"torch._utils", "_rebuild_parameter_with_state", PZ_PICKLE_CLASS_PARAMETER, 0, 0},
    {"torch", "FloatStorage", PZ_PICKLE_CLASS_STORAGE, PZ_DTYPE_F32, 4},
    {"torch", "HalfStorage", PZ_PICKLE_CLASS_STORAGE, PZ_DTYPE_F16, 2},
    {"torch", "BFloat16Storage", PZ_PICKLE_CLASS_STORAGE, PZ_DTYPE_BF16, 2},
    {"torch", "DoubleStorage", PZ_PICKLE_CLASS_STORAGE, PZ_DTYPE_F64, 8},
    {"torch", "CharStorage", PZ_PICKLE_CLASS_STORAGE, PZ_DTYPE_I8, 1},
    {"torch", "ByteStorage", PZ_PICKLE_CLASS_STORAGE, PZ_DTYPE_U8, 1},
    {"torch", "BoolStorage", PZ_PICKLE_CLASS_STORAGE, PZ_DTYPE_U8, 1},
    {"torch", "ShortStorage", PZ_PICKLE_CLASS_STORAGE, PZ_DTYPE_I16, 2},
    {"torch", "IntStorage", PZ_PICKLE_CLASS_STORAGE, PZ_DTYPE_I32, 4},
    {"torch", "LongStorage", PZ_PICKLE_CLASS_STORAGE, PZ_DTYPE_I64, 8},
    {"torch.storage", "UntypedStorage", PZ_PICKLE_CLASS_STORAGE, PZ_DTYPE_U8, 1},
    {"torch.storage", "_UntypedStorage", PZ_PICKLE_CLASS_STORAGE, PZ_DTYPE_U8, 1},
    /* Sizes are known, so that what lies behind them in a legacy file is found; their tensors are not read.
     */
    {"torch", "ComplexFloatStorage", PZ_PICKLE_CLASS_STORAGE, PZ_DTYPE_COUNT, 8},
    {"torch", "ComplexDoubleStorage", PZ_PICKLE_CLASS_STORAGE, PZ_DTYPE_COUNT, 16},
    {"torch", "QInt8Storage", PZ_PICKLE_CLASS_STORAGE, PZ_DTYPE_COUNT, 1},
    {"torch", "QUInt8Storage", PZ_PICKLE_CLASS_STORAGE, PZ_DTYPE_COUNT, 1},
    {"torch", "QInt32Storage", PZ_PICKLE_CLASS_STORAGE, PZ_DTYPE_COUNT, 4},
    {"torch", "float32", PZ_PICKLE_CLASS_DTYPE, PZ_DTYPE_F32, 4},
    {"torch", "float16", PZ_PICKLE_CLASS_DTYPE, PZ_DTYPE_F16, 2},
    {"torch", "bfloat16", PZ_PICKLE_CLASS_DTYPE, PZ_DTYPE_BF16, 2},
    {"torch", "float64", PZ_PICKLE_CLASS_DTYPE, PZ_DTYPE_F64, 8},
    {"torch", "int8", PZ_PICKLE_CLASS_DTYPE, PZ_DTYPE_I8, 1},
    {"torch", "uint8", PZ_PICKLE_CLASS_DTYPE, PZ_DTYPE_U8, 1},
    {"torch", "bool", PZ_PICKLE_CLASS_DTYPE, PZ_DTYPE_U8, 1},
    {"torch", "int16", PZ_PICKLE_CLASS_DTYPE, PZ_DTYPE_I16, 2},
    {"torch", "int32", PZ_PICKLE_CLASS_DTYPE, PZ_DTYPE_I32, 4},
    {"torch", "int64", PZ_PICKLE_CLASS_DTYPE, PZ_DTYPE_I64, 8},
};

static bool same(const struct pz_pickle *p, uint32_t off, uint32_t len, const char *s)
{
    return strlen(s) == len && memcmp(p->data + off, s, len) == 0;
}

static bool begins(const struct pz_pickle *p, uint32_t off, uint32_t len, const char *s)
{
    size_t n = strlen(s);
    return len >= n && memcmp(p->data + off, s, n) == 0;
}

void pz_pickle_classify(const struct pz_pickle *p, struct pz_pickle_node *g)
{
    uint32_t mo = g->u.global.module, ml = g->u.global.n_module;
    uint32_t no = g->u.global.name, nl = g->u.global.n_name;
    g->cls = PZ_PICKLE_CLASS_OTHER;
    g->dtype = PZ_DTYPE_COUNT;
    g->elem = 0;
    /* torch.cuda.FloatStorage holds the same bytes as torch.FloatStorage. */
    bool cuda = same(p, mo, ml, "torch.cuda");
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const struct known *k = &known[i];
        bool module =
            same(p, mo, ml, k->module) || (cuda && k->cls == PZ_PICKLE_CLASS_STORAGE && k->module[5] == '\0');
        if (module && same(p, no, nl, k->name)) {
            g->cls = k->cls;
            g->dtype = k->dtype;
            g->elem = k->elem;
            return;
        }
    }
    if ((same(p, mo, ml, "torch._utils") && begins(p, no, nl, "_rebuild_")) ||
        (same(p, mo, ml, "torch._tensor") && begins(p, no, nl, "_rebuild_")))
        g->cls = PZ_PICKLE_CLASS_BUILDER;
}

void pz_pickle_class_name(const struct pz_pickle *p, const struct pz_pickle_node *v, char *out, size_t n_out)
{
    if (v->kind == PZ_PICKLE_OPAQUE)
        v = &p->nodes[v->u.items.of];
    if (v->kind != PZ_PICKLE_GLOBAL) {
        snprintf(out, n_out, "an object");
        return;
    }
    snprintf(out, n_out, "%.*s.%.*s", (int)(v->u.global.n_module < 200 ? v->u.global.n_module : 200),
             (const char *)p->data + v->u.global.module,
             (int)(v->u.global.n_name < 200 ? v->u.global.n_name : 200),
             (const char *)p->data + v->u.global.name);
    for (char *c = out; *c; c++) /* foreign text in a log line: keep it one line of plain text */
        if ((unsigned char)*c < 0x20 || (unsigned char)*c == 0x7f)
            *c = '?';
}

static enum pz_status opaque(struct pz_pickle *p, uint32_t of, uint32_t args, uint32_t *out)
{
    enum pz_status st = pz_pickle_new(p, PZ_PICKLE_OPAQUE, out);
    if (st < PZ_OK)
        return st;
    /* copyreg._reconstructor(cls, base, state) is "an object of cls" to the reader of a message. */
    const struct pz_pickle_node *g = &p->nodes[of];
    p->nodes[*out].u.items.of = g->kind == PZ_PICKLE_GLOBAL ? of : 0;
    if (g->kind == PZ_PICKLE_GLOBAL && same(p, g->u.global.name, g->u.global.n_name, "_reconstructor") &&
        p->nodes[args].kind == PZ_PICKLE_TUPLE && p->nodes[args].u.items.head) {
        uint32_t first = p->cells[p->nodes[args].u.items.head].node;
        if (p->nodes[first].kind == PZ_PICKLE_GLOBAL)
            p->nodes[*out].u.items.of = first;
    }
    if (g->kind == PZ_PICKLE_OPAQUE)
        PZ_TRY(pz_pickle_append(p, *out, of));
    PZ_TRY(pz_pickle_append(p, *out, args));
fail:
    return st;
}

/* Integers of a tuple; false when it is none, too long or holds something else. */
static bool ints(const struct pz_pickle *p, const struct pz_pickle_node *v, int64_t *out, int *n)
{
    *n = 0;
    if (v->kind != PZ_PICKLE_TUPLE && v->kind != PZ_PICKLE_LIST)
        return false;
    for (uint32_t c = v->u.items.head; c; c = p->cells[c].next) {
        const struct pz_pickle_node *i = &p->nodes[p->cells[c].node];
        if (*n >= PZ_PICKLE_MAX_RANK || i->kind != PZ_PICKLE_INT)
            return false;
        out[(*n)++] = i->u.i;
    }
    return true;
}

/* (storage, offset, size, stride, requires_grad, hooks[, dtype]) */
static enum pz_status build_tensor(struct pz_pickle *p, uint32_t callable, uint32_t args, uint32_t *out)
{
    const struct pz_pickle_node *v[7] = {0};
    const struct pz_pickle_node *a = &p->nodes[args];
    uint32_t n = 0;
    if (a->kind == PZ_PICKLE_TUPLE)
        for (uint32_t c = a->u.items.head; c && n < 7; c = p->cells[c].next)
            v[n++] = &p->nodes[p->cells[c].node];
    bool v3 = p->nodes[callable].cls == PZ_PICKLE_CLASS_TENSOR_V3;
    if (n < (v3 ? 7u : 4u))
        return pz_pickle_fail(p, PZ_ERR_FORMAT, "a tensor is built from too few values");
    if (v[0]->kind != PZ_PICKLE_STORAGE)
        return opaque(p, callable, args, out);
    struct pz_pickle_tensor t = {.storage = v[0]->u.index,
                                 .dtype = p->storages[v[0]->u.index].dtype,
                                 .elem = p->storages[v[0]->u.index].elem};
    if (v3) {
        if (v[6]->kind != PZ_PICKLE_GLOBAL || v[6]->cls != PZ_PICKLE_CLASS_DTYPE)
            return opaque(p, callable, args, out);
        t.dtype = v[6]->dtype;
        t.elem = v[6]->elem;
    }
    int n_stride;
    if (v[1]->kind != PZ_PICKLE_INT || !ints(p, v[2], t.shape, &t.rank) ||
        !ints(p, v[3], t.stride, &n_stride) || t.rank != n_stride)
        return pz_pickle_fail(p, PZ_ERR_FORMAT, "a tensor with a broken shape (at most %d axes are read)",
                              PZ_PICKLE_MAX_RANK);
    t.offset = v[1]->u.i;
    enum pz_status st;
    PZ_TRY(pz_pickle_room(p, &p->tensors, p->n_tensors, &p->cap_tensors, sizeof t, MAX_TENSORS, "tensors"));
    PZ_TRY(pz_pickle_new(p, PZ_PICKLE_TENSOR, out));
    p->nodes[*out].u.index = p->n_tensors;
    p->tensors[p->n_tensors++] = t;
fail:
    return st;
}

/* OrderedDict() or OrderedDict([[key, value], …]), as Python 2 wrote them. */
static enum pz_status build_dict(struct pz_pickle *p, uint32_t args, bool with_items, uint32_t *out)
{
    enum pz_status st = pz_pickle_new(p, PZ_PICKLE_DICT, out);
    const struct pz_pickle_node *a = &p->nodes[args];
    if (st < PZ_OK || !with_items || a->kind != PZ_PICKLE_TUPLE || !a->u.items.head)
        return st;
    const struct pz_pickle_node *list = &p->nodes[p->cells[a->u.items.head].node];
    if (list->kind == PZ_PICKLE_DICT) {
        /* A copy of the dict: the same items, but appending to the copy must not touch the original. */
        for (uint32_t c = list->u.items.head; c && st >= PZ_OK; c = p->cells[c].next)
            st = pz_pickle_append(p, *out, p->cells[c].node);
        return st;
    }
    if (list->kind != PZ_PICKLE_LIST && list->kind != PZ_PICKLE_TUPLE)
        return pz_pickle_fail(p, PZ_ERR_FORMAT, "a dict made from something that is no list");
    for (uint32_t c = list->u.items.head; c && st >= PZ_OK; c = p->cells[c].next) {
        const struct pz_pickle_node *pair = &p->nodes[p->cells[c].node];
        if ((pair->kind != PZ_PICKLE_LIST && pair->kind != PZ_PICKLE_TUPLE) || pair->u.items.n != 2)
            return pz_pickle_fail(p, PZ_ERR_FORMAT, "a dict made from something that is no pair");
        uint32_t k = p->cells[pair->u.items.head].node, v = p->cells[pair->u.items.tail].node;
        st = pz_pickle_append(p, *out, k);
        if (st >= PZ_OK)
            st = pz_pickle_append(p, *out, v);
    }
    return st;
}

enum pz_status pz_pickle_call(struct pz_pickle *p, uint32_t callable, uint32_t args, bool new_object,
                              uint32_t *out)
{
    const struct pz_pickle_node *g = &p->nodes[callable], *a = &p->nodes[args];
    const struct pz_pickle_node *first =
        a->kind == PZ_PICKLE_TUPLE && a->u.items.head ? &p->nodes[p->cells[a->u.items.head].node] : NULL;
    uint8_t cls = g->kind == PZ_PICKLE_GLOBAL ? g->cls : PZ_PICKLE_CLASS_OTHER;
    if (cls == PZ_PICKLE_CLASS_DICT || cls == PZ_PICKLE_CLASS_DEFAULTDICT)
        return build_dict(p, args, cls == PZ_PICKLE_CLASS_DICT && !new_object, out);
    if (cls == PZ_PICKLE_CLASS_SIZE && first && first->kind == PZ_PICKLE_TUPLE) {
        *out = p->cells[a->u.items.head].node;
        return PZ_OK;
    }
    if (cls == PZ_PICKLE_CLASS_PARAMETER && first && first->kind == PZ_PICKLE_TENSOR) {
        *out = p->cells[a->u.items.head].node;
        return PZ_OK;
    }
    if (!new_object && (cls == PZ_PICKLE_CLASS_TENSOR || cls == PZ_PICKLE_CLASS_TENSOR_V3))
        return build_tensor(p, callable, args, out);
    return opaque(p, callable, args, out);
}

/* ('storage', class, key, location, numel[, view]); view is None or (key, offset, numel). */
enum pz_status pz_pickle_persistent(struct pz_pickle *p, uint32_t id, uint32_t *out)
{
    const struct pz_pickle_node *v[6] = {0};
    uint32_t nodes[6] = {0}, n = 0;
    const struct pz_pickle_node *t = &p->nodes[id];
    if (t->kind != PZ_PICKLE_TUPLE)
        return pz_pickle_fail(p, PZ_ERR_UNSUPPORTED, "a reference of a kind this program does not read");
    for (uint32_t c = t->u.items.head; c && n < 6; c = p->cells[c].next) {
        nodes[n] = p->cells[c].node;
        v[n] = &p->nodes[nodes[n]];
        n++;
    }
    if (n >= 2 && pz_pickle_is(p, v[0], "module")) {
        *out = nodes[1];
        return PZ_OK;
    }
    if (n < 5 || !pz_pickle_is(p, v[0], "storage") || v[1]->kind != PZ_PICKLE_GLOBAL ||
        v[2]->kind != PZ_PICKLE_STRING || v[4]->kind != PZ_PICKLE_INT || v[4]->u.i < 0)
        return pz_pickle_fail(p, PZ_ERR_FORMAT, "a storage record is broken");
    struct pz_pickle_storage s = {.type = nodes[1],
                                  .key = v[2]->u.text.off,
                                  .n_key = v[2]->u.text.len,
                                  .numel = v[4]->u.i,
                                  .view_numel = v[4]->u.i,
                                  .dtype =
                                      v[1]->cls == PZ_PICKLE_CLASS_STORAGE ? v[1]->dtype : PZ_DTYPE_COUNT,
                                  .elem = v[1]->cls == PZ_PICKLE_CLASS_STORAGE ? v[1]->elem : 0};
    if (n == 6 && v[5]->kind != PZ_PICKLE_NONE) {
        if (v[5]->kind != PZ_PICKLE_TUPLE || v[5]->u.items.n != 3)
            return pz_pickle_fail(p, PZ_ERR_FORMAT, "a storage with a broken view");
        const struct pz_pickle_node *off = pz_pickle_item(p, v[5], 1), *len = pz_pickle_item(p, v[5], 2);
        if (off->kind != PZ_PICKLE_INT || len->kind != PZ_PICKLE_INT || off->u.i < 0 || len->u.i < 0 ||
            off->u.i > s.numel || len->u.i > s.numel - off->u.i)
            return pz_pickle_fail(p, PZ_ERR_FORMAT, "a view that leaves its storage");
        s.view = off->u.i;
        s.view_numel = len->u.i;
    }
    enum pz_status st;
    PZ_TRY(
        pz_pickle_room(p, &p->storages, p->n_storages, &p->cap_storages, sizeof s, MAX_STORAGES, "storages"));
    PZ_TRY(pz_pickle_new(p, PZ_PICKLE_STORAGE, out));
    p->nodes[*out].u.index = p->n_storages;
    p->storages[p->n_storages++] = s;
fail:
    return st;
}
