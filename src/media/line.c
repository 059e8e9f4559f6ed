/* Packets made ahead: a ring between one thread that makes them and one that takes them. Knows nothing of
 * what is in them. */
#include "media/line.h"

#include <pthread.h>

#include "base/mem.h"

enum { ROOM = 64 };

struct pz_packet_line {
    pz_packet_fn make;
    void *user;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more, room;
    AVPacket *ring[ROOM];
    int first, n;
    bool stop;
    enum pz_status st; /* what the maker ended with; PZ_OK while it works */
};

static void *work(void *v)
{
    struct pz_packet_line *l = v;
    pthread_mutex_lock(&l->lock);
    while (l->st == PZ_OK) {
        while (l->n == ROOM && !l->stop)
            pthread_cond_wait(&l->room, &l->lock);
        if (l->stop)
            break;
        AVPacket *pkt = l->ring[(l->first + l->n) % ROOM];
        pthread_mutex_unlock(&l->lock); /* the place behind the last belongs to this thread */
        enum pz_status st = l->make(l->user, pkt);
        pthread_mutex_lock(&l->lock);
        l->n += st == PZ_OK;
        l->st = st;
        pthread_cond_signal(&l->more);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

static void free_line(struct pz_packet_line *l)
{
    for (int k = 0; k < ROOM; k++)
        av_packet_free(&l->ring[k]);
    pthread_mutex_destroy(&l->lock);
    pthread_cond_destroy(&l->more);
    pthread_cond_destroy(&l->room);
    pz_free(l);
}

enum pz_status pz_packet_line_start(pz_packet_fn make, void *user, struct pz_log *log,
                                    struct pz_packet_line **line)
{
    struct pz_packet_line *l = pz_calloc(1, sizeof(*l));
    bool whole = l != NULL;
    *line = NULL;
    if (!l)
        return pz_fail(log, PZ_ERR_NOMEM, "no memory for packets");
    l->make = make;
    l->user = user;
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->more, NULL);
    pthread_cond_init(&l->room, NULL);
    for (int k = 0; k < ROOM; k++)
        whole = (l->ring[k] = av_packet_alloc()) && whole;
    if (!whole || pthread_create(&l->thread, NULL, work, l) != 0) {
        free_line(l);
        return whole ? pz_fail(log, PZ_ERR_DEVICE, "no thread to make packets")
                     : pz_fail(log, PZ_ERR_NOMEM, "no memory for packets");
    }
    *line = l;
    return PZ_OK;
}

enum pz_status pz_packet_line_next(struct pz_packet_line *l, AVPacket *pkt)
{
    pthread_mutex_lock(&l->lock);
    while (l->n == 0 && l->st == PZ_OK)
        pthread_cond_wait(&l->more, &l->lock);
    enum pz_status st = l->n > 0 ? PZ_OK : l->st;
    if (l->n > 0) {
        av_packet_move_ref(pkt, l->ring[l->first]);
        l->first = (l->first + 1) % ROOM;
        l->n--;
        pthread_cond_signal(&l->room);
    }
    pthread_mutex_unlock(&l->lock);
    return st;
}

void pz_packet_line_stop(struct pz_packet_line **line)
{
    struct pz_packet_line *l = line ? *line : NULL;
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    l->stop = true;
    pthread_cond_signal(&l->room);
    pthread_mutex_unlock(&l->lock);
    pthread_join(l->thread, NULL);
    free_line(l);
    *line = NULL;
}
