/*
 * The three operations with which a face mesh network looks twice: a crop frame from its own first points, a
 * bilinear crop of a feature map, and the way back. Semantics: google-ai-edge/mediapipe
 * util/tflite/operations, landmarks_to_transform_matrix (version 2), transform_tensor_bilinear (2),
 * transform_landmarks (2); own code.
 */
#include <math.h>
#include <string.h>

#include "tensor/ref/ref.h"

void pz_ref_points_matrix(const struct pz_op_args *a)
{
    const struct pz_attrs *t = a->attrs;
    const float *p = a->in[0].data;
    float *m = a->out.data;
    const float *l = p + 3 * (size_t)t->left, *r = p + 3 * (size_t)t->right;
    float turn = t->angle - atan2f(r[1] - l[1], r[0] - l[0]);
    float cs = cosf(turn), sn = sinf(turn);
    float x0 = INFINITY, y0 = INFINITY, x1 = -INFINITY, y1 = -INFINITY;
    for (int i = 0; i < t->n_index; i++) {
        const float *q = p + 3 * (size_t)t->index[i];
        float x = cs * q[0] - sn * q[1], y = sn * q[0] + cs * q[1];
        x0 = fminf(x0, x);
        x1 = fmaxf(x1, x);
        y0 = fminf(y0, y);
        y1 = fmaxf(y1, y);
    }
    float mx = (x0 + x1) / 2, my = (y0 + y1) / 2;
    float cx = cs * mx + sn * my, cy = -sn * mx + cs * my; /* back in the unturned plane */
    float sx = t->scale[0] * (x1 - x0) / (float)t->size[1], sy = t->scale[1] * (y1 - y0) / (float)t->size[0];
    float hx = (float)t->size[1] / 2, hy = (float)t->size[0] / 2;
    /* shift(c) · rotate(−turn) · scale · shift(−half) */
    memset(m, 0, 16 * sizeof *m);
    m[0] = cs * sx;
    m[1] = sn * sy;
    m[3] = cx - m[0] * hx - m[1] * hy;
    m[4] = -sn * sx;
    m[5] = cs * sy;
    m[7] = cy - m[4] * hx - m[5] * hy;
    m[10] = m[15] = 1;
}

void pz_ref_crop_affine(const struct pz_op_args *a)
{
    const int *o = a->out.shape.dim, *d = a->in[0].shape.dim;
    const float *in = a->in[0].data, *m = a->in[1].data;
    float *out = a->out.data;
    size_t row = (size_t)d[2] * (size_t)d[3];
    for (int y = 0; y < o[1]; y++)
        for (int x = 0; x < o[2]; x++, out += d[3]) {
            float fx = m[0] * ((float)x + 0.5f) + m[1] * ((float)y + 0.5f) + m[3] - 0.5f;
            float fy = m[4] * ((float)x + 0.5f) + m[5] * ((float)y + 0.5f) + m[7] - 0.5f;
            /* written so that NaN falls outside */
            if (!(fx >= 0 && fx <= (float)(d[2] - 1) && fy >= 0 && fy <= (float)(d[1] - 1))) {
                memset(out, 0, (size_t)d[3] * sizeof *out);
                continue;
            }
            int ix = (int)fx, iy = (int)fy;
            float wx = fx - (float)ix, wy = fy - (float)iy;
            const float *p = in + (size_t)iy * row + (size_t)ix * (size_t)d[3];
            size_t right = ix + 1 < d[2] ? (size_t)d[3] : 0, down = iy + 1 < d[1] ? row : 0;
            for (int c = 0; c < d[3]; c++)
                out[c] = (1 - wy) * ((1 - wx) * p[c] + wx * p[(size_t)c + right]) +
                         wy * ((1 - wx) * p[(size_t)c + down] + wx * p[(size_t)c + down + right]);
        }
}

void pz_ref_transform_points(const struct pz_op_args *a)
{
    const float *p = a->in[0].data, *m = a->in[1].data;
    float *out = a->out.data;
    int n = a->in[0].shape.dim[1], k = a->in[0].shape.dim[2];
    for (int i = 0; i < n; i++, p += k, out += k) {
        float x = p[0], y = p[1];
        out[0] = m[0] * x + m[1] * y + m[3];
        out[1] = m[4] * x + m[5] * y + m[7];
        if (k == 3)
            out[2] = p[2];
    }
}
