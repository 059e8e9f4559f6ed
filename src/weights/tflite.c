/* The walk over a .tflite file: tensors, then operators in order, each handed to tflite_ops.c. */
#include "weights/tflite.h"

#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "weights/tflite_impl.h"

#define MAX_TENSORS 65536
#define MAX_OPERATORS 8192

static enum pz_status broken(struct pz_tflite *t, const char *what)
{
    return pz_fail(t->log, PZ_ERR_FORMAT, "'%s' is not a readable TensorFlow Lite file: %s", t->name, what);
}

static enum pz_status read_tensor(struct pz_tflite *t, size_t table, struct pz_tflite_tensor *out)
{
    struct pz_flat *f = &t->f;
    struct pz_flat_vec dims = pz_flat_vector(f, table, 0, 4);
    int type = pz_flat_u8(f, table, 1, 0);
    static const enum pz_dtype types[] = {PZ_DTYPE_F32, PZ_DTYPE_F16, PZ_DTYPE_I32};
    *out = (struct pz_tflite_tensor){.value = PZ_NONE, .dtype = type < 3 ? types[type] : PZ_DTYPE_COUNT};
    if (dims.n > PZ_MAX_RANK)
        return broken(t, "a tensor has too many axes");
    out->shape.rank = (int)dims.n;
    for (size_t i = 0; i < dims.n; i++)
        out->shape.dim[i] = (int)(int32_t)pz_flat_uint(f, dims.at + 4 * i, 4);
    uint32_t buffer = (uint32_t)pz_flat_i32(f, table, 2, 0);
    pz_flat_text(f, table, 3, out->name, sizeof out->name);
    if (f->bad || buffer >= t->buffers.n)
        return broken(t, "a tensor points outside the file");
    struct pz_flat_vec data = pz_flat_vector(f, pz_flat_item_table(f, t->buffers, buffer), 0, 1);
    if (f->bad)
        return broken(t, "a buffer lies outside the file");
    if (!pz_shape_valid(&out->shape))
        return broken(t, "a tensor has an impossible shape");
    if (data.n && out->dtype != PZ_DTYPE_COUNT) {
        if (data.n != pz_shape_count(&out->shape) * pz_dtype_size(out->dtype))
            return broken(t, "a tensor's data does not match its shape");
        out->data = f->d + data.at;
    }
    return PZ_OK;
}

static enum pz_status read_tensors(struct pz_tflite *t, size_t graph)
{
    struct pz_flat_vec v = pz_flat_vector(&t->f, graph, 0, 4);
    if (t->f.bad || v.n == 0 || v.n > MAX_TENSORS)
        return broken(t, "no tensors, or too many");
    t->n_tensors = (int)v.n;
    t->tensors = pz_calloc(v.n, sizeof *t->tensors);
    if (!t->tensors)
        return pz_fail(t->log, PZ_ERR_NOMEM, "no memory to read '%s'", t->name);
    for (size_t i = 0; i < v.n; i++) {
        enum pz_status st = read_tensor(t, pz_flat_item_table(&t->f, v, i), &t->tensors[i]);
        if (st < PZ_OK)
            return st;
    }
    return PZ_OK;
}

static enum pz_status read_operator(struct pz_tflite *t, size_t table, struct pz_tflite_op *op)
{
    struct pz_flat *f = &t->f;
    struct pz_flat_vec in = pz_flat_vector(f, table, 1, 4), out = pz_flat_vector(f, table, 2, 4);
    uint32_t code_index = (uint32_t)pz_flat_i32(f, table, 0, 0);
    *op = (struct pz_tflite_op){.options = pz_flat_table(f, table, 4),
                                .custom = pz_flat_vector(f, table, 5, 1)};
    if (f->bad || code_index >= t->codes.n || in.n > PZ_OP_MAX_IN || out.n != 1)
        return broken(t, "an operator has a form this program does not know");
    size_t code = pz_flat_item_table(f, t->codes, code_index);
    int old = pz_flat_u8(f, code, 0, 0), new = pz_flat_i32(f, code, 3, 0);
    op->code = new > old ? new : old;
    pz_flat_text(f, code, 1, op->custom_name, sizeof op->custom_name);
    op->n_in = (int)in.n;
    for (size_t i = 0; i < in.n; i++) {
        op->in[i] = (int)(int32_t)pz_flat_uint(f, in.at + 4 * i, 4);
        if (op->in[i] < -1 || op->in[i] >= t->n_tensors)
            return broken(t, "an operator reads a tensor that is not there");
    }
    op->out = (int)(int32_t)pz_flat_uint(f, out.at, 4);
    if (f->bad || op->out < 0 || op->out >= t->n_tensors || t->tensors[op->out].data ||
        t->tensors[op->out].value != PZ_NONE)
        return broken(t, "an operator writes where it must not");
    return PZ_OK;
}

