/**
 * Phones: one inventory for everything that has or predicts mouth motion, times in samples at 16 kHz.
 *
 * The inventory is the CMU/ARPAbet set (39 phones of the CMU dictionary and PocketSphinx en-us, plus AX and
 * silence); other sources (espeak-ng IPA) are mapped onto it by articulation.
 */
#ifndef PZ_SPEECH_PHONES_H
#define PZ_SPEECH_PHONES_H

#include <stdint.h>

#define PZ_SPEECH_RATE 16000

enum pz_phone_id {
    PZ_PH_SIL,
    PZ_PH_AA,
    PZ_PH_AE,
    PZ_PH_AH,
    PZ_PH_AO,
    PZ_PH_AW,
    PZ_PH_AX,
    PZ_PH_AY,
    PZ_PH_B,
    PZ_PH_CH,
    PZ_PH_D,
    PZ_PH_DH,
    PZ_PH_EH,
    PZ_PH_ER,
    PZ_PH_EY,
    PZ_PH_F,
    PZ_PH_G,
    PZ_PH_HH,
    PZ_PH_IH,
    PZ_PH_IY,
    PZ_PH_JH,
    PZ_PH_K,
    PZ_PH_L,
    PZ_PH_M,
    PZ_PH_N,
    PZ_PH_NG,
    PZ_PH_OW,
    PZ_PH_OY,
    PZ_PH_P,
    PZ_PH_R,
    PZ_PH_S,
    PZ_PH_SH,
    PZ_PH_T,
    PZ_PH_TH,
    PZ_PH_UH,
    PZ_PH_UW,
    PZ_PH_V,
    PZ_PH_W,
    PZ_PH_Y,
    PZ_PH_Z,
    PZ_PH_ZH,
    PZ_PH_COUNT
};

/** One phone of a time line. Phones of a line are sorted, do not overlap, and silences are explicit. */
struct pz_phone {
    int32_t id;         /**< enum pz_phone_id */
    float score;        /**< acoustic confidence in [0,1]; 1 when the synthesiser itself gave it */
    int64_t start, end; /**< samples at PZ_SPEECH_RATE, half-open */
};

/** ARPAbet name ("AA", "SIL"), never NULL. */
const char *pz_phone_name(int id);
/** Phone of an ARPAbet name, case-insensitive, stress digits ignored; -1 if unknown. */
int pz_phone_from_name(const char *name);

#endif
