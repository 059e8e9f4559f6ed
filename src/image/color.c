/* Colour matrices and CIELAB. Does no gamut mapping and no transfer conversion: HDR never gets here. */
#include "image/color.h"

#include <math.h>
#include <string.h>

struct pz_color pz_color_of(enum pz_matrix matrix, bool full_range)
{
    double kr = matrix == PZ_MATRIX_BT601 ? 0.299 : 0.2126, kb = matrix == PZ_MATRIX_BT601 ? 0.114 : 0.0722;
    double kg = 1 - kr - kb, ys = full_range ? 255 : 219, cs = full_range ? 255 : 224;
    struct pz_color c;
    memset(&c, 0, sizeof c);
    c.zero[0] = full_range ? 0 : 16;
    c.zero[1] = c.zero[2] = 128;
    const double k[3] = {kr, kg, kb};
    for (int i = 0; i < 3; i++) {
        c.to_ycc[0][i] = (float)(ys * k[i]);
        c.to_ycc[1][i] = (float)(cs * ((i == 2) - k[i]) / (2 * (1 - kb)));
        c.to_ycc[2][i] = (float)(cs * ((i == 0) - k[i]) / (2 * (1 - kr)));
        c.to_rgb[i][0] = (float)(1 / ys);
    }
    c.to_rgb[0][2] = (float)(2 * (1 - kr) / cs);
    c.to_rgb[1][1] = (float)(-2 * kb * (1 - kb) / kg / cs);
    c.to_rgb[1][2] = (float)(-2 * kr * (1 - kr) / kg / cs);
    c.to_rgb[2][1] = (float)(2 * (1 - kb) / cs);
    return c;
}

static int clamp_index(int i, int n)
{
    return i < 0 ? 0 : i >= n ? n - 1 : i;
}

void pz_picture_to_rgb(const struct pz_picture *p, struct pz_rgb *out)
{
    struct pz_color c = pz_color_of(p->matrix, p->full_range);
    int w = p->width, h = p->height, cw = (w + 1) / 2, ch = (h + 1) / 2;
    size_t n = (size_t)w * h;
    for (int y = 0; y < h; y++) {
        /* Chroma rows lie between luma rows 2j and 2j+1; columns on the even luma columns. */
        int j0 = clamp_index((y - 1) >> 1, ch), j1 = clamp_index(((y - 1) >> 1) + 1, ch);
        float fy = (y & 1) ? 0.25f : 0.75f;
        const uint8_t *l = p->plane[0] + (size_t)y * p->stride[0];
        const uint8_t *u0 = p->plane[1] + (size_t)j0 * p->stride[1],
                      *u1 = p->plane[1] + (size_t)j1 * p->stride[1];
        const uint8_t *v0 = p->plane[2] + (size_t)j0 * p->stride[2],
                      *v1 = p->plane[2] + (size_t)j1 * p->stride[2];
        float *r = out->data + (size_t)y * w;
        for (int x = 0; x < w; x++) {
            int i0 = x >> 1, i1 = clamp_index(i0 + (x & 1), cw);
            float cb = 0.5f * ((1 - fy) * (u0[i0] + u0[i1]) + fy * (u1[i0] + u1[i1])) - c.zero[1];
            float cr = 0.5f * ((1 - fy) * (v0[i0] + v0[i1]) + fy * (v1[i0] + v1[i1])) - c.zero[2];
            float l0 = (l[x] - c.zero[0]) * c.to_rgb[0][0];
            r[x] = l0 + c.to_rgb[0][2] * cr;
            r[n + x] = l0 + c.to_rgb[1][1] * cb + c.to_rgb[1][2] * cr;
            r[2 * n + x] = l0 + c.to_rgb[2][1] * cb;
        }
    }
}

static uint8_t to_byte(float v)
{
    return v >= 0 ? (uint8_t)(v < 255 ? v + 0.5f : 255) : 0; /* NaN compares false */
}

static float unit(float v)
{
    return v >= 0 ? (v < 1 ? v : 1) : 0;
}

void pz_picture_from_rgb(const struct pz_rgb *rgb, struct pz_picture *out)
{
    struct pz_color c = pz_color_of(out->matrix, out->full_range);
    int w = rgb->width, h = rgb->height, cw = (w + 1) / 2, ch = (h + 1) / 2;
    size_t n = (size_t)w * h;
    for (int y = 0; y < h; y++) {
        const float *r = rgb->data + (size_t)y * w;
        for (int x = 0; x < w; x++)
            out->plane[0][(size_t)y * out->stride[0] + x] =
                to_byte(c.to_ycc[0][0] * unit(r[x]) + c.to_ycc[0][1] * unit(r[n + x]) +
                        c.to_ycc[0][2] * unit(r[2 * n + x]) + c.zero[0]);
    }
    static const float wx[3] = {0.25f, 0.5f, 0.25f};
    for (int j = 0; j < ch; j++)
        for (int i = 0; i < cw; i++) {
            float s[3] = {0};
            for (int dy = 0; dy < 2; dy++)
                for (int dx = -1; dx < 2; dx++) {
                    size_t at = (size_t)clamp_index(2 * j + dy, h) * w + clamp_index(2 * i + dx, w);
                    for (int k = 0; k < 3; k++)
                        s[k] += 0.5f * wx[dx + 1] * unit(rgb->data[k * n + at]);
                }
            for (int k = 1; k < 3; k++)
                out->plane[k][(size_t)j * out->stride[k] + i] = to_byte(
                    c.to_ycc[k][0] * s[0] + c.to_ycc[k][1] * s[1] + c.to_ycc[k][2] * s[2] + c.zero[k]);
        }
}

static double linear(float v)
{
    double x = unit(v);
    return x <= 0.04045 ? x / 12.92 : pow((x + 0.055) / 1.055, 2.4);
}

static double lab_f(double t)
{
    const double d = 6.0 / 29;
    return t > d * d * d ? cbrt(t) : t / (3 * d * d) + 4.0 / 29;
}

void pz_color_lab(const float rgb[3], float lab[3])
{
    double r = linear(rgb[0]), g = linear(rgb[1]), b = linear(rgb[2]);
    double x = lab_f((0.4124564 * r + 0.3575761 * g + 0.1804375 * b) / 0.95047);
    double y = lab_f(0.2126729 * r + 0.7151522 * g + 0.0721750 * b);
    double z = lab_f((0.0193339 * r + 0.1191920 * g + 0.9503041 * b) / 1.08883);
    lab[0] = (float)(116 * y - 16);
    lab[1] = (float)(500 * (x - y));
    lab[2] = (float)(200 * (y - z));
}
