// A thread on which sounds.c listens.
#include "speech/listening.h"

static void *listen_for_edges(void *user)
{
    struct pz_listening *l = user;

    l->st = pz_sounds_listen(l->raw, l->n, PZ_SOUNDS_EDGES, l->pool, &l->heard);
    return NULL;
}

void pz_listening_start(struct pz_listening *l, const float *raw, int64_t n, struct pz_pool *pool)
{
    *l = (struct pz_listening){.raw = raw, .n = n, .pool = pool};
    l->beside = pthread_create(&l->thread, NULL, listen_for_edges, l) == 0;
    if (!l->beside)
        listen_for_edges(l);
}

enum pz_status pz_listening_end(struct pz_listening *l)
{
    if (l->beside)
        pthread_join(l->thread, NULL);
    l->beside = false;
    return l->st;
}
