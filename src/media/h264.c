/* H.264 as bytes: configuration records, parameter-set ids, NAL units in packets (ISO/IEC 14496-10 §7.3,
 * 14496-15 §5.3). Decodes no picture. Every length is checked: records and packets come from hostile files.
 */
#include <limits.h>
#include <string.h>

#include "media/av.h"

/* ---- bits ---------------------------------------------------------------------------------------------- */

struct bits {
    const uint8_t *p;
    int n, at; /* bytes, bit position */
    bool over;
};

static unsigned bit(struct bits *b)
{
    if (b->at >= b->n * 8) {
        b->over = true;
        return 0;
    }
    unsigned v = (b->p[b->at >> 3] >> (7 - (b->at & 7))) & 1;
    b->at++;
    return v;
}

static unsigned take(struct bits *b, int n)
{
    unsigned v = 0;
    while (n-- > 0)
        v = v << 1 | bit(b);
    return v;
}

static unsigned golomb(struct bits *b)
{
    int zeros = 0;
    while (!b->over && !bit(b))
        if (++zeros > 31) {
            b->over = true;
            return 0;
        }
    return (1u << zeros) - 1 + take(b, zeros);
}

/* Payload without emulation prevention; enough of it for what is read here. */
static int unescape(const uint8_t *src, int n, uint8_t *dst, int cap)
{
    int k = 0, zeros = 0;
    for (int i = 0; i < n && k < cap; i++) {
        if (zeros >= 2 && src[i] == 3) {
            zeros = 0;
            continue;
        }
        zeros = src[i] == 0 ? zeros + 1 : 0;
        dst[k++] = src[i];
    }
    return k;
}

static void skip_scaling_list(struct bits *b, int size)
{
    int last = 8, next = 8;
    for (int i = 0; i < size && !b->over; i++) {
        if (next) {
            unsigned u = golomb(b);
            int delta = u & 1 ? (int)((u + 1) / 2) : -(int)(u / 2);
            next = (last + delta) & 255;
        }
        if (next)
            last = next;
    }
}

struct sps {
    int id, chroma_format, bit_depth;
    bool frame_mbs_only;
};

static bool read_sps(const uint8_t *nal, int n, struct sps *s)
{
    uint8_t raw[512];
    if (n < 5)
        return false;
    struct bits b = {raw, unescape(nal + 1, n - 1, raw, sizeof(raw)), 0, false};
    unsigned profile = take(&b, 8);
    take(&b, 16);
    unsigned id = golomb(&b);
    *s = (struct sps){.id = (int)id, .chroma_format = 1, .bit_depth = 8};
    if (profile == 100 || profile == 110 || profile == 122 || profile == 244 || profile == 44 ||
        profile == 83 || profile == 86 || profile == 118 || profile == 128 || profile == 138 ||
        profile == 139 || profile == 134) {
        s->chroma_format = (int)golomb(&b);
        if (s->chroma_format == 3)
            bit(&b);
        s->bit_depth = 8 + (int)golomb(&b);
        golomb(&b);
        bit(&b);
        if (bit(&b))
            for (int i = 0; i < (s->chroma_format == 3 ? 12 : 8); i++)
                if (bit(&b))
                    skip_scaling_list(&b, i < 6 ? 16 : 64);
    }
    golomb(&b); /* log2_max_frame_num */
    unsigned poc = golomb(&b);
    if (poc == 0) {
        golomb(&b);
    } else if (poc == 1) {
        bit(&b);
        golomb(&b);
        golomb(&b);
        unsigned cycle = golomb(&b);
        for (unsigned i = 0; i < cycle && i < 256; i++)
            golomb(&b);
    }
    golomb(&b); /* reference frames */
    bit(&b);
    golomb(&b);
    golomb(&b);
    s->frame_mbs_only = bit(&b);
    return !b.over && id < 32 && s->bit_depth < 16;
}

static int read_pps_id(const uint8_t *nal, int n)
{
    uint8_t raw[16];
    struct bits b = {raw, unescape(nal + 1, n - 1, raw, sizeof(raw)), 0, false};
    unsigned id = golomb(&b);
    return b.over || id > 255 ? -1 : (int)id;
}

