/*
 * The pickle machine: a stack, a memo, one value node an opcode. Strings are not copied. Every count is
 * bounded by the bytes read and by a limit; nothing here recurses, so deep nesting costs memory only. Does
 * not know what PyTorch's names mean (pytorch_object.c does) nor where storages lie.
 */
#include "weights/pytorch_pickle.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

#define MAX_NODES (4u << 20)
#define MAX_MARKS 10000u
#define MAX_MEMO (4u << 20)
#define UNSET UINT32_MAX

enum pz_status pz_pickle_fail(struct pz_pickle *p, enum pz_status st, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return pz_fail(p->log, st, "'%s': byte %zu of its pickle: %s", p->file, p->at, text);
}

enum pz_status pz_pickle_room(struct pz_pickle *p, void *array, uint32_t n, uint32_t *cap, size_t size,
                              uint32_t max, const char *what)
{
    if (n < *cap)
        return PZ_OK;
    if (n >= max)
        return pz_pickle_fail(p, PZ_ERR_FORMAT, "more than %u %s", max, what);
    uint32_t want = *cap ? *cap * 2 : 256;
    if (want > max)
        want = max;
    void *old;
    memcpy(&old, array, sizeof old);
    void *grown = pz_regrow(old, *cap, want, size);
    if (!grown)
        return pz_pickle_fail(p, PZ_ERR_NOMEM, "no memory for %u %s", want, what);
    memcpy(array, &grown, sizeof grown);
    *cap = want;
    return PZ_OK;
}

enum pz_status pz_pickle_new(struct pz_pickle *p, enum pz_pickle_kind kind, uint32_t *node)
{
    *node = 0;
    enum pz_status st =
        pz_pickle_room(p, &p->nodes, p->n_nodes, &p->cap_nodes, sizeof *p->nodes, MAX_NODES, "values");
    if (st < PZ_OK)
        return st;
    *node = p->n_nodes++;
    p->nodes[*node] = (struct pz_pickle_node){.kind = (uint8_t)kind};
    return PZ_OK;
}

enum pz_status pz_pickle_append(struct pz_pickle *p, uint32_t container, uint32_t item)
{
    enum pz_status st = pz_pickle_room(p, &p->cells, p->n_cells, &p->cap_cells, sizeof *p->cells,
                                       2 * MAX_NODES, "items in containers");
    if (st < PZ_OK)
        return st;
    uint32_t cell = p->n_cells++;
    struct pz_pickle_node *c = &p->nodes[container];
    p->cells[cell] = (struct pz_pickle_cell){.node = item};
    if (c->u.items.tail)
        p->cells[c->u.items.tail].next = cell;
    else
        c->u.items.head = cell;
    c->u.items.tail = cell;
    c->u.items.n++;
    return PZ_OK;
}

const struct pz_pickle_node *pz_pickle_item(const struct pz_pickle *p, const struct pz_pickle_node *v,
                                            uint32_t i)
{
    for (uint32_t c = v->u.items.head; c; c = p->cells[c].next, i--)
        if (i == 0)
            return &p->nodes[p->cells[c].node];
    return NULL;
}

static enum pz_status push(struct pz_pickle *p, uint32_t node)
{
    enum pz_status st = pz_pickle_room(p, &p->stack, p->n_stack, &p->cap_stack, sizeof *p->stack, MAX_NODES,
                                       "values on its stack");
    if (st < PZ_OK)
        return st;
    p->stack[p->n_stack++] = node;
    return PZ_OK;
}

/* Lowest stack height an opcode may pop to: values below the last mark are out of its reach. */
static uint32_t floor_of(const struct pz_pickle *p)
{
    return p->n_marks ? p->marks[p->n_marks - 1] : 0;
}

static enum pz_status pop(struct pz_pickle *p, uint32_t *node)
{
    *node = 0;
    if (p->n_stack <= floor_of(p))
        return pz_pickle_fail(p, PZ_ERR_FORMAT, "takes a value that is not there");
    *node = p->stack[--p->n_stack];
    return PZ_OK;
}

static enum pz_status pop_mark(struct pz_pickle *p, uint32_t *from)
{
    *from = 0;
    if (!p->n_marks)
        return pz_pickle_fail(p, PZ_ERR_FORMAT, "ends a group that did not begin");
    *from = p->marks[--p->n_marks];
    return PZ_OK;
}

