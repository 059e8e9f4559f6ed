/* Reads a speech file for motion. See bank.h. */
#include "bank.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "weights/safetensors.h"

static enum pz_status copy(struct pz_log *log, const struct pz_safetensors *f, const char *name,
                           enum pz_dtype type, int64_t want, void *out, int64_t *n)
{
    const struct pz_stored_tensor *t;
    enum pz_status st = pz_safetensors_expect(log, f, name, type, 1, (int64_t[]){want}, &t);
    if (st < PZ_OK)
        return st;
    void *p = pz_calloc(t->n_bytes + 1, 1);
    if (!p)
        return pz_fail(log, PZ_ERR_NOMEM, "speech: out of memory");
    memcpy(p, t->data, t->n_bytes);
    memcpy(out, &p, sizeof p);
    *n = t->shape[0];
    return PZ_OK;
}

static int read_names(struct pz_syn_bank *b, const char *text)
{
    while (text && *text) {
        size_t n = strcspn(text, " ");
        if (n >= sizeof b->name[0] || b->n_name == PZ_SYN_BANK_PHONES)
            return 0;
        if (n) {
            memcpy(b->name[b->n_name], text, n);
            b->name[b->n_name++][n] = 0;
        }
        text += n + (text[n] == ' ');
    }
    return b->n_name > 0;
}

enum pz_status pz_syn_bank_open(struct pz_log *log, const char *path, struct pz_syn_bank *b)
{
    enum pz_status st = PZ_OK;
    struct pz_safetensors *f = NULL;
    int64_t n = 0, np = 0, m = 0;
    memset(b, 0, sizeof *b);
    PZ_TRY(pz_safetensors_open(log, path, &f));
    PZ_TRY(copy(log, f, "wave_offset", PZ_DTYPE_I64, -1, &b->wave_offset, &n));
    PZ_TRY(copy(log, f, "phone_offset", PZ_DTYPE_I32, n, &b->phone_offset, &m));
    PZ_TRY(copy(log, f, "phone_id", PZ_DTYPE_U8, -1, &b->phone_id, &np));
    PZ_TRY(copy(log, f, "phone_stress", PZ_DTYPE_U8, np, &b->phone_stress, &m));
    PZ_TRY(copy(log, f, "phone_end", PZ_DTYPE_F32, np, &b->phone_end, &m));
    PZ_TRY(copy(log, f, "phone_energy", PZ_DTYPE_F32, np, &b->phone_energy, &m));
    if (n < 2 || n > 1 << 24 || !read_names(b, pz_safetensors_text(f, "phones")) || b->phone_offset[0] != 0 ||
        b->wave_offset[0] != 0)
        PZ_TRY(pz_fail(log, PZ_ERR_FORMAT, "%s: is no speech file", path));
    b->n = (int)n - 1;
    for (int i = 0; i < b->n; i++) {
        int a = b->phone_offset[i], e = b->phone_offset[i + 1];
        int64_t len = b->wave_offset[i + 1] - b->wave_offset[i];
        float last = 0.f;
        if (e <= a || e > np || e - a > PZ_SYN_MAX_PHONE || len < 1 || len > 600 * PZ_SYN_BANK_RATE)
            PZ_TRY(pz_fail(log, PZ_ERR_FORMAT, "%s: entry %d does not fit", path, i));
        for (int k = a; k < e; k++) {
            if (b->phone_id[k] >= b->n_name || !(b->phone_end[k] > last) || !(b->phone_end[k] < 1e4f) ||
                !(fabsf(b->phone_energy[k]) < 1e4f))
                PZ_TRY(
                    pz_fail(log, PZ_ERR_FORMAT, "%s: phone %d of entry %d is out of order", path, k - a, i));
            last = b->phone_end[k];
        }
    }
fail:
    pz_safetensors_close(&f);
    if (st < PZ_OK)
        pz_syn_bank_close(b);
    return st;
}

void pz_syn_bank_close(struct pz_syn_bank *b)
{
    void *all[] = {b->wave_offset,  b->phone_offset, b->phone_id,
                   b->phone_stress, b->phone_end,    b->phone_energy};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        pz_free(all[i]);
    memset(b, 0, sizeof *b);
}

void pz_syn_bank_speech(const struct pz_syn_bank *b, int i, struct pz_syn_speech *s)
{
    memset(s, 0, sizeof *s);
    float at = 0.f;
    for (int k = b->phone_offset[i]; k < b->phone_offset[i + 1]; k++) {
        struct pz_syn_phone *p = &s->phone[s->n_phone++];
        memcpy(p->name, b->name[b->phone_id[k]], sizeof p->name);
        p->start = at;
        p->end = at = b->phone_end[k];
        p->energy = b->phone_energy[k];
        p->stress = b->phone_stress[k];
        p->word = -1;
    }
    s->n_samples = (int)(b->wave_offset[i + 1] - b->wave_offset[i]) * (PZ_SYN_RATE / PZ_SYN_BANK_RATE);
}
