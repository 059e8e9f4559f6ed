/** Inside media only: packets made on a thread of their own, a few ahead of who takes them. */
#ifndef PZ_MEDIA_LINE_H
#define PZ_MEDIA_LINE_H

#include "media/av.h"

struct pz_packet_line;

/** Make the next packet: PZ_OK, PZ_END, or an error already logged. */
typedef enum pz_status (*pz_packet_fn)(void *user, AVPacket *pkt);

/** Start. `make` is called on the line's thread alone, until it says PZ_END or fails. Errors: NOMEM, DEVICE
 * (no thread), both logged. */
PZ_NODISCARD enum pz_status pz_packet_line_start(pz_packet_fn make, void *user, struct pz_log *log,
                                                 struct pz_packet_line **line);

/** Take the next packet, waiting for it. Errors: those of `make`, again at every further call. PZ_END. */
PZ_NODISCARD enum pz_status pz_packet_line_next(struct pz_packet_line *line, AVPacket *pkt);

/** Stop when the packet in the making is done, throw away what was not taken. NULL is allowed. */
void pz_packet_line_stop(struct pz_packet_line **line);

#endif