static enum pz_status read_operators(struct pz_tflite *t, size_t graph)
{
    struct pz_flat_vec v = pz_flat_vector(&t->f, graph, 3, 4);
    if (t->f.bad || v.n > MAX_OPERATORS)
        return broken(t, "no operators, or too many");
    for (size_t i = 0; i < v.n; i++) {
        struct pz_tflite_op op;
        enum pz_status st = read_operator(t, pz_flat_item_table(&t->f, v, i), &op);
        if (st == PZ_OK)
            st = pz_tflite_build(t, &op);
        if (st < PZ_OK)
            return st;
    }
    return PZ_OK;
}

static enum pz_status read_graph(struct pz_tflite *t)
{
    struct pz_flat *f = &t->f;
    enum pz_status st = PZ_OK;
    if (f->n < 8 || memcmp(f->d + 4, "TFL3", 4) != 0)
        return broken(t, "the mark TFL3 is missing");
    size_t root = pz_flat_root(f);
    t->codes = pz_flat_vector(f, root, 1, 4);
    t->buffers = pz_flat_vector(f, root, 4, 4);
    struct pz_flat_vec graphs = pz_flat_vector(f, root, 2, 4);
    if (f->bad || graphs.n != 1)
        return broken(t, "it must hold exactly one subgraph");
    size_t graph = pz_flat_item_table(f, graphs, 0);
    PZ_TRY(read_tensors(t, graph));
    struct pz_flat_vec in = pz_flat_vector(f, graph, 1, 4), out = pz_flat_vector(f, graph, 2, 4);
    for (size_t i = 0; i < in.n; i++) {
        uint32_t k = (uint32_t)pz_flat_uint(f, in.at + 4 * i, 4);
        if (f->bad || k >= (uint32_t)t->n_tensors || t->tensors[k].dtype != PZ_DTYPE_F32 ||
            t->tensors[k].data || t->tensors[k].value != PZ_NONE)
            return broken(t, "an input is not a plain F32 tensor");
        t->tensors[k].value = pz_graph_input(t->g, t->tensors[k].name, t->tensors[k].shape);
    }
    PZ_TRY(read_operators(t, graph));
    for (size_t i = 0; i < out.n; i++) {
        uint32_t k = (uint32_t)pz_flat_uint(f, out.at + 4 * i, 4);
        if (f->bad || k >= (uint32_t)t->n_tensors || t->tensors[k].value == PZ_NONE)
            return broken(t, "an output is never computed");
        pz_graph_output(t->g, t->tensors[k].name, t->tensors[k].value);
    }
    if (f->bad)
        return broken(t, "an offset points outside the file");
    st = pz_graph_status(t->g);
fail:
    return st;
}

enum pz_status pz_tflite_parse(struct pz_log *log, const void *data, size_t n, const char *name,
                               struct pz_graph **g)
{
    struct pz_tflite t = {.log = log, .name = name, .f = {data, n, false}};
    *g = NULL;
    t.g = pz_graph_create(log);
    if (!t.g)
        return pz_fail(log, PZ_ERR_NOMEM, "no memory to read '%s'", name);
    enum pz_status st = read_graph(&t);
    pz_free(t.tensors);
    if (st < PZ_OK)
        pz_graph_destroy(&t.g);
    *g = t.g;
    return st;
}

enum pz_status pz_tflite_load(struct pz_log *log, const char *path, struct pz_graph **g)
{
    struct pz_map map;
    *g = NULL;
    enum pz_status st = pz_map_open(log, path, &map);
    if (st < PZ_OK)
        return st;
    st = pz_tflite_parse(log, map.data, map.n_bytes, path, g);
    pz_map_close(&map);
    return st;
}
