/**
 * Inside the splat module: blend, projection, its gradient and the plain tile kernels, written over
 * `splat_real` so that the same lines run in float (kernels_*.c) and in double (tests check the derivatives
 * there). Not a header of its own: the includer defines splat_real, splat_exp(x) and splat_log(x) first.
 */

/** Low-pass added to the projected covariance, px². */
#define PZ_SPLAT_LOW_PASS ((splat_real)0.3)
#define PZ_SPLAT_ALPHA_MIN ((splat_real)(1.0 / 255.0))
#define PZ_SPLAT_ALPHA_MAX ((splat_real)0.99)
#define PZ_SPLAT_T_MIN ((splat_real)1e-4)

/** out[7][cap] = base + Σ m_k motion_k. */
static inline void body_blend(int n, int cap, int k, const splat_real *data, const splat_real *m,
                              splat_real *out)
{
    for (int j = 0; j < PZ_SPLAT_MOVING; j++) {
        splat_real *o = out + (int64_t)j * cap;
        const splat_real *base = data + (int64_t)j * cap;
        for (int i = 0; i < n; i++)
            o[i] = base[i];
        for (int kk = 0; kk < k; kk++) {
            const splat_real *d = data + (int64_t)(PZ_SPLAT_BASE + PZ_SPLAT_MOVING * kk + j) * cap;
            const splat_real mk = m[kk];
            for (int i = 0; i < n; i++)
                o[i] += mk * d[i];
        }
    }
}

/** Camera rows scaled to px: x = q0·μ + tx, y = q1·μ + ty. */
static inline void body_camera(const splat_real r[9], splat_real scale, splat_real q[6])
{
    for (int j = 0; j < 3; j++) {
        q[j] = scale * r[j];
        q[3 + j] = -scale * r[3 + j];
    }
}

struct body_screen {
    splat_real *x, *y, *a, *b, *c, *alpha, *rx, *ry, *depth;
};

/** Project rows [0, n); `moved` [7][cap] from body_blend(), `data` gives rotation and scale. */
static inline void body_project(int n, int cap, const splat_real *data, const splat_real *moved,
                                const splat_real r[9], splat_real scale, splat_real tx, splat_real ty,
                                const struct body_screen *out)
{
    splat_real q[6];
    body_camera(r, scale, q);
    const splat_real *px = moved, *py = moved + cap, *pz = moved + 2 * (int64_t)cap,
                     *po = moved + 3 * (int64_t)cap;
    const splat_real *rot = data + (int64_t)PZ_SPLAT_ROT * cap, *ls = data + (int64_t)PZ_SPLAT_SCALE * cap;
    splat_real *restrict ox = out->x, *restrict oy = out->y, *restrict oa = out->a, *restrict ob = out->b,
                         *restrict oc = out->c, *restrict oal = out->alpha, *restrict orx = out->rx,
                         *restrict ory = out->ry, *restrict od = out->depth;
    for (int i = 0; i < n; i++) {
        splat_real w = rot[i], x = rot[cap + i], y = rot[2 * cap + i], z = rot[3 * cap + i];
        splat_real n2 = w * w + x * x + y * y + z * z + (splat_real)1e-20;
        splat_real h = 2 / n2;
        splat_real s0 = splat_exp(ls[i]), s1 = splat_exp(ls[cap + i]), s2 = splat_exp(ls[2 * cap + i]);
        splat_real r00 = 1 - h * (y * y + z * z), r01 = h * (x * y - w * z), r02 = h * (x * z + w * y);
        splat_real r10 = h * (x * y + w * z), r11 = 1 - h * (x * x + z * z), r12 = h * (y * z - w * x);
        splat_real r20 = h * (x * z - w * y), r21 = h * (y * z + w * x), r22 = 1 - h * (x * x + y * y);
        splat_real m00 = (q[0] * r00 + q[1] * r10 + q[2] * r20) * s0;
        splat_real m01 = (q[0] * r01 + q[1] * r11 + q[2] * r21) * s1;
        splat_real m02 = (q[0] * r02 + q[1] * r12 + q[2] * r22) * s2;
        splat_real m10 = (q[3] * r00 + q[4] * r10 + q[5] * r20) * s0;
        splat_real m11 = (q[3] * r01 + q[4] * r11 + q[5] * r21) * s1;
        splat_real m12 = (q[3] * r02 + q[4] * r12 + q[5] * r22) * s2;
        splat_real a = m00 * m00 + m01 * m01 + m02 * m02 + PZ_SPLAT_LOW_PASS;
        splat_real b = m00 * m10 + m01 * m11 + m02 * m12;
        splat_real c = m10 * m10 + m11 * m11 + m12 * m12 + PZ_SPLAT_LOW_PASS;
        splat_real inv = 1 / (a * c - b * b);
        ox[i] = q[0] * px[i] + q[1] * py[i] + q[2] * pz[i] + tx;
        oy[i] = q[3] * px[i] + q[4] * py[i] + q[5] * pz[i] + ty;
        od[i] = -(r[6] * px[i] + r[7] * py[i] + r[8] * pz[i]);
        oa[i] = c * inv;
        ob[i] = -b * inv;
        oc[i] = a * inv;
        splat_real al = 1 / (1 + splat_exp(-po[i]));
        splat_real e2 = 2 * splat_log((splat_real)255 * al + (splat_real)1e-6);
        e2 = e2 > 0 ? e2 : 0;
        oal[i] = al;
        orx[i] = splat_sqrt(e2 * a);
        ory[i] = splat_sqrt(e2 * c);
    }
}