/* `n` bytes of the stream; their offset in `*off`. */
static enum pz_status take(struct pz_pickle *p, uint64_t n, uint32_t *off)
{
    *off = 0;
    if (n > p->n - p->at)
        return pz_pickle_fail(p, PZ_ERR_FORMAT, "a value of %llu bytes, but only %zu are left",
                              (unsigned long long)n, p->n - p->at);
    *off = (uint32_t)p->at;
    p->at += (size_t)n;
    return PZ_OK;
}

static enum pz_status take_uint(struct pz_pickle *p, int n_bytes, uint64_t *v)
{
    uint32_t off;
    enum pz_status st = take(p, (uint64_t)n_bytes, &off);
    *v = 0;
    if (st < PZ_OK)
        return st;
    for (int i = n_bytes - 1; i >= 0; i--)
        *v = *v << 8 | p->data[off + (uint32_t)i];
    return PZ_OK;
}

static enum pz_status push_int(struct pz_pickle *p, enum pz_pickle_kind kind, int64_t v)
{
    uint32_t node;
    enum pz_status st = pz_pickle_new(p, kind, &node);
    if (st < PZ_OK)
        return st;
    p->nodes[node].u.i = v;
    return push(p, node);
}

/* Text, bytes or a long, with a length of `n_len` bytes before it. */
static enum pz_status push_text(struct pz_pickle *p, enum pz_pickle_kind kind, int n_len)
{
    uint64_t len;
    uint32_t off, node;
    enum pz_status st;
    PZ_TRY(take_uint(p, n_len, &len));
    PZ_TRY(take(p, len, &off));
    if (kind == PZ_PICKLE_BIGINT && len <= 8) {
        uint64_t v = len && p->data[off + len - 1] & 0x80 ? UINT64_MAX : 0;
        for (uint64_t i = len; i-- > 0;)
            v = v << 8 | p->data[off + i];
        return push_int(p, PZ_PICKLE_INT, (int64_t)v);
    }
    PZ_TRY(pz_pickle_new(p, kind, &node));
    p->nodes[node].u.text.off = off;
    p->nodes[node].u.text.len = (uint32_t)len;
    return push(p, node);
fail:
    return st;
}

static enum pz_status push_float(struct pz_pickle *p)
{
    uint64_t v = 0;
    uint32_t off, node;
    enum pz_status st;
    PZ_TRY(take(p, 8, &off));
    for (uint32_t i = 0; i < 8; i++)
        v = v << 8 | p->data[off + i]; /* the one big-endian number of the format */
    PZ_TRY(pz_pickle_new(p, PZ_PICKLE_FLOAT, &node));
    memcpy(&p->nodes[node].u.f, &v, 8);
    return push(p, node);
fail:
    return st;
}

/* Numbers, strings, constants. PZ_END: not one of these. */
static enum pz_status op_scalar(struct pz_pickle *p, uint8_t op)
{
    uint64_t v;
    enum pz_status st;
    switch (op) {
    case 'N':
        return push(p, 0);
    case 0x88: /* NEWTRUE */
    case 0x89: /* NEWFALSE */
        return push_int(p, PZ_PICKLE_BOOL, op == 0x88);
    case 'K': /* BININT1 */
    case 'M': /* BININT2 */
        PZ_TRY(take_uint(p, op == 'K' ? 1 : 2, &v));
        return push_int(p, PZ_PICKLE_INT, (int64_t)v);
    case 'J': /* BININT */
        PZ_TRY(take_uint(p, 4, &v));
        return push_int(p, PZ_PICKLE_INT, (int32_t)(uint32_t)v);
    case 0x8a: /* LONG1 */
        return push_text(p, PZ_PICKLE_BIGINT, 1);
    case 0x8b: /* LONG4 */
        return push_text(p, PZ_PICKLE_BIGINT, 4);
    case 'G': /* BINFLOAT */
        return push_float(p);
    case 0x8c: /* SHORT_BINUNICODE */
    case 'U':  /* SHORT_BINSTRING */
        return push_text(p, PZ_PICKLE_STRING, 1);
    case 'X': /* BINUNICODE */
    case 'T': /* BINSTRING */
        return push_text(p, PZ_PICKLE_STRING, 4);
    case 0x8d: /* BINUNICODE8 */
        return push_text(p, PZ_PICKLE_STRING, 8);
    case 'C': /* SHORT_BINBYTES */
        return push_text(p, PZ_PICKLE_BYTES, 1);
    case 'B': /* BINBYTES */
        return push_text(p, PZ_PICKLE_BYTES, 4);
    case 0x8e: /* BINBYTES8 */
    case 0x96: /* BYTEARRAY8 */
        return push_text(p, PZ_PICKLE_BYTES, 8);
    default:
        return PZ_END;
    }
fail:
    return st;
}

