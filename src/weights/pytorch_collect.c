/*
 * Walks the values of a PyTorch pickle and lists the tensors of its state dict by their dotted names. Each is
 * checked against the bytes of its storage. Cycles, deep nesting and dicts that multiply themselves end in an
 * error; objects of unknown classes are passed over unless they hold tensors.
 */
#include "weights/pytorch_collect.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MAX_DEPTH 64
#define MAX_VISITS (4 << 20)
#define MAX_EXPANDED ((int64_t)1 << 28) /* elements of a tensor that repeats its storage */

struct collect {
    struct pz_checkpoint *c;
    struct pz_pickle *p;
    bool swapped;
    pz_storage_find_fn find;
    const void *user;
    char name[PZ_CHECKPOINT_MAX_NAME];
    size_t n_name;
    int depth, visits;
};

static enum pz_status bad(struct collect *x, enum pz_status st, const char *what)
{
    return pz_fail(x->c->log, st, "'%s': tensor '%.200s' %s", x->c->path, x->name, what);
}

/* Elements, and one past the last element touched, counted from the tensor's offset. */
static bool extent(const struct pz_pickle_tensor *t, int64_t *elements, int64_t *end)
{
    *elements = 1;
    *end = 1;
    bool none = false;
    for (int i = 0; i < t->rank; i++) {
        int64_t reach;
        if (t->shape[i] < 0 || t->stride[i] < 0)
            return false;
        if (t->shape[i] == 0) {
            none = true;
            continue;
        }
        if (__builtin_mul_overflow(*elements, t->shape[i], elements) ||
            __builtin_mul_overflow(t->shape[i] - 1, t->stride[i], &reach) ||
            __builtin_add_overflow(*end, reach, end))
            return false;
    }
    if (none)
        *elements = *end = 0;
    return *elements <= PTRDIFF_MAX / 16 && *end <= PTRDIFF_MAX / 16;
}

static enum pz_status add_tensor(struct collect *x, const struct pz_pickle_tensor *t)
{
    const struct pz_pickle_storage *s = &x->p->storages[t->storage];
    const char *key = (const char *)x->p->data + s->key;
    int shown = s->n_key < 100 ? (int)s->n_key : 100;
    if (t->dtype >= PZ_DTYPE_COUNT || s->elem == 0) {
        char type[128], text[200];
        pz_pickle_class_name(x->p, &x->p->nodes[s->type], type, sizeof type);
        snprintf(text, sizeof text, "is of type %s, which this program does not read", type);
        return bad(x, PZ_ERR_UNSUPPORTED, text);
    }
    const uint8_t *data;
    size_t n;
    if (!x->find(x->user, key, s->n_key, &data, &n))
        return pz_fail(x->c->log, PZ_ERR_FORMAT,
                       "'%s': tensor '%.200s' lies in storage '%.*s', which is not there", x->c->path,
                       x->name, shown, key);
    if ((uint64_t)s->numel > n / s->elem)
        return pz_fail(x->c->log, PZ_ERR_FORMAT,
                       "'%s': tensor '%.200s': storage '%.*s' has %zu bytes, %" PRId64 " × %d were promised",
                       x->c->path, x->name, shown, key, n, s->numel, s->elem);
    data += s->view * s->elem;
    int64_t have = s->view_numel * s->elem / t->elem, elements, end;
    if (!extent(t, &elements, &end))
        return bad(x, PZ_ERR_FORMAT, "has an impossible shape");
    if (t->offset < 0 || t->offset > have || end > have - t->offset)
        return bad(x, PZ_ERR_FORMAT, "reaches beyond its storage");
    if (elements > have && elements > MAX_EXPANDED)
        return bad(x, PZ_ERR_FORMAT, "repeats a small storage into an enormous tensor");
    struct pz_checkpoint_tensor to = {.name = x->name,
                                      .dtype = (enum pz_dtype)t->dtype,
                                      .rank = t->rank,
                                      .data = data + t->offset * t->elem,
                                      .n_bytes = (size_t)end * t->elem,
                                      .swapped = x->swapped && t->elem > 1};
    memcpy(to.shape, t->shape, sizeof to.shape);
    memcpy(to.strides, t->stride, sizeof to.strides);
    return pz_checkpoint_add(x->c, &to);
}

