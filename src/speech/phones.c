// Names of the phone inventory. No linguistics here: pronunciation lives in lexicon.c, IPA in ipa.c.
#include "speech/phones.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

static const char names[PZ_PH_COUNT][4] = {
    "SIL", "AA", "AE", "AH", "AO", "AW", "AX", "AY", "B", "CH", "D", "DH", "EH", "ER",
    "EY",  "F",  "G",  "HH", "IH", "IY", "JH", "K",  "L", "M",  "N", "NG", "OW", "OY",
    "P",   "R",  "S",  "SH", "T",  "TH", "UH", "UW", "V", "W",  "Y", "Z",  "ZH",
};

const char *pz_phone_name(int id)
{
    return id >= 0 && id < PZ_PH_COUNT ? names[id] : "SIL";
}

int pz_phone_from_name(const char *name)
{
    char bare[4];
    size_t n = 0;

    if (!name)
        return -1;
    while (name[n] && !isdigit((unsigned char)name[n])) {
        if (n == 3)
            return -1;
        bare[n] = name[n];
        n++;
    }
    bare[n] = 0;
    if (name[n] && name[n + 1]) // at most one stress digit, at the end
        return -1;
    for (int i = 0; i < PZ_PH_COUNT; i++)
        if (strcasecmp(bare, names[i]) == 0)
            return i;
    return -1;
}