/* Append stack[from…] to a container and drop them from the stack. */
static enum pz_status fill(struct pz_pickle *p, uint32_t container, uint32_t from)
{
    enum pz_status st = PZ_OK;
    for (uint32_t i = from; i < p->n_stack && st >= PZ_OK; i++)
        st = pz_pickle_append(p, container, p->stack[i]);
    p->n_stack = from;
    return st;
}

/* A new container of the `n` topmost values, or of all behind the last mark when `n` is UNSET. */
static enum pz_status gather(struct pz_pickle *p, enum pz_pickle_kind kind, uint32_t n)
{
    uint32_t from, node;
    enum pz_status st;
    if (n == UNSET) {
        PZ_TRY(pop_mark(p, &from));
    } else {
        if (p->n_stack - floor_of(p) < n)
            return pz_pickle_fail(p, PZ_ERR_FORMAT, "takes values that are not there");
        from = p->n_stack - n;
    }
    if (kind == PZ_PICKLE_DICT && (p->n_stack - from) % 2)
        return pz_pickle_fail(p, PZ_ERR_FORMAT, "a dict with a key that has no value");
    PZ_TRY(pz_pickle_new(p, kind, &node));
    PZ_TRY(fill(p, node, from));
    return push(p, node);
fail:
    return st;
}

/* SETITEM(S), APPEND(S), ADDITEMS: values behind `from` go into the container below them. */
static enum pz_status extend(struct pz_pickle *p, uint32_t from, bool pairs)
{
    if (from <= floor_of(p) || from > p->n_stack)
        return pz_pickle_fail(p, PZ_ERR_FORMAT, "adds items to nothing");
    uint32_t c = p->stack[from - 1];
    uint8_t kind = p->nodes[c].kind;
    if (kind != PZ_PICKLE_OPAQUE && kind != (pairs ? PZ_PICKLE_DICT : PZ_PICKLE_LIST))
        return pz_pickle_fail(p, PZ_ERR_FORMAT, "adds items to something that holds none");
    if (pairs && (p->n_stack - from) % 2)
        return pz_pickle_fail(p, PZ_ERR_FORMAT, "a key has no value");
    return fill(p, c, from);
}

/* Containers. PZ_END: not one of these. */
static enum pz_status op_container(struct pz_pickle *p, uint8_t op)
{
    uint32_t from;
    enum pz_status st;
    switch (op) {
    case '(':
        PZ_TRY(pz_pickle_room(p, &p->marks, p->n_marks, &p->cap_marks, sizeof *p->marks, MAX_MARKS,
                              "groups inside each other"));
        p->marks[p->n_marks++] = p->n_stack;
        return PZ_OK;
    case ')':
        return gather(p, PZ_PICKLE_TUPLE, 0);
    case 0x85:
    case 0x86:
    case 0x87:
        return gather(p, PZ_PICKLE_TUPLE, op - 0x84u);
    case 't':
        return gather(p, PZ_PICKLE_TUPLE, UNSET);
    case ']':
        return gather(p, PZ_PICKLE_LIST, 0);
    case 'l':
        return gather(p, PZ_PICKLE_LIST, UNSET);
    case '}':
        return gather(p, PZ_PICKLE_DICT, 0);
    case 'd':
        return gather(p, PZ_PICKLE_DICT, UNSET);
    case 0x8f: /* EMPTY_SET: sets matter to nobody here */
        return gather(p, PZ_PICKLE_OPAQUE, 0);
    case 0x91: /* FROZENSET */
        return gather(p, PZ_PICKLE_OPAQUE, UNSET);
    case 's': /* SETITEM */
    case 'a': /* APPEND */
        from = op == 's' ? 2 : 1;
        if (p->n_stack < from)
            return pz_pickle_fail(p, PZ_ERR_FORMAT, "takes values that are not there");
        return extend(p, p->n_stack - from, op == 's');
    case 'u':  /* SETITEMS */
    case 'e':  /* APPENDS */
    case 0x90: /* ADDITEMS */
        PZ_TRY(pop_mark(p, &from));
        return extend(p, from, op == 'u');
    case '0': /* POP; on a mark it takes the mark */
        if (p->n_marks && p->n_stack == floor_of(p)) {
            p->n_marks--;
            return PZ_OK;
        }
        return pop(p, &from);
    case '1': /* POP_MARK */
        PZ_TRY(pop_mark(p, &from));
        p->n_stack = from;
        return PZ_OK;
    case '2': /* DUP */
        PZ_TRY(pop(p, &from));
        PZ_TRY(push(p, from));
        return push(p, from);
    default:
        return PZ_END;
    }
fail:
    return st;
}