/* Is there a tensor, storage or tensor-making call anywhere in `v`? Negative: too deep to tell. */
static int holds_tensors(struct pz_pickle *p, struct pz_pickle_node *v, int depth)
{
    if (v->kind == PZ_PICKLE_TENSOR || v->kind == PZ_PICKLE_STORAGE)
        return 1;
    if (v->kind != PZ_PICKLE_TUPLE && v->kind != PZ_PICKLE_LIST && v->kind != PZ_PICKLE_DICT &&
        v->kind != PZ_PICKLE_OPAQUE)
        return 0;
    if (v->kind == PZ_PICKLE_OPAQUE && p->nodes[v->u.items.of].kind == PZ_PICKLE_GLOBAL &&
        p->nodes[v->u.items.of].cls == PZ_PICKLE_CLASS_BUILDER)
        return 1;
    if (v->seen)
        return 0;
    if (depth > MAX_DEPTH)
        return -1;
    v->seen =
        true; /* what it holds is told once, by the first to ask: that is an error, so nobody asks again */
    for (uint32_t c = v->u.items.head; c; c = p->cells[c].next) {
        int r = holds_tensors(p, &p->nodes[p->cells[c].node], depth + 1);
        if (r)
            return r;
    }
    return 0;
}

static enum pz_status check_opaque(struct collect *x, struct pz_pickle_node *v)
{
    char cls[256];
    int r = holds_tensors(x->p, v, 0);
    if (r == 0)
        return PZ_OK;
    pz_pickle_class_name(x->p, v, cls, sizeof cls);
    if (r < 0)
        return pz_fail(x->c->log, PZ_ERR_FORMAT, "'%s': '%.200s' (%s) is nested too deep", x->c->path,
                       x->name, cls);
    if (!x->n_name)
        return pz_fail(x->c->log, PZ_ERR_UNSUPPORTED,
                       "'%s' holds a whole object of class %s; a file with its state_dict() is needed",
                       x->c->path, cls);
    return pz_fail(
        x->c->log, PZ_ERR_UNSUPPORTED,
        "'%s': '%.200s' holds tensors inside an object of class %s, which this program does not read",
        x->c->path, x->name, cls);
}

/* Append ".key" to the name; the old length in `*back`. */
static enum pz_status push_name(struct collect *x, const char *key, size_t n, size_t *back)
{
    *back = x->n_name;
    size_t dot = x->n_name ? 1 : 0;
    if (n >= sizeof x->name - x->n_name - dot)
        return pz_fail(x->c->log, PZ_ERR_FORMAT, "'%s': a name below '%.200s' is too long", x->c->path,
                       x->name);
    if (memchr(key, '\0', n))
        return pz_fail(x->c->log, PZ_ERR_FORMAT, "'%s': a name below '%.200s' holds a zero byte", x->c->path,
                       x->name);
    if (dot)
        x->name[x->n_name++] = '.';
    memcpy(x->name + x->n_name, key, n);
    x->n_name += n;
    x->name[x->n_name] = '\0';
    return PZ_OK;
}

static void pop_name(struct collect *x, size_t back)
{
    x->n_name = back;
    x->name[back] = '\0';
}

static enum pz_status walk(struct collect *x, struct pz_pickle_node *v);

static enum pz_status walk_named(struct collect *x, const char *key, size_t n, struct pz_pickle_node *v)
{
    size_t back;
    enum pz_status st = push_name(x, key, n, &back);
    if (st < PZ_OK)
        return st;
    st = walk(x, v);
    pop_name(x, back);
    return st;
}

static enum pz_status walk_dict(struct collect *x, const struct pz_pickle_node *v)
{
    struct pz_pickle *p = x->p;
    enum pz_status st = PZ_OK;
    bool outermost = x->depth == 1 && !x->c->options.root;
    for (uint32_t c = v->u.items.head; c && st >= PZ_OK; c = p->cells[p->cells[c].next].next) {
        const struct pz_pickle_node *k = &p->nodes[p->cells[c].node];
        struct pz_pickle_node *item = &p->nodes[p->cells[p->cells[c].next].node];
        char digits[24];
        if (k->kind == PZ_PICKLE_STRING) {
            const char *key = (const char *)p->data + k->u.text.off;
            if (outermost && item->kind != PZ_PICKLE_TENSOR && k->u.text.len >= 5 &&
                memcmp(key, "optim", 5) == 0)
                continue;
            st = walk_named(x, key, k->u.text.len, item);
        } else if (k->kind == PZ_PICKLE_INT) {
            snprintf(digits, sizeof digits, "%" PRId64, k->u.i);
            st = walk_named(x, digits, strlen(digits), item);
        } else {
            /* A key that is neither: its value has no name, so it may hold no tensor. */
            st = item->kind == PZ_PICKLE_TENSOR
                     ? bad(x, PZ_ERR_UNSUPPORTED, "holds a tensor under a key that is no text")
                     : check_opaque(x, item);
        }
    }
    return st;
}

