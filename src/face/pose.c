/* Closed-form absolute orientation (Horn 1987): the rotation is the eigenvector of a symmetric 4×4 matrix
 * (Jacobi). */
#include "face/pose.h"

#include <math.h>
#include <string.h>

#define DEGREES 57.29577951308232

/* Eigenvector of the largest eigenvalue of a symmetric 4×4 matrix. */
static void top_eigenvector(double a[4][4], double out[4])
{
    double v[4][4] = {{1, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 1, 0}, {0, 0, 0, 1}};
    for (int sweep = 0; sweep < 24; sweep++) {
        for (int p = 0; p < 3; p++)
            for (int q = p + 1; q < 4; q++) {
                if (fabs(a[p][q]) < 1e-300)
                    continue;
                double theta = (a[q][q] - a[p][p]) / (2 * a[p][q]);
                double t = (theta >= 0 ? 1 : -1) / (fabs(theta) + sqrt(theta * theta + 1));
                double c = 1 / sqrt(t * t + 1), s = t * c;
                for (int k = 0; k < 4; k++) {
                    double x = a[k][p], y = a[k][q];
                    a[k][p] = c * x - s * y;
                    a[k][q] = s * x + c * y;
                }
                for (int k = 0; k < 4; k++) {
                    double x = a[p][k], y = a[q][k];
                    a[p][k] = c * x - s * y;
                    a[q][k] = s * x + c * y;
                }
                for (int k = 0; k < 4; k++) {
                    double x = v[k][p], y = v[k][q];
                    v[k][p] = c * x - s * y;
                    v[k][q] = s * x + c * y;
                }
            }
    }
    int best = 0;
    for (int i = 1; i < 4; i++)
        if (a[i][i] > a[best][best])
            best = i;
    for (int i = 0; i < 4; i++)
        out[i] = v[i][best];
}

static void matrix(const float q[4], float r[9])
{
    float w = q[0], x = q[1], y = q[2], z = q[3];
    r[0] = 1 - 2 * (y * y + z * z);
    r[1] = 2 * (x * y - w * z);
    r[2] = 2 * (x * z + w * y);
    r[3] = 2 * (x * y + w * z);
    r[4] = 1 - 2 * (x * x + z * z);
    r[5] = 2 * (y * z - w * x);
    r[6] = 2 * (x * z - w * y);
    r[7] = 2 * (y * z + w * x);
    r[8] = 1 - 2 * (x * x + y * y);
}

static void camera(const float px[3], double c[3])
{
    c[0] = px[0];
    c[1] = -(double)px[1];
    c[2] = -(double)px[2];
}

void pz_head_fit_points(const float (*head)[3], const float (*px)[3], const int *index, const float *w, int n,
                        struct pz_head_fit *out)
{
    double mh[3] = {0}, mc[3] = {0}, sum = 0, s[3][3] = {{0}}, hh = 0;
    *out = (struct pz_head_fit){.q = {1, 0, 0, 0}};
    for (int i = 0; i < n; i++) {
        double c[3], wi = w ? w[i] : 1;
        camera(px[index[i]], c);
        for (int k = 0; k < 3; k++) {
            mh[k] += wi * head[index[i]][k];
            mc[k] += wi * c[k];
        }
        sum += wi;
    }
    for (int k = 0; k < 3; k++) {
        mh[k] /= sum;
        mc[k] /= sum;
    }
    for (int i = 0; i < n; i++) {
        double c[3], wi = w ? w[i] : 1;
        camera(px[index[i]], c);
        for (int a = 0; a < 3; a++) {
            double h = head[index[i]][a] - mh[a];
            hh += wi * h * h;
            for (int b = 0; b < 3; b++)
                s[a][b] += wi * h * (c[b] - mc[b]);
        }
    }
    if (!(hh > 1e-12) || !isfinite(mc[0] + mc[1] + mc[2]))
        return;
    double m[4][4] = {{s[0][0] + s[1][1] + s[2][2], s[1][2] - s[2][1], s[2][0] - s[0][2], s[0][1] - s[1][0]},
                      {0, s[0][0] - s[1][1] - s[2][2], s[0][1] + s[1][0], s[2][0] + s[0][2]},
                      {0, 0, -s[0][0] + s[1][1] - s[2][2], s[1][2] + s[2][1]},
                      {0, 0, 0, -s[0][0] - s[1][1] + s[2][2]}};
    for (int a = 1; a < 4; a++)
        for (int b = 0; b < a; b++)
            m[a][b] = m[b][a];
    double q[4];
    top_eigenvector(m, q);
    double sign = q[0] < 0 ? -1 : 1;
    for (int k = 0; k < 4; k++)
        out->q[k] = (float)(sign * q[k]);
    float r[9];
    matrix(out->q, r);
    double along = 0;
    for (int a = 0; a < 3; a++)
        for (int b = 0; b < 3; b++)
            along += s[a][b] * r[3 * b + a];
    double scale = along / hh, err = 0;
    if (!(scale > 0))
        return;
    out->scale = (float)scale;
    for (int b = 0; b < 3; b++)
        out->t[b] = (float)(mc[b] - scale * (r[3 * b] * mh[0] + r[3 * b + 1] * mh[1] + r[3 * b + 2] * mh[2]));
    for (int i = 0; i < n; i++) {
        float h[3];
        pz_head_from_px(out, px[index[i]], h);
        for (int k = 0; k < 3; k++)
            err += (w ? w[i] : 1) * (h[k] - head[index[i]][k]) * (double)(h[k] - head[index[i]][k]);
    }
    out->residual = (float)sqrt(err / sum);
}

