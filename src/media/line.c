/* Packets made ahead: FFmpeg's queue of messages between one thread that makes them and one that takes them.
 * Knows nothing of what is in them. */
#include "media/line.h"

#include <pthread.h>

#include <libavutil/threadmessage.h>

#include "base/mem.h"

enum { ROOM = 64 };

struct pz_packet_line {
    pz_packet_fn make;
    void *user;
    struct pz_log *log;
    pthread_t thread;
    AVThreadMessageQueue *queue; /* of AVPacket * */
    enum pz_status st;           /* what the maker ended with; read when the queue says that it did */
};

static void free_packet(void *message)
{
    av_packet_free(message);
}

static void *work(void *v)
{
    struct pz_packet_line *l = v;
    enum pz_status st = PZ_OK;
    while (st == PZ_OK) {
        AVPacket *pkt = av_packet_alloc();
        st = pkt ? l->make(l->user, pkt) : pz_fail(l->log, PZ_ERR_NOMEM, "no memory for packets");
        if (st != PZ_OK || av_thread_message_queue_send(l->queue, &pkt, 0) < 0) {
            av_packet_free(&pkt);
            break; /* the end, or nobody takes them any more */
        }
    }
    l->st = st;
    av_thread_message_queue_set_err_recv(l->queue, AVERROR_EOF); /* said behind the last packet */
    return NULL;
}

enum pz_status pz_packet_line_start(pz_packet_fn make, void *user, struct pz_log *log,
                                    struct pz_packet_line **line)
{
    struct pz_packet_line *l = pz_calloc(1, sizeof(*l));
    *line = NULL;
    if (!l || av_thread_message_queue_alloc(&l->queue, ROOM, sizeof(AVPacket *)) < 0) {
        pz_free(l);
        return pz_fail(log, PZ_ERR_NOMEM, "no memory for packets");
    }
    av_thread_message_queue_set_free_func(l->queue, free_packet);
    l->make = make;
    l->user = user;
    l->log = log;
    if (pthread_create(&l->thread, NULL, work, l) != 0) {
        av_thread_message_queue_free(&l->queue);
        pz_free(l);
        return pz_fail(log, PZ_ERR_DEVICE, "no thread to make packets");
    }
    *line = l;
    return PZ_OK;
}

enum pz_status pz_packet_line_next(struct pz_packet_line *l, AVPacket *pkt)
{
    AVPacket *made;
    if (av_thread_message_queue_recv(l->queue, &made, 0) < 0)
        return l->st;
    av_packet_move_ref(pkt, made);
    av_packet_free(&made);
    return PZ_OK;
}

void pz_packet_line_stop(struct pz_packet_line **line)
{
    struct pz_packet_line *l = line ? *line : NULL;
    if (!l)
        return;
    av_thread_message_queue_set_err_send(l->queue, AVERROR_EXIT);
    pthread_join(l->thread, NULL);
    av_thread_message_queue_free(&l->queue);
    pz_free(l);
    *line = NULL;
}
