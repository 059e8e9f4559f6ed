/** Small vectors and value noise for the talking-head generator. Header only; plain C, no state, thread safe.
 */
#ifndef PZ_SYN_VEC_H
#define PZ_SYN_VEC_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

struct v3 {
    float x, y, z;
};

static inline struct v3 v3(float x, float y, float z)
{
    return (struct v3){x, y, z};
}
static inline struct v3 v3_add(struct v3 a, struct v3 b)
{
    return v3(a.x + b.x, a.y + b.y, a.z + b.z);
}
static inline struct v3 v3_sub(struct v3 a, struct v3 b)
{
    return v3(a.x - b.x, a.y - b.y, a.z - b.z);
}
static inline struct v3 v3_mul(struct v3 a, struct v3 b)
{
    return v3(a.x * b.x, a.y * b.y, a.z * b.z);
}
static inline struct v3 v3_scale(struct v3 a, float s)
{
    return v3(a.x * s, a.y * s, a.z * s);
}
static inline struct v3 v3_madd(struct v3 a, struct v3 b, float s)
{
    return v3(a.x + b.x * s, a.y + b.y * s, a.z + b.z * s);
}
static inline float v3_dot(struct v3 a, struct v3 b)
{
    return a.x * b.x + a.y * b.y + a.z * b.z;
}
static inline struct v3 v3_cross(struct v3 a, struct v3 b)
{
    return v3(a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x);
}
static inline float v3_len(struct v3 a)
{
    return sqrtf(v3_dot(a, a));
}
static inline struct v3 v3_norm(struct v3 a)
{
    float l = v3_len(a);
    return l > 1e-12f ? v3_scale(a, 1.f / l) : v3(0, 0, 1);
}
static inline struct v3 v3_lerp(struct v3 a, struct v3 b, float t)
{
    return v3_madd(a, v3_sub(b, a), t);
}
static inline float pz_clampf(float x, float lo, float hi)
{
    return x < lo ? lo : x > hi ? hi : x;
}
static inline float pz_mixf(float a, float b, float t)
{
    return a + (b - a) * t;
}
static inline float pz_smooth(float lo, float hi, float x)
{
    float t = pz_clampf((x - lo) / (hi - lo), 0.f, 1.f);
    return t * t * (3.f - 2.f * t);
}
/** exp(-d²/2s²) */
static inline float pz_bell(float d, float s)
{
    float q = .5f * d * d / (s * s);
    return q < 20.f ? expf(-q) : 0.f;
}

/** sRGB 0…255 to linear 0…1. */
static inline float pz_lin(float s)
{
    s /= 255.f;
    return s <= .04045f ? s / 12.92f : powf((s + .055f) / 1.055f, 2.4f);
}
static inline struct v3 v3_srgb(float r, float g, float b)
{
    return v3(pz_lin(r), pz_lin(g), pz_lin(b));
}

/** Integer hash of lattice points (Wang/Murmur style finaliser). */
static inline uint32_t pz_hash3(int x, int y, int z, uint32_t seed)
{
    uint32_t h = (uint32_t)x * 0x8da6b343u ^ (uint32_t)y * 0xd8163841u ^ (uint32_t)z * 0xcb1ab31fu ^
                 seed * 0x9e3779b9u;
    h ^= h >> 16;
    h *= 0x7feb352du;
    h ^= h >> 15;
    h *= 0x846ca68bu;
    h ^= h >> 16;
    return h;
}
static inline float pz_hashf(int x, int y, int z, uint32_t seed)
{
    return (float)(pz_hash3(x, y, z, seed) >> 8) * (1.f / 16777216.f);
}

/** Value noise in −1…1, quintic interpolation. */
static inline float pz_noise(struct v3 p, uint32_t seed)
{
    float fx = floorf(p.x), fy = floorf(p.y), fz = floorf(p.z);
    int x = (int)fx, y = (int)fy, z = (int)fz;
    float u = p.x - fx, v = p.y - fy, w = p.z - fz;
    u = u * u * u * (u * (u * 6.f - 15.f) + 10.f);
    v = v * v * v * (v * (v * 6.f - 15.f) + 10.f);
    w = w * w * w * (w * (w * 6.f - 15.f) + 10.f);
    float c[2][2];
    for (int k = 0; k < 2; k++)
        for (int j = 0; j < 2; j++) {
            float a = pz_hashf(x, y + j, z + k, seed), b = pz_hashf(x + 1, y + j, z + k, seed);
            c[k][j] = a + (b - a) * u;
        }
    float a = c[0][0] + (c[0][1] - c[0][0]) * v, b = c[1][0] + (c[1][1] - c[1][0]) * v;
    return 2.f * (a + (b - a) * w) - 1.f;
}
/** Sum of `oct` octaves from wavelength `size`, halving each time; about −1…1. */
static inline float pz_fbm(struct v3 p, float size, int oct, uint32_t seed)
{
    float s = 0, a = .55f, f = 1.f / size;
    for (int i = 0; i < oct; i++) {
        s += a * pz_noise(v3_scale(p, f), seed + (uint32_t)i * 77u);
        a *= .5f;
        f *= 2.03f;
    }
    return s;
}
/** Cellular noise: distance to the nearest jittered lattice point, in units of the cell (0…~1). */
static inline float pz_cell(struct v3 p, float size, uint32_t seed)
{
    p = v3_scale(p, 1.f / size);
    int x = (int)floorf(p.x), y = (int)floorf(p.y), z = (int)floorf(p.z);
    float best = 9.f;
    for (int k = -1; k < 2; k++)
        for (int j = -1; j < 2; j++)
            for (int i = -1; i < 2; i++) {
                uint32_t h = pz_hash3(x + i, y + j, z + k, seed);
                struct v3 q = v3((float)(x + i) + (float)(h & 1023) / 1023.f,
                                 (float)(y + j) + (float)((h >> 10) & 1023) / 1023.f,
                                 (float)(z + k) + (float)((h >> 20) & 1023) / 1023.f);
                struct v3 d = v3_sub(p, q);
                float l = v3_dot(d, d);
                best = l < best ? l : best;
            }
    return sqrtf(best);
}

/** Rotation matrix rows from yaw (about y), pitch (about x), roll (about z), radians: R = Ry·Rx·Rz. */
struct m3 {
    struct v3 r[3];
};
static inline struct v3 m3_mul(const struct m3 *m, struct v3 p)
{
    return v3(v3_dot(m->r[0], p), v3_dot(m->r[1], p), v3_dot(m->r[2], p));
}
static inline struct v3 m3_tmul(const struct m3 *m, struct v3 p)
{
    return v3_add(v3_add(v3_scale(m->r[0], p.x), v3_scale(m->r[1], p.y)), v3_scale(m->r[2], p.z));
}
static inline struct m3 m3_euler(float yaw, float pitch, float roll)
{
    float cy = cosf(yaw), sy = sinf(yaw), cx = cosf(pitch), sx = sinf(pitch), cz = cosf(roll),
          sz = sinf(roll);
    struct m3 m;
    m.r[0] = v3(cy * cz + sy * sx * sz, -cy * sz + sy * sx * cz, sy * cx);
    m.r[1] = v3(cx * sz, cx * cz, -sx);
    m.r[2] = v3(-sy * cz + cy * sx * sz, sy * sz + cy * sx * cz, cy * cx);
    return m;
}

#endif