static double unit(double v[3])
{
    double n = sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
    for (int k = 0; k < 3; k++)
        v[k] /= n > 0 ? n : 1;
    return n;
}

void pz_head_fit_axes(const float (*px)[3], struct pz_head_fit *out)
{
    static const float axes[4][3] = {{0, 0, 0}, {1, 0, 0}, {0, 1, 0}, {0, 0, 1}};
    static const int all[4] = {0, 1, 2, 3};
    double right[3], left[3], top[3], chin[3], x[3], y[3], z[3], dot = 0;
    camera(px[33], right);
    camera(px[263], left);
    camera(px[10], top);
    camera(px[152], chin);
    for (int k = 0; k < 3; k++) {
        x[k] = left[k] - right[k];
        y[k] = top[k] - chin[k];
    }
    double size = unit(x);
    for (int k = 0; k < 3; k++)
        dot += x[k] * y[k];
    for (int k = 0; k < 3; k++)
        y[k] -= dot * x[k];
    unit(y);
    z[0] = x[1] * y[2] - x[2] * y[1];
    z[1] = x[2] * y[0] - x[0] * y[2];
    z[2] = x[0] * y[1] - x[1] * y[0];
    float p[4][3]; /* where origin and axes lie in the picture */
    for (int k = 0; k < 3; k++) {
        double sign = k ? -1 : 1, o = (right[k] + left[k]) / 2;
        p[0][k] = (float)(sign * o);
        p[1][k] = (float)(sign * (o + size * x[k]));
        p[2][k] = (float)(sign * (o + size * y[k]));
        p[3][k] = (float)(sign * (o + size * z[k]));
    }
    pz_head_fit_points(axes, (const float(*)[3])p, all, NULL, 4, out);
}

void pz_head_from_px(const struct pz_head_fit *f, const float px[3], float head[3])
{
    float r[9], d[3] = {px[0] - f->t[0], -px[1] - f->t[1], -px[2] - f->t[2]};
    matrix(f->q, r);
    for (int k = 0; k < 3; k++)
        head[k] = f->scale > 0 ? (r[k] * d[0] + r[3 + k] * d[1] + r[6 + k] * d[2]) / f->scale : 0;
}

void pz_head_to_px(const struct pz_head_fit *f, const float head[3], float px[3])
{
    float r[9], c[3];
    matrix(f->q, r);
    for (int k = 0; k < 3; k++)
        c[k] = f->scale * (r[3 * k] * head[0] + r[3 * k + 1] * head[1] + r[3 * k + 2] * head[2]);
    px[0] = c[0] + f->t[0];
    px[1] = -(c[1] + f->t[1]);
    px[2] = -c[2];
}

void pz_head_pose(const struct pz_head_fit *f, struct pz_face_pose *out)
{
    matrix(f->q, out->r);
    const float *r = out->r;
    out->scale = f->scale;
    out->tx = f->t[0];
    out->ty = -f->t[1];
    out->yaw = (float)(DEGREES * atan2(r[2], r[8]));
    out->pitch = (float)(DEGREES * asin(fmin(fmax(r[5], -1), 1)));
    out->roll = (float)(-DEGREES * atan2(r[3], r[0]));
}