/* ---- configuration record ------------------------------------------------------------------------------ */

/* Calls `each` for the sets of a record: first sequence sets, then picture sets. False when broken. */
static bool walk_record(const uint8_t *d, int n, bool (*each)(void *, const uint8_t *, int), void *user)
{
    if (n < 7 || d[0] != 1)
        return false;
    int at = 5;
    for (int kind = 0; kind < 2; kind++) {
        if (at >= n)
            return false;
        int count = d[at++];
        if (kind == 0)
            count &= 31;
        for (int i = 0; i < count; i++) {
            if (n - at < 2)
                return false;
            int len = d[at] << 8 | d[at + 1];
            at += 2;
            if (len < 1 || len > n - at)
                return false;
            if (!each(user, d + at, len))
                return false;
            at += len;
        }
    }
    return true;
}

static bool note_set(void *user, const uint8_t *nal, int n)
{
    struct pz_avcc *a = user;
    if ((nal[0] & 31) == 7) {
        struct sps s;
        if (!read_sps(nal, n, &s))
            return false;
        if (!a->sps_ids) {
            a->frame_mbs_only = true;
            a->chroma_format = s.chroma_format;
            a->bit_depth = s.bit_depth;
        }
        a->sps_ids |= 1u << s.id;
        a->frame_mbs_only = a->frame_mbs_only && s.frame_mbs_only;
    } else if ((nal[0] & 31) == 8) {
        int id = read_pps_id(nal, n);
        if (id < 0)
            return false;
        a->pps_ids[id >> 3] |= (uint8_t)(1 << (id & 7));
    }
    return true;
}

bool pz_avcc_parse(const uint8_t *data, int n, struct pz_avcc *a)
{
    *a = (struct pz_avcc){.data = data, .n_bytes = n};
    if (!data || !walk_record(data, n, note_set, a) || !a->sps_ids)
        return false;
    a->profile = data[1];
    a->compat = data[2];
    a->level = data[3];
    a->nal_bytes = (data[4] & 3) + 1;
    return a->nal_bytes != 3;
}

struct wanted {
    const uint8_t *nal;
    int n;
    bool found;
};

static bool compare_set(void *user, const uint8_t *nal, int n)
{
    struct wanted *w = user;
    w->found = w->found || (n == w->n && memcmp(nal, w->nal, (size_t)n) == 0);
    return true;
}

bool pz_avcc_has(const struct pz_avcc *a, const uint8_t *nal, int n)
{
    struct wanted w = {nal, n, false};
    return walk_record(a->data, a->n_bytes, compare_set, &w) && w.found;
}

/* ---- packets ------------------------------------------------------------------------------------------- */

static int length_at(const uint8_t *p, int bytes, int left)
{
    if (left < bytes)
        return -1;
    uint32_t v = 0;
    for (int i = 0; i < bytes; i++)
        v = v << 8 | p[i];
    return v <= (uint32_t)(left - bytes) ? (int)v : -1;
}

struct pz_nal_scan pz_avc_scan(const struct pz_avcc *a, const uint8_t *data, int n)
{
    struct pz_nal_scan r = {0};
    int slices = 0;
    for (int at = 0; at < n;) {
        int len = length_at(data + at, a->nal_bytes, n - at);
        if (len < 0) {
            r.broken = true;
            return r;
        }
        const uint8_t *nal = data + at + a->nal_bytes;
        at += a->nal_bytes + len;
        if (len == 0)
            continue;
        int type = nal[0] & 31;
        if (type == 7 || type == 8) {
            r.parameter_sets = true;
            r.foreign_sets = r.foreign_sets || !pz_avcc_has(a, nal, len);
        }
        r.idr = r.idr || type == 5;
        slices += type >= 1 && type <= 5;
    }
    r.broken = slices == 0;
    return r;
}