static enum pz_status walk(struct collect *x, struct pz_pickle_node *v)
{
    enum pz_status st = PZ_OK;
    if (++x->visits > MAX_VISITS)
        return pz_fail(x->c->log, PZ_ERR_FORMAT, "'%s': more than %d values", x->c->path, MAX_VISITS);
    if (v->kind == PZ_PICKLE_TENSOR) {
        if (!x->n_name)
            return walk_named(x, "tensor", 6, v);
        return add_tensor(x, &x->p->tensors[v->u.index]);
    }
    if (v->kind == PZ_PICKLE_OPAQUE)
        return check_opaque(x, v);
    if (v->kind != PZ_PICKLE_DICT && v->kind != PZ_PICKLE_LIST && v->kind != PZ_PICKLE_TUPLE)
        return PZ_OK;
    if (v->on_path)
        return pz_fail(x->c->log, PZ_ERR_FORMAT, "'%s': '%.200s' contains itself", x->c->path, x->name);
    if (x->depth >= MAX_DEPTH)
        return pz_fail(x->c->log, PZ_ERR_FORMAT, "'%s': '%.200s' is nested deeper than %d", x->c->path,
                       x->name, MAX_DEPTH);
    v->on_path = true;
    x->depth++;
    if (v->kind == PZ_PICKLE_DICT) {
        st = walk_dict(x, v);
    } else {
        char digits[24];
        uint32_t i = 0;
        for (uint32_t c = v->u.items.head; c && st >= PZ_OK; c = x->p->cells[c].next) {
            snprintf(digits, sizeof digits, "%u", i++);
            st = walk_named(x, digits, strlen(digits), &x->p->nodes[x->p->cells[c].node]);
        }
    }
    x->depth--;
    v->on_path = false;
    return st;
}

/* Numbers of one dict; those of dicts inside it too when `deeper`. */
static enum pz_status add_numbers(struct collect *x, const struct pz_pickle_node *dict, bool deeper)
{
    struct pz_pickle *p = x->p;
    enum pz_status st = PZ_OK;
    for (uint32_t c = dict->u.items.head; c && st >= PZ_OK; c = p->cells[p->cells[c].next].next) {
        const struct pz_pickle_node *k = &p->nodes[p->cells[c].node];
        const struct pz_pickle_node *v = &p->nodes[p->cells[p->cells[c].next].node];
        size_t back;
        bool number = v->kind == PZ_PICKLE_INT || v->kind == PZ_PICKLE_FLOAT;
        if (k->kind != PZ_PICKLE_STRING || (!number && !(deeper && v->kind == PZ_PICKLE_DICT)) ||
            k->u.text.len > 200 || memchr(p->data + k->u.text.off, '\0', k->u.text.len))
            continue;
        st = push_name(x, (const char *)p->data + k->u.text.off, k->u.text.len, &back);
        if (st < PZ_OK)
            return st;
        st = number
                 ? pz_checkpoint_add_number(x->c, x->name, v->kind == PZ_PICKLE_INT ? (double)v->u.i : v->u.f)
                 : add_numbers(x, v, false);
        pop_name(x, back);
    }
    return st;
}

enum pz_status pz_pytorch_collect(struct pz_checkpoint *c, struct pz_pickle *p, bool swapped,
                                  pz_storage_find_fn find, const void *user)
{
    static const char *const usual[] = {"state_dict", "model_state_dict", "model"};
    struct collect x = {.c = c, .p = p, .swapped = swapped, .find = find, .user = user};
    const struct pz_pickle_node *top = &p->nodes[p->root], *root = NULL;
    enum pz_status st;
    if (c->options.root) {
        root = pz_pickle_get(p, top, c->options.root);
        if (!root)
            return pz_fail(c->log, PZ_ERR_FORMAT, "'%s' holds nothing named '%.200s'", c->path,
                           c->options.root);
    }
    for (size_t i = 0; i < sizeof usual / sizeof *usual && !root; i++) {
        root = pz_pickle_get(p, top, usual[i]);
        if (root && root->kind != PZ_PICKLE_DICT)
            root = NULL;
    }
    if (top->kind == PZ_PICKLE_DICT) {
        st = add_numbers(&x, top, true);
        if (st < PZ_OK)
            return st;
    }
    /* Below an inner root no key is left out: only the outermost dict has an optimizer beside the weights. */
    if (root)
        x.depth = 1;
    st = walk(&x, &p->nodes[root ? (uint32_t)(root - p->nodes) : p->root]);
    if (st >= PZ_OK && c->n_tensors == 0)
        st = pz_fail(c->log, PZ_ERR_FORMAT, "'%s' holds no tensors", c->path);
    return st;
}
