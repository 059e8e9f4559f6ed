/* Fuzzes what media itself reads of H.264: configuration records, packets with length fields, Annex B
 * streams, and the records it writes. Input: two bytes length of the record, the record, then a packet. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "media/av.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Our own records must be readable again, and hold every set of the source. */
static void join(const struct pz_avcc *a, const uint8_t *packet, int n)
{
    uint8_t *record = NULL, *sets = NULL;
    int n_record = 0, n_sets = 0;
    struct pz_avcc b;
    if (pz_avcc_merge(a, packet, n, &record, &n_record) == PZ_OK) {
        bool readable = pz_avcc_parse(record, n_record, &b);
        if (readable && (b.sps_ids & a->sps_ids) != a->sps_ids)
            __builtin_trap();
    }
    av_free(record);
    if (pz_avcc_sets(a, &sets, &n_sets) != PZ_OK)
        __builtin_trap();
    av_free(sets);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 2 || n > 1 << 20)
        return 0;
    int n_record = data[0] << 8 | data[1], rest = (int)n - 2;
    n_record = n_record < rest ? n_record : rest;
    const uint8_t *packet = data + 2 + n_record;
    int n_packet = rest - n_record;
    struct pz_avcc a;
    AVPacket *in = av_packet_alloc(), *out = av_packet_alloc();
    if (!in || !out || av_new_packet(in, n_packet) < 0)
        __builtin_trap();
    if (n_packet > 0)
        memcpy(in->data, packet, (size_t)n_packet);
    pz_annexb_idr(in->data, in->size);
    if (pz_annexb_to_avc(in, true, NULL, 0, out) == PZ_OK && out->size > 2 * n_packet + 8)
        __builtin_trap();
    if (pz_avcc_parse(data + 2, n_record, &a)) {
        struct pz_nal_scan s = pz_avc_scan(&a, in->data, in->size);
        enum pz_status st = pz_avc_relength(in, a.nal_bytes, NULL, 0, out);
        if (st == PZ_OK && !s.broken) {
            a.nal_bytes = 4;
            struct pz_nal_scan again = pz_avc_scan(&a, out->data, out->size);
            if (again.idr != s.idr || again.broken)
                __builtin_trap();
        }
        join(&a, in->data, in->size);
    }
    av_packet_free(&in);
    av_packet_free(&out);
    return 0;
}