bool pz_annexb_next(const uint8_t *data, int n, int *at, const uint8_t **nal, int *nal_bytes)
{
    int i = *at;
    while (i + 3 <= n && !(data[i] == 0 && data[i + 1] == 0 && data[i + 2] == 1))
        i++;
    if (i + 3 > n)
        return false;
    i += 3;
    int end = i;
    while (end < n && !(end + 3 <= n && data[end] == 0 && data[end + 1] == 0 && data[end + 2] <= 1))
        end++;
    *nal = data + i;
    *at = end;
    while (end > i && data[end - 1] == 0) /* trailing zeros belong to no unit */
        end--;
    *nal_bytes = end - i;
    return true;
}

bool pz_annexb_idr(const uint8_t *data, int n)
{
    const uint8_t *nal;
    int at = 0, len;
    while (pz_annexb_next(data, n, &at, &nal, &len))
        if (len > 0 && (nal[0] & 31) == 5)
            return true;
    return false;
}

static uint8_t *put_unit(uint8_t *p, const uint8_t *nal, int len)
{
    p[0] = (uint8_t)(len >> 24);
    p[1] = (uint8_t)(len >> 16);
    p[2] = (uint8_t)(len >> 8);
    p[3] = (uint8_t)len;
    memcpy(p + 4, nal, (size_t)len);
    return p + 4 + len;
}

/* The head goes in once, before the first unit that is not an access unit delimiter. */
static uint8_t *put_head(uint8_t *p, const uint8_t **head, int n, int next_type)
{
    if (!*head || n <= 0 || next_type == 9)
        return p;
    memcpy(p, *head, (size_t)n);
    *head = NULL;
    return p + n;
}

/* Room for a rewritten packet; the caller fills and shrinks it. */
static enum pz_status new_packet(const AVPacket *src, int64_t room, AVPacket *dst)
{
    av_packet_unref(dst);
    if (room > INT_MAX / 2 || av_new_packet(dst, (int)room) < 0 || av_packet_copy_props(dst, src) < 0) {
        av_packet_unref(dst);
        return PZ_ERR_NOMEM;
    }
    return PZ_OK;
}

enum pz_status pz_annexb_to_avc(const AVPacket *src, bool drop_sets, const uint8_t *head, int head_bytes,
                                AVPacket *dst)
{
    const uint8_t *nal;
    int at = 0, len;
    int64_t room = head_bytes;
    while (pz_annexb_next(src->data, src->size, &at, &nal, &len))
        room += 4 + len;
    if (new_packet(src, room, dst) != PZ_OK)
        return PZ_ERR_NOMEM;
    uint8_t *p = dst->data;
    at = 0;
    while (pz_annexb_next(src->data, src->size, &at, &nal, &len)) {
        int type = len > 0 ? nal[0] & 31 : 0;
        if (len > 0 && !(drop_sets && (type == 7 || type == 8))) {
            p = put_head(p, &head, head_bytes, type);
            p = put_unit(p, nal, len);
        }
    }
    av_shrink_packet(dst, (int)(p - dst->data));
    return PZ_OK;
}

enum pz_status pz_avc_relength(const AVPacket *src, int nal_bytes, const uint8_t *head, int head_bytes,
                               AVPacket *dst)
{
    int64_t room = head_bytes;
    for (int at = 0, len; at < src->size; at += nal_bytes + len, room += 4 + len)
        if ((len = length_at(src->data + at, nal_bytes, src->size - at)) < 0)
            return PZ_ERR_INPUT;
    if (new_packet(src, room, dst) != PZ_OK)
        return PZ_ERR_NOMEM;
    uint8_t *p = dst->data;
    for (int at = 0, len; at < src->size; at += nal_bytes + len) {
        len = length_at(src->data + at, nal_bytes, src->size - at);
        p = put_head(p, &head, head_bytes, len > 0 ? src->data[at + nal_bytes] & 31 : 0);
        p = put_unit(p, src->data + at + nal_bytes, len);
    }
    return PZ_OK;
}

/* ---- records of our own -------------------------------------------------------------------------------- */

struct sets {
    struct {
        const uint8_t *nal;
        int n;
    } sps[31], pps[255];
    int n_sps, n_pps;
};