/**
 * Gradient of body_project(): g_screen [9][cap] = ∂L/∂(r, g, b, alpha, x, y, conic a, b, c) → g_out [14][cap]
 * in the order of enum pz_splat_plane, and g_q[8] += (∂L/∂camera rows (6), ∂L/∂tx, ∂L/∂ty). Rows are taken in
 * blocks of 16 up to n rounded up; rows beyond n must carry zero g_screen.
 */
static inline void body_project_back(int n, int cap, const splat_real *data, const splat_real *moved,
                                     const splat_real r[9], splat_real scale, const splat_real *conic_a,
                                     const splat_real *conic_b, const splat_real *conic_c,
                                     const splat_real *alpha, const splat_real *g_screen,
                                     splat_real *restrict g_out, double g_q[8])
{
    splat_real q[6], acc[8][16] = {{0}};
    body_camera(r, scale, q);
    const splat_real *rot = data + (int64_t)PZ_SPLAT_ROT * cap, *ls = data + (int64_t)PZ_SPLAT_SCALE * cap;
    for (int i0 = 0; i0 < n; i0 += 16) {
        for (int l = 0; l < 16; l++) {
            const int i = i0 + l;
            splat_real w = rot[i], x = rot[cap + i], y = rot[2 * cap + i], z = rot[3 * cap + i];
            splat_real n2 = w * w + x * x + y * y + z * z + (splat_real)1e-20;
            splat_real h = 2 / n2, rn = 1 / splat_sqrt(n2);
            splat_real s0 = splat_exp(ls[i]), s1 = splat_exp(ls[cap + i]), s2 = splat_exp(ls[2 * cap + i]);
            splat_real r00 = 1 - h * (y * y + z * z), r01 = h * (x * y - w * z), r02 = h * (x * z + w * y);
            splat_real r10 = h * (x * y + w * z), r11 = 1 - h * (x * x + z * z), r12 = h * (y * z - w * x);
            splat_real r20 = h * (x * z - w * y), r21 = h * (y * z + w * x), r22 = 1 - h * (x * x + y * y);
            splat_real a00 = q[0] * r00 + q[1] * r10 + q[2] * r20, a01 = q[0] * r01 + q[1] * r11 + q[2] * r21;
            splat_real a02 = q[0] * r02 + q[1] * r12 + q[2] * r22, a10 = q[3] * r00 + q[4] * r10 + q[5] * r20;
            splat_real a11 = q[3] * r01 + q[4] * r11 + q[5] * r21, a12 = q[3] * r02 + q[4] * r12 + q[5] * r22;
            /* G2 = −K Ĝ K with K the conic and Ĝ its symmetric gradient. */
            splat_real ka = conic_a[i], kb = conic_b[i], kc = conic_c[i];
            splat_real ga = g_screen[6 * cap + i], gb = (splat_real)0.5 * g_screen[7 * cap + i],
                       gc = g_screen[8 * cap + i];
            splat_real u00 = ka * ga + kb * gb, u01 = ka * gb + kb * gc, u10 = kb * ga + kc * gb,
                       u11 = kb * gb + kc * gc;
            splat_real t00 = -(u00 * ka + u01 * kb), t01 = -(u00 * kb + u01 * kc),
                       t11 = -(u10 * kb + u11 * kc);
            /* ∂L/∂M = 2 G2 M, then through M = A diag(σ). */
            splat_real m00 = a00 * s0, m01 = a01 * s1, m02 = a02 * s2, m10 = a10 * s0, m11 = a11 * s1,
                       m12 = a12 * s2;
            splat_real d00 = 2 * (t00 * m00 + t01 * m10), d10 = 2 * (t01 * m00 + t11 * m10);
            splat_real d01 = 2 * (t00 * m01 + t01 * m11), d11 = 2 * (t01 * m01 + t11 * m11);
            splat_real d02 = 2 * (t00 * m02 + t01 * m12), d12 = 2 * (t01 * m02 + t11 * m12);
            g_out[11 * cap + i] = d00 * m00 + d10 * m10;
            g_out[12 * cap + i] = d01 * m01 + d11 * m11;
            g_out[13 * cap + i] = d02 * m02 + d12 * m12;
            splat_real e00 = d00 * s0, e01 = d01 * s1, e02 = d02 * s2, e10 = d10 * s0, e11 = d11 * s1,
                       e12 = d12 * s2;
            /* ∂L/∂R = Qᵀ E. */
            splat_real D00 = q[0] * e00 + q[3] * e10, D01 = q[0] * e01 + q[3] * e11,
                       D02 = q[0] * e02 + q[3] * e12;
            splat_real D10 = q[1] * e00 + q[4] * e10, D11 = q[1] * e01 + q[4] * e11,
                       D12 = q[1] * e02 + q[4] * e12;
            splat_real D20 = q[2] * e00 + q[5] * e10, D21 = q[2] * e01 + q[5] * e11,
                       D22 = q[2] * e02 + q[5] * e12;
            splat_real uw = w * rn, ux = x * rn, uy = y * rn, uz = z * rn;
            splat_real gw = 2 * (ux * (D21 - D12) + uy * (D02 - D20) + uz * (D10 - D01));
            splat_real gx =
                2 * (-2 * ux * (D11 + D22) + uy * (D01 + D10) + uz * (D02 + D20) + uw * (D21 - D12));
            splat_real gy =
                2 * (ux * (D01 + D10) - 2 * uy * (D00 + D22) + uz * (D12 + D21) + uw * (D02 - D20));
            splat_real gz =
                2 * (ux * (D02 + D20) + uy * (D12 + D21) - 2 * uz * (D00 + D11) + uw * (D10 - D01));
            splat_real dot = gw * uw + gx * ux + gy * uy + gz * uz;
            g_out[7 * cap + i] = (gw - dot * uw) * rn;
            g_out[8 * cap + i] = (gx - dot * ux) * rn;
            g_out[9 * cap + i] = (gy - dot * uy) * rn;
            g_out[10 * cap + i] = (gz - dot * uz) * rn;
            splat_real sx = g_screen[4 * cap + i], sy = g_screen[5 * cap + i];
            g_out[i] = q[0] * sx + q[3] * sy;
            g_out[cap + i] = q[1] * sx + q[4] * sy;
            g_out[2 * cap + i] = q[2] * sx + q[5] * sy;
            splat_real al = alpha[i];
            g_out[3 * cap + i] = g_screen[3 * cap + i] * al * (1 - al);
            g_out[4 * cap + i] = g_screen[i];
            g_out[5 * cap + i] = g_screen[cap + i];
            g_out[6 * cap + i] = g_screen[2 * cap + i];
            splat_real mx = moved[i], my = moved[cap + i], mz = moved[2 * cap + i];
            acc[0][l] += sx * mx + e00 * r00 + e01 * r01 + e02 * r02;
            acc[1][l] += sx * my + e00 * r10 + e01 * r11 + e02 * r12;
            acc[2][l] += sx * mz + e00 * r20 + e01 * r21 + e02 * r22;
            acc[3][l] += sy * mx + e10 * r00 + e11 * r01 + e12 * r02;
            acc[4][l] += sy * my + e10 * r10 + e11 * r11 + e12 * r12;
            acc[5][l] += sy * mz + e10 * r20 + e11 * r21 + e12 * r22;
            acc[6][l] += sx;
            acc[7][l] += sy;
        }
    }
    for (int j = 0; j < 8; j++)
        for (int l = 0; l < 16; l++)
            g_q[j] += (double)acc[j][l];
}

