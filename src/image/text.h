/** Small text in pictures that people look at: one bitmap font, 5×8 cells with a column between. */
#ifndef PZ_IMAGE_TEXT_H
#define PZ_IMAGE_TEXT_H

#include "image/picture.h"

#define PZ_TEXT_WIDTH 6  /**< px from one character to the next at scale 1 */
#define PZ_TEXT_HEIGHT 8 /**< px, descenders included */

/** Draw UTF-8 text with its upper left corner at (x, y), clipped to the picture. Latin letters lose their
 * marks; a character the font lacks is a small box. `scale` 1–8. Returns the x behind the text. */
int pz_text_draw(struct pz_rgb *p, int x, int y, int scale, const float rgb[3], const char *utf8);

/** Width in px of a text at `scale`. */
int pz_text_width(int scale, const char *utf8);

#endif