static enum pz_status remember(struct pz_pickle *p, uint64_t index)
{
    if (index >= MAX_MEMO)
        return pz_pickle_fail(p, PZ_ERR_FORMAT, "memo number %llu", (unsigned long long)index);
    if (p->n_stack <= floor_of(p))
        return pz_pickle_fail(p, PZ_ERR_FORMAT, "stores a value that is not there");
    while (p->n_memo <= index) {
        enum pz_status st =
            pz_pickle_room(p, &p->memo, p->n_memo, &p->cap_memo, sizeof *p->memo, MAX_MEMO, "stored values");
        if (st < PZ_OK)
            return st;
        p->memo[p->n_memo++] = UNSET;
    }
    p->memo[index] = p->stack[p->n_stack - 1];
    return PZ_OK;
}

/* PUT, GET, MEMOIZE and framing. PZ_END: not one of these. */
static enum pz_status op_memo(struct pz_pickle *p, uint8_t op)
{
    uint64_t v;
    enum pz_status st;
    switch (op) {
    case 'q': /* BINPUT */
    case 'r': /* LONG_BINPUT */
        PZ_TRY(take_uint(p, op == 'q' ? 1 : 4, &v));
        return remember(p, v);
    case 0x94: /* MEMOIZE */
        return remember(p, p->n_memo);
    case 'h': /* BINGET */
    case 'j': /* LONG_BINGET */
        PZ_TRY(take_uint(p, op == 'h' ? 1 : 4, &v));
        if (v >= p->n_memo || p->memo[v] == UNSET)
            return pz_pickle_fail(p, PZ_ERR_FORMAT, "asks for stored value %llu, which is not there",
                                  (unsigned long long)v);
        return push(p, p->memo[v]);
    case 0x80: /* PROTO */
        PZ_TRY(take_uint(p, 1, &v));
        if (v < 2 || v > 5)
            return pz_pickle_fail(p, PZ_ERR_UNSUPPORTED, "protocol %d; 2 to 5 are read", (int)v);
        return PZ_OK;
    case 0x95: /* FRAME: only a hint for buffered readers */
        return take_uint(p, 8, &v);
    default:
        return PZ_END;
    }
fail:
    return st;
}

static enum pz_status take_line(struct pz_pickle *p, uint32_t *off, uint32_t *len)
{
    *off = *len = 0;
    const uint8_t *from = p->data + p->at, *nl = memchr(from, '\n', p->n - p->at);
    if (!nl)
        return pz_pickle_fail(p, PZ_ERR_FORMAT, "a class name that does not end");
    *len = (uint32_t)(nl - from);
    return take(p, (uint64_t)*len + 1, off);
}

static enum pz_status op_global(struct pz_pickle *p, bool from_stack)
{
    uint32_t node, module, name, mo, ml, no, nl;
    enum pz_status st;
    if (from_stack) {
        PZ_TRY(pop(p, &name));
        PZ_TRY(pop(p, &module));
        const struct pz_pickle_node *m = &p->nodes[module], *n = &p->nodes[name];
        if (m->kind != PZ_PICKLE_STRING || n->kind != PZ_PICKLE_STRING)
            return pz_pickle_fail(p, PZ_ERR_FORMAT, "a class name that is not text");
        mo = m->u.text.off, ml = m->u.text.len, no = n->u.text.off, nl = n->u.text.len;
    } else {
        PZ_TRY(take_line(p, &mo, &ml));
        PZ_TRY(take_line(p, &no, &nl));
    }
    PZ_TRY(pz_pickle_new(p, PZ_PICKLE_GLOBAL, &node));
    struct pz_pickle_node *g = &p->nodes[node];
    g->u.global.module = mo, g->u.global.n_module = ml, g->u.global.name = no, g->u.global.n_name = nl;
    pz_pickle_classify(p, g);
    return push(p, node);
fail:
    return st;
}

