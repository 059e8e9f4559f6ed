/* Inside of quality control, shared by qc.c (frames) and qc_files.c (whole files). */
#ifndef PZ_PIPELINE_QC_STATE_H
#define PZ_PIPELINE_QC_STATE_H

#include "pipeline/qc.h"
#include "pipeline/qc_mouth.h"

#define PZ_QC_GRID 64
#define PZ_QC_SPOTS 3

/** A touched frame of which the part outside `box` is compared with the source. */
struct pz_qc_spot {
    int64_t frame;
    struct pz_box box;
    struct pz_picture film; /**< the source's picture, so that it need not be decoded again */
};

struct pz_qc {
    const struct pz_film_info *info;
    const struct pz_face_topology *topology;
    struct pz_picture film; /**< the pending frame before pasting: what lies around the patch, of a frame
                               that becomes a spot everything */
    struct pz_plane luma;
    int64_t pending; /**< frame seen by before, −1 = none */
    int64_t last;    /**< last frame seen by after */
    int64_t touched;
    int history;                                 /**< consecutive frames in `grid` */
    uint8_t grid[2][3][PZ_QC_GRID * PZ_QC_GRID]; /**< film, made × three frames */
    double sharp[2], jitter[2];                  /**< film, made */
    double seam, opening;
    int64_t n_seam, n_opening;
    struct pz_qc_spot spot[PZ_QC_SPOTS];
    int64_t n_spots; /**< ever kept */
    char text[512];
    float score;
    bool heard;
    double av_offset_ms, untouched_psnr;
};

/** A JSON number rounded to 1/scale, or null when it is not finite. */
json_t *pz_qc_number(double v, double scale);

#endif