static bool collect(void *user, const uint8_t *nal, int n)
{
    struct sets *s = user;
    int type = nal[0] & 31;
    if (n > 65535 || (type == 7 && s->n_sps == 31) || (type == 8 && s->n_pps == 255))
        return false;
    if (type == 7) {
        s->sps[s->n_sps].nal = nal;
        s->sps[s->n_sps++].n = n;
    } else if (type == 8) {
        s->pps[s->n_pps].nal = nal;
        s->pps[s->n_pps++].n = n;
    }
    return true;
}

static bool collect_annexb(struct sets *s, const uint8_t *e, int n_e)
{
    const uint8_t *nal;
    int at = 0, len;
    while (pz_annexb_next(e, n_e, &at, &nal, &len))
        if (len > 0 && !collect(s, nal, len))
            return false;
    return true;
}

static uint8_t *put_short(uint8_t *p, const uint8_t *nal, int n)
{
    p[0] = (uint8_t)(n >> 8);
    p[1] = (uint8_t)n;
    memcpy(p + 2, nal, (size_t)n);
    return p + 2 + n;
}

static bool is_high(int profile)
{
    return profile == 100 || profile == 110 || profile == 122 || profile == 144;
}

enum pz_status pz_avcc_merge(const struct pz_avcc *a, const uint8_t *e, int n_e, uint8_t **out, int *n_out)
{
    struct sets s = {0};
    size_t room = 16;
    *out = NULL;
    if ((a && !walk_record(a->data, a->n_bytes, collect, &s)) || (e && !collect_annexb(&s, e, n_e)) ||
        s.n_sps == 0 || s.n_pps == 0 || s.sps[0].n < 4)
        return PZ_ERR_INTERNAL;
    for (int i = 0; i < s.n_sps; i++)
        room += 2 + (size_t)s.sps[i].n;
    for (int i = 0; i < s.n_pps; i++)
        room += 2 + (size_t)s.pps[i].n;
    uint8_t *d = av_mallocz(room + AV_INPUT_BUFFER_PADDING_SIZE), *p = d;
    if (!d)
        return PZ_ERR_NOMEM;
    int profile = s.sps[0].nal[1], compat = s.sps[0].nal[2], level = s.sps[0].nal[3];
    for (int i = 1; i < s.n_sps;
         i++) { /* what holds for every set: highest profile and level, common constraints */
        if (s.sps[i].n < 4)
            continue;
        profile = s.sps[i].nal[1] > profile ? s.sps[i].nal[1] : profile;
        compat &= s.sps[i].nal[2];
        level = s.sps[i].nal[3] > level ? s.sps[i].nal[3] : level;
    }
    *p++ = 1;
    *p++ = (uint8_t)profile;
    *p++ = (uint8_t)compat;
    *p++ = (uint8_t)level;
    *p++ = 0xff; /* 4-byte lengths */
    *p++ = (uint8_t)(0xe0 | s.n_sps);
    for (int i = 0; i < s.n_sps; i++)
        p = put_short(p, s.sps[i].nal, s.sps[i].n);
    *p++ = (uint8_t)s.n_pps;
    for (int i = 0; i < s.n_pps; i++)
        p = put_short(p, s.pps[i].nal, s.pps[i].n);
    if (is_high(profile)) { /* 4:2:0, 8 bit, no extension sets */
        *p++ = 0xfd;
        *p++ = 0xf8;
        *p++ = 0xf8;
        *p++ = 0;
    }
    *out = d;
    *n_out = (int)(p - d);
    return PZ_OK;
}

enum pz_status pz_avcc_sets(const struct pz_avcc *a, uint8_t **out, int *n_out)
{
    struct sets s = {0};
    *out = NULL;
    if (!walk_record(a->data, a->n_bytes, collect, &s))
        return PZ_ERR_INTERNAL;
    uint8_t *d = av_malloc((size_t)a->n_bytes * 3 + 16), *p = d; /* a 2-byte length becomes a 4-byte one */
    if (!d)
        return PZ_ERR_NOMEM;
    for (int i = 0; i < s.n_sps; i++)
        p = put_unit(p, s.sps[i].nal, s.sps[i].n);
    for (int i = 0; i < s.n_pps; i++)
        p = put_unit(p, s.pps[i].nal, s.pps[i].n);
    *out = d;
    *n_out = (int)(p - d);
    return PZ_OK;
}
