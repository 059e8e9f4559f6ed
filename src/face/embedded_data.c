/* The weight files of models/, laid into the program by the assembler, so that a bare binary finds faces. */
#include "face/embedded.h"

#define LAY_IN(name, path)                                                                                   \
    __asm__(".section .rodata\n"                                                                             \
            ".balign 64\n"                                                                                   \
            ".global " #name "\n"                                                                            \
            ".hidden " #name "\n"                                                                            \
            ".type " #name ", %object\n" #name ":\n"                                                         \
            ".incbin \"" path "\"\n"                                                                         \
            ".global " #name "_end\n"                                                                        \
            ".hidden " #name "_end\n"                                                                        \
            ".type " #name "_end, %object\n" #name "_end:\n"                                                 \
            ".byte 0\n"                                                                                      \
            ".previous\n");                                                                                  \
    extern const unsigned char name[], name##_end[]

#ifdef PZ_FACE_WEIGHTS_DIR
LAY_IN(pz_embedded_bytes_detector, PZ_FACE_WEIGHTS_DIR "/face_detector.safetensors");
LAY_IN(pz_embedded_bytes_landmarks, PZ_FACE_WEIGHTS_DIR "/face_landmarks.safetensors");
LAY_IN(pz_embedded_bytes_parts, PZ_FACE_WEIGHTS_DIR "/face_parts.safetensors");

const void *pz_embedded_data(enum pz_embedded_file which, size_t *n_bytes)
{
    const unsigned char *const at[3][2] = {{pz_embedded_bytes_detector, pz_embedded_bytes_detector_end},
                                           {pz_embedded_bytes_landmarks, pz_embedded_bytes_landmarks_end},
                                           {pz_embedded_bytes_parts, pz_embedded_bytes_parts_end}};
    *n_bytes = (size_t)(at[which][1] - at[which][0]);
    return at[which][0];
}
#else
const void *pz_embedded_data(enum pz_embedded_file which, size_t *n_bytes)
{
    *n_bytes = 0;
    return NULL;
}
#endif