/** Pose gradient (ω, log scale, tx, ty) from the camera-row gradient of body_project_back(). */
static inline void body_pose_gradient(const splat_real r[9], splat_real scale, const double g_q[8],
                                      double pose[6])
{
    double g0[3], g1[3], dls = 0;
    for (int j = 0; j < 3; j++) {
        g0[j] = (double)scale * g_q[j];
        g1[j] = -(double)scale * g_q[3 + j];
        dls += g0[j] * (double)r[j] + g1[j] * (double)r[3 + j];
    }
    pose[0] = pose[1] = pose[2] = 0;
    for (int j = 0; j < 3; j++) {
        pose[0] -= g1[j] * (double)r[6 + j];
        pose[1] += g0[j] * (double)r[6 + j];
        pose[2] += g1[j] * (double)r[j] - g0[j] * (double)r[3 + j];
    }
    pose[3] = dls;
    pose[4] = g_q[6];
    pose[5] = g_q[7];
}

struct body_item {
    splat_real x, y, a, b, c, alpha, rgb[3], ry;
    int id;
};

/** Composite one Gaussian into one pixel; returns false when the pixel is finished. */
static inline bool body_pixel(const struct body_item *g, splat_real px, splat_real py, splat_real *t,
                              splat_real rgb[3], splat_real *last, int index)
{
    if (*t <= 0)
        return false;
    const splat_real dx = g->x - px, dy = g->y - py;
    const splat_real s = (splat_real)0.5 * (g->a * dx * dx + g->c * dy * dy) + g->b * dx * dy;
    splat_real alpha = g->alpha * splat_exp(-s);
    alpha = alpha < PZ_SPLAT_ALPHA_MAX ? alpha : PZ_SPLAT_ALPHA_MAX;
    if (alpha < PZ_SPLAT_ALPHA_MIN)
        return true;
    const splat_real next = *t * (1 - alpha);
    if (next <= PZ_SPLAT_T_MIN) {
        *t = -*t; /* the sign marks a finished pixel */
        return false;
    }
    for (int j = 0; j < 3; j++)
        rgb[j] += alpha * *t * g->rgb[j];
    *t = next;
    *last = (splat_real)(index + 1);
    return true;
}

