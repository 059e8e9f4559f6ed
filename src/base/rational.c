/* Exact rescaling between time bases. */
#include "base/rational.h"

int64_t pz_rescale(int64_t a, struct pz_rational from, struct pz_rational to)
{
    __extension__ typedef __int128 wide;
    wide num = (wide)a * from.num * to.den, den = (wide)from.den * to.num;
    if (den == 0)
        return 0;
    if (den < 0) {
        num = -num;
        den = -den;
    }
    wide half = den / 2;
    return (int64_t)(num >= 0 ? (num + half) / den : -((-num + half) / den));
}

double pz_seconds(int64_t a, struct pz_rational base)
{
    return (double)a * (double)base.num / (double)base.den;
}
