/* Still pictures: PNG and JPEG files, for portraits. EXIF turns are not applied. */
#include <string.h>

#include <libswscale/swscale.h>

#include "base/file.h"
#include "base/mem.h"
#include "media/av.h"

#define MOST_BYTES ((size_t)64 << 20)

static const AVCodec *codec_of(const char *data, size_t n)
{
    if (n > 8 && memcmp(data, "\x89PNG\r\n\x1a\n", 8) == 0)
        return avcodec_find_decoder(AV_CODEC_ID_PNG);
    if (n > 3 && memcmp(data, "\xff\xd8\xff", 3) == 0)
        return avcodec_find_decoder(AV_CODEC_ID_MJPEG);
    return NULL;
}

/* To limited-range BT.601 4:2:0. */
static enum pz_status convert(const AVFrame *f, struct pz_picture *out)
{
    const int *matrix = sws_getCoefficients(SWS_CS_ITU601);
    bool jpeg = f->color_range == AVCOL_RANGE_JPEG || f->format == AV_PIX_FMT_YUVJ420P ||
                f->format == AV_PIX_FMT_YUVJ422P || f->format == AV_PIX_FMT_YUVJ444P;
    enum pz_status st = pz_picture_alloc(out, f->width, f->height);
    if (st < PZ_OK)
        return st;
    struct SwsContext *s =
        sws_getContext(f->width, f->height, f->format, f->width, f->height, AV_PIX_FMT_YUV420P,
                       SWS_BICUBIC | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INP, NULL, NULL, NULL);
    if (!s)
        return PZ_ERR_UNSUPPORTED;
    out->matrix = PZ_MATRIX_BT601;
    out->full_range = false;
    sws_setColorspaceDetails(s, matrix, jpeg, matrix, 0, 0, 1 << 16, 1 << 16);
    int err =
        sws_scale(s, (const uint8_t *const *)f->data, f->linesize, 0, f->height, out->plane, out->stride);
    sws_freeContext(s);
    return err < 0 ? PZ_ERR_INTERNAL : PZ_OK;
}

enum pz_status pz_still_read(const char *path, const struct pz_job *job, struct pz_picture *out)
{
    struct pz_log *log = job ? job->log : NULL;
    enum pz_status st = PZ_OK;
    char *data = NULL;
    size_t n = 0;
    AVCodecContext *dec = NULL;
    AVPacket *pkt = av_packet_alloc();
    AVFrame *frame = av_frame_alloc();
    *out = (struct pz_picture){0};
    PZ_TRY(pz_file_read(log, path, MOST_BYTES, &data, &n));
    const AVCodec *codec = codec_of(data, n);
    if (!codec) {
        st = pz_fail(log, PZ_ERR_INPUT, "'%s' is neither a PNG nor a JPEG picture", path);
        goto fail;
    }
    dec = avcodec_alloc_context3(codec);
    if (!pkt || !frame || !dec || av_new_packet(pkt, (int)n) < 0) {
        st = pz_fail(log, PZ_ERR_NOMEM, "no memory to read '%s'", path);
        goto fail;
    }
    memcpy(pkt->data, data, n);
    int err = avcodec_open2(dec, codec, NULL);
    if (err >= 0)
        err = avcodec_send_packet(dec, pkt);
    if (err >= 0)
        err = avcodec_send_packet(dec, NULL);
    if (err >= 0)
        err = avcodec_receive_frame(dec, frame);
    if (err < 0) {
        st = pz_fail(log, PZ_ERR_INPUT, "the picture '%s' cannot be read: %s", path, PZ_AV_TEXT(err));
        goto fail;
    }
    st = convert(frame, out);
    if (st < PZ_OK)
        pz_fail(log, st, "the picture '%s' cannot be used: %d x %d px", path, frame->width, frame->height);
fail:
    if (st < PZ_OK)
        pz_picture_free(out);
    av_frame_free(&frame);
    av_packet_free(&pkt);
    avcodec_free_context(&dec);
    pz_free(data);
    return st;
}