/* Classes, calls, state. PZ_END: not one of these. */
static enum pz_status op_object(struct pz_pickle *p, uint8_t op)
{
    uint32_t a, b, kw, out;
    enum pz_status st;
    switch (op) {
    case 'c':  /* GLOBAL */
    case 0x93: /* STACK_GLOBAL */
        return op_global(p, op == 0x93);
    case 'R':  /* REDUCE */
    case 0x81: /* NEWOBJ */
        PZ_TRY(pop(p, &b));
        PZ_TRY(pop(p, &a));
        PZ_TRY(pz_pickle_call(p, a, b, op == 0x81, &out));
        return push(p, out);
    case 0x92: /* NEWOBJ_EX */
        PZ_TRY(pop(p, &kw));
        PZ_TRY(pop(p, &b));
        PZ_TRY(pop(p, &a));
        PZ_TRY(pz_pickle_new(p, PZ_PICKLE_OPAQUE, &out));
        p->nodes[out].u.items.of = p->nodes[a].kind == PZ_PICKLE_GLOBAL ? a : 0;
        PZ_TRY(pz_pickle_append(p, out, b));
        PZ_TRY(pz_pickle_append(p, out, kw));
        return push(p, out);
    case 'b': /* BUILD: the state of an object; on a dict it is PyTorch's _metadata, which nobody needs */
        PZ_TRY(pop(p, &b));
        PZ_TRY(pop(p, &a));
        if (p->nodes[a].kind == PZ_PICKLE_OPAQUE)
            PZ_TRY(pz_pickle_append(p, a, b));
        return push(p, a);
    case 'Q': /* BINPERSID */
        PZ_TRY(pop(p, &a));
        PZ_TRY(pz_pickle_persistent(p, a, &out));
        return push(p, out);
    default:
        return PZ_END;
    }
fail:
    return st;
}

static enum pz_status step(struct pz_pickle *p, uint8_t op)
{
    enum pz_status st = op_scalar(p, op);
    if (st == PZ_END)
        st = op_container(p, op);
    if (st == PZ_END)
        st = op_memo(p, op);
    if (st == PZ_END)
        st = op_object(p, op);
    if (st == PZ_END)
        st = pz_pickle_fail(p, PZ_ERR_UNSUPPORTED, "opcode 0x%02x, which this program does not read", op);
    return st;
}

enum pz_status pz_pickle_read(struct pz_pickle *p, struct pz_log *log, const char *file, const uint8_t *data,
                              size_t n)
{
    uint32_t none;
    enum pz_status st;
    *p = (struct pz_pickle){.log = log, .file = file, .data = data, .n = n, .n_cells = 1};
    if (p->n > PZ_PICKLE_MAX_BYTES)
        p->n = PZ_PICKLE_MAX_BYTES; /* whole legacy files are given; the pickle ends long before */
    PZ_TRY(pz_pickle_room(p, &p->cells, p->n_cells, &p->cap_cells, sizeof *p->cells, MAX_NODES, "items"));
    PZ_TRY(pz_pickle_new(p, PZ_PICKLE_NONE, &none));
    for (;;) {
        if (p->at >= p->n)
            return pz_pickle_fail(p, PZ_ERR_FORMAT, "it does not end (is the file truncated?)");
        uint8_t op = p->data[p->at++];
        if (op == '.')
            break;
        PZ_TRY(step(p, op));
    }
    if (p->n_marks || p->n_stack != 1)
        return pz_pickle_fail(p, PZ_ERR_FORMAT, "it ends with %u values, not one", p->n_stack);
    p->root = p->stack[0];
fail:
    pz_free(p->stack);
    pz_free(p->marks);
    pz_free(p->memo);
    p->stack = p->marks = p->memo = NULL;
    return st;
}

void pz_pickle_free(struct pz_pickle *p)
{
    pz_free(p->nodes);
    pz_free(p->cells);
    pz_free(p->storages);
    pz_free(p->tensors);
    pz_free(p->stack);
    pz_free(p->marks);
    pz_free(p->memo);
    *p = (struct pz_pickle){0};
}

bool pz_pickle_is(const struct pz_pickle *p, const struct pz_pickle_node *v, const char *s)
{
    return (v->kind == PZ_PICKLE_STRING || v->kind == PZ_PICKLE_BYTES) && strlen(s) == v->u.text.len &&
           memcmp(p->data + v->u.text.off, s, v->u.text.len) == 0;
}

const struct pz_pickle_node *pz_pickle_get(const struct pz_pickle *p, const struct pz_pickle_node *dict,
                                           const char *key)
{
    const struct pz_pickle_node *hit = NULL;
    if (dict->kind != PZ_PICKLE_DICT)
        return NULL;
    for (uint32_t c = dict->u.items.head; c && p->cells[c].next; c = p->cells[p->cells[c].next].next)
        if (pz_pickle_is(p, &p->nodes[p->cells[c].node], key))
            hit = &p->nodes[p->cells[p->cells[c].next].node];
    return hit;
}
