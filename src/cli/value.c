/* What a variable's name and value may be. Whether a voice can say the value is the library's business. */
#include "cli/options.h"

#include <string.h>

/* Decode one UTF-8 character (RFC 3629: no overlong forms, no surrogates, at most U+10FFFF). Returns its
 * bytes, 0 if it is not valid. */
static int decode(const unsigned char *s, uint32_t *code)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    int n = s[0] < 0x80 ? 1 : s[0] >> 5 == 6 ? 2 : s[0] >> 4 == 14 ? 3 : s[0] >> 3 == 30 ? 4 : 0;
    if (n == 0)
        return 0;
    uint32_t c = n == 1 ? s[0] : s[0] & (0x7fu >> n);
    for (int i = 1; i < n; i++) {
        if (s[i] >> 6 != 2)
            return 0;
        c = c << 6 | (s[i] & 0x3f);
    }
    if (n > 1 && (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)))
        return 0;
    *code = c;
    return n;
}

const char *pz_cli_value_check(const char *value)
{
    const unsigned char *s = (const unsigned char *)value;
    int n_chars = 0;
    bool blank = true;
    while (*s) {
        uint32_t c = 0;
        int n = decode(s, &c);
        if (n == 0)
            return "is not valid UTF-8; give it in UTF-8";
        /* C0, DEL and C1 controls, line and paragraph separators, marks that turn the writing direction */
        if (c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x2028 || c == 0x2029 ||
            (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069))
            return "has control characters; give plain text on one line";
        if (c != ' ' && c != 0xa0 && c != 0x3000 && c != 0x200b && c != 0xfeff)
            blank = false;
        n_chars++;
        s += n;
    }
    if (n_chars > PZ_CLI_MAX_VALUE)
        return "is longer than 200 characters; a slot takes a few words";
    if (blank)
        return "is empty; give the words to be said";
    return NULL;
}

bool pz_cli_name_ok(const char *name, size_t n_bytes)
{
    if (n_bytes < 1 || n_bytes > 63 || name[0] < 'a' || name[0] > 'z')
        return false;
    for (size_t i = 0; i < n_bytes; i++)
        if (!((name[i] >= 'a' && name[i] <= 'z') || (name[i] >= '0' && name[i] <= '9') || name[i] == '_' ||
              name[i] == '-'))
            return false;
    return true;
}