/** Undo one Gaussian of one pixel, back to front; `behind` is the part of ∂L/∂α that lies behind it. */
static inline void body_pixel_back(const struct body_item *g, splat_real px, splat_real py, splat_real *t,
                                   splat_real *behind, const splat_real grad[3], splat_real sums[9])
{
    const splat_real dx = g->x - px, dy = g->y - py;
    const splat_real s = (splat_real)0.5 * (g->a * dx * dx + g->c * dy * dy) + g->b * dx * dy;
    const splat_real e = splat_exp(-s), raw = g->alpha * e;
    const bool clamped = raw >= PZ_SPLAT_ALPHA_MAX;
    const splat_real alpha = clamped ? PZ_SPLAT_ALPHA_MAX : raw;
    if (alpha < PZ_SPLAT_ALPHA_MIN)
        return;
    const splat_real back = 1 / (1 - alpha);
    *t *= back;
    const splat_real w = alpha * *t;
    const splat_real cg = g->rgb[0] * grad[0] + g->rgb[1] * grad[1] + g->rgb[2] * grad[2];
    const splat_real ga = *t * cg - back * *behind;
    *behind += w * cg;
    for (int j = 0; j < 3; j++)
        sums[j] += w * grad[j];
    if (clamped)
        return;
    const splat_real v = -raw * ga;
    sums[3] += e * ga;
    sums[4] += v * dx;
    sums[5] += v * dy;
    sums[6] += v * dx * dx;
    sums[7] += v * dx * dy;
    sums[8] += v * dy * dy;
}
