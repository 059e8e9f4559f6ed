/** A picture of what was heard: waveform, spectrogram, phones, words and slots. */
#ifndef PZ_PIPELINE_PLOT_H
#define PZ_PIPELINE_PLOT_H

#include "pipeline/template.h"
#include "speech/line.h"

#define PZ_PLOT_WIDTH 1600
#define PZ_PLOT_MAX_ROWS 48

/** Write `path` (PNG, PZ_PLOT_WIDTH wide): one strip for every 8 s of `sound`, the speech in `d` under it. Of
 * a film of more than PZ_PLOT_MAX_ROWS strips, those with a slot are shown first, then the first ones. Words
 * and phones are d's; slots carry their name, edges and confidence. Errors: the tap's, NOMEM, WRITE. */
PZ_NODISCARD enum pz_status pz_plot_speech(struct pz_log *log, const char *path, const struct pz_tap *sound,
                                           const struct pz_template_data *d);

#endif
