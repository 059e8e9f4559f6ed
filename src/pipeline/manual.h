/** Slots corrected by hand, brought into a fresh analysis. */
#ifndef PZ_PIPELINE_MANUAL_H
#define PZ_PIPELINE_MANUAL_H

#include "pipeline/template.h"

/** Corrections win over what was heard. `slots_file` (may be NULL) gives all slots: those found by listening
 * are dropped. Without it, the template that lies at `output` (may be NULL or absent) is looked at when it is
 * of the same film: slots whose times were changed there, or that were put in by hand, replace those of the
 * same place or of the same occurrence, and fallbacks are kept. Errors: INPUT (file), FORMAT, NOMEM. */
PZ_NODISCARD enum pz_status pz_manual_apply(const char *slots_file, const char *output,
                                            struct pz_template_data *d, struct pz_log *log);

#endif
