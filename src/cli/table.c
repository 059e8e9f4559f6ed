/* The table of commands and options. Data only: parsing is in options.c, help and man page in help.c. */
#include "cli/options.h"

const struct pz_cli_command_info pz_cli_commands[PZ_CMD_COUNT] = {
    [PZ_CMD_RUN] =
        {"", "VIDEO", 1, 1, "prepare (or take from the cache) and render for one customer",
         "Finds the words of the variables in the film, says the new values in the speaker's place, makes "
         "the lips match and writes the new film and, beside it, a report with the same stem (.json). What "
         "was learned about the film is kept in the user's cache, so the next customer is quick."},
    [PZ_CMD_PREPARE] =
        {"prepare", "VIDEO", 1, 1, "analyse a film once and write a prepared template",
         "Writes a folder (NAME.pzt) with everything `render` needs, the film itself included. Times of "
         "slots may be corrected by hand in its template.json."},
    [PZ_CMD_RENDER] =
        {"render", "TEMPLATE", 1, 1, "render a prepared template for one customer",
         "Only the frames of the slots and their margins are made anew; all others are copied."},
    [PZ_CMD_DETECT] =
        {"detect", "VIDEO", 1, 1, "show the words of a film and the slots among them",
         "Recognises the speech, or aligns the transcript when one is given, and prints words and slots "
         "with their times."},
    [PZ_CMD_CHECK] =
        {"check", "VIDEO", 1, 1, "say whether footage is usable, and where not",
         "Looks at picture, sound and faces without changing anything. Exit code 3 when nothing in the "
         "film could be personalised."},
    [PZ_CMD_EVALUATE] =
        {"evaluate", "VIDEO [OUT]", 1, 2, "measure the quality of the lips",
         "With one film: self-reenactment. The engine learns from the first 70 % and makes the mouth of "
         "the last 30 % from its sound alone; the result is compared with the true frames, beside two "
         "controls. With two films: compares OUT with VIDEO."},
    [PZ_CMD_MODELS] = {"models", "[list|download|add|verify|path] [NAME] [FILE]", 0, 3,
                       "list, fetch and check weights and their licences",
                       "`list` (the default) shows every engine of this build and its weights, `download "
                       "NAME` fetches them "
                       "from their official address (a broken download is continued), `add NAME FILE` takes "
                       "a file you have, "
                       "`verify` checks them by hash where one is known, else tensor by tensor, `path` "
                       "prints the folder they "
                       "are looked for in."},
};

#define FIELD(f) offsetof(struct pz_cli_args, f)
#define RUN PZ_CMD_BIT(PZ_CMD_RUN)
#define PREPARE PZ_CMD_BIT(PZ_CMD_PREPARE)
#define RENDER PZ_CMD_BIT(PZ_CMD_RENDER)
#define DETECT PZ_CMD_BIT(PZ_CMD_DETECT)
#define CHECK PZ_CMD_BIT(PZ_CMD_CHECK)
#define EVALUATE PZ_CMD_BIT(PZ_CMD_EVALUATE)
#define MODELS PZ_CMD_BIT(PZ_CMD_MODELS)
#define ANALYSE (RUN | PREPARE | DETECT | CHECK)
#define MAKE (RUN | RENDER)
#define WORK (ANALYSE | MAKE | EVALUATE)
#define ALL (WORK | MODELS)

const struct pz_cli_option pz_cli_options[] = {
    {"output", 'o', PZ_OPT_TEXT, "FILE", NULL, 0, 0, RUN | PREPARE | RENDER, FIELD(output),
     "What to write: a film (.mp4), or for prepare a template folder (.pzt)."},

    {"customer-name", 0, PZ_OPT_VAR, "VALUE", "customer_name", 0, 0, MAKE, FIELD(vars),
     "Short for --var customer_name=VALUE."},
    {"destination", 0, PZ_OPT_VAR, "VALUE", "destination", 0, 0, MAKE, FIELD(vars),
     "Short for --var destination=VALUE."},
    {"var", 0, PZ_OPT_PAIR, "NAME=VALUE", NULL, 0, 0, MAKE, FIELD(vars),
     "Say VALUE where the variable NAME was spoken; at most 200 characters."},
    {"spoken", 0, PZ_OPT_PAIR, "NAME=WORDS", NULL, 0, 0, ANALYSE, FIELD(spoken),
     "The variable NAME is where WORDS are spoken in the film (every time)."},
    {"transcript", 0, PZ_OPT_TEXT, "TEXT|FILE", NULL, 0, 0, ANALYSE, FIELD(transcript),
     "What is said in the film, variables marked {NAME=WORDS}; without it VIDEO's stem with .txt is tried."},
    {"recogniser", 0, PZ_OPT_TEXT, "NAME", NULL, 0, 0, ANALYSE, FIELD(recogniser),
     "Who listens to the film: pocketsphinx, whisper or whisper:SIZE (tiny, base.en, turbo, a file …); auto "
     "is "
     "pocketsphinx."},
    {"language", 0, PZ_OPT_TEXT, "LANG", NULL, 0, 0, ANALYSE, FIELD(language),
     "Language spoken in the film as espeak-ng names it (hi, de, ar); give a transcript with it."},
    {"slots", 0, PZ_OPT_TEXT, "FILE", NULL, 0, 0, RUN | PREPARE, FIELD(slots),
     "Slots corrected by hand: an edited template.json, or what detect --json printed; they win."},
    {"plot", 0, PZ_OPT_TEXT, "FILE.png", NULL, 0, 0, DETECT, FIELD(plot),
     "Also draw what was heard: waveform, spectrogram, phones, words and slots."},
    {"say", 0, PZ_OPT_PAIR, "NAME=HOW", NULL, 0, 0, MAKE, FIELD(say),
     "How the value of NAME is pronounced: IPA between slashes, or a respelling."},
    {"audio", 0, PZ_OPT_PAIR, "NAME=FILE", NULL, 0, 0, MAKE, FIELD(audio),
     "Use this recording for the value of NAME instead of a voice."},
    {"voice", 0, PZ_OPT_TEXT, "BACKEND[:VOICE]", NULL, 0, 0, MAKE, FIELD(voice),
     "Who speaks: flite, espeak-ng, or command:PROGRAM that reads text and writes WAV."},
    {"fit", 0, PZ_OPT_CHOICE, "HOW", "auto|stretch|borrow|retime", 0, 0, MAKE, FIELD(fit),
     "What to do when the new words are longer or shorter: borrow from pauses, stretch, or retime the film."},

    {"lip-sync-model", 0, PZ_OPT_TEXT, "MODEL", NULL, 0, 0, RUN | PREPARE | RENDER | EVALUATE,
     FIELD(lip_sync_model), "The lip-sync engine, or auto; `personalize models` lists those of this build."},
    {"no-lip-sync", 0, PZ_OPT_FLAG, NULL, NULL, 0, 0, RUN | PREPARE | RENDER, FIELD(no_lip_sync),
     "Change the sound only."},
    {"face", 0, PZ_OPT_TEXT, "WHICH", NULL, 0, 0, ANALYSE | EVALUATE, FIELD(face),
     "Which person is meant, when several are seen: `largest`, the number `personalize check` gives, a box "
     "X,Y,W,H in the picture, a portrait (PNG or JPEG file), or `speaker`: who moves the lips with the "
     "sound."},
    {"face-detector", 0, PZ_OPT_CHOICE, "NAME", "auto|embedded|mediapipe|mtcnn|s3fd", 0, 0,
     RUN | PREPARE | CHECK | EVALUATE, FIELD(face_detector),
     "Whose networks find the face: our own, MediaPipe's, MTCNN (points by the usual ones); s3fd: wav2lip's "
     "boxes as published."},
    {"device", 0, PZ_OPT_TEXT, "DEVICE", NULL, 0, 0, WORK, FIELD(device), "auto, cpu, cuda or cuda:N."},
    {"precision", 0, PZ_OPT_CHOICE, "TYPE", "f32|f16|bf16", 0, 0, WORK, FIELD(precision),
     "Numbers the engine computes with; without it the engine's own choice."},
    {"quality", 0, PZ_OPT_CHOICE, "HOW", "exact|fast", 0, 0, RUN | PREPARE | RENDER | EVALUATE,
     FIELD(quality),
     "Diffusion engines (latentsync): exact takes the published steps, fast fewer and cheaper ones."},
    {"steps", 0, PZ_OPT_INT, "N", NULL, 1, 100, RUN | PREPARE | RENDER | EVALUATE, FIELD(steps),
     "Diffusion engines: steps of the sampler; without it 20, or 7 with --quality fast."},
    {"guidance", 0, PZ_OPT_TEXT, "G", NULL, 0, 0, RUN | PREPARE | RENDER | EVALUATE, FIELD(guidance),
     "Diffusion engines: how strongly the sound leads, 1 (half the work) to 10; without it 1.5."},
    {"size", 0, PZ_OPT_CHOICE, "PX", "256|512", 0, 0, RUN | PREPARE | RENDER | EVALUATE, FIELD(size),
     "latentsync: 256 takes version 1.5, 512 version 1.6; without it the one whose weights are there."},
    {"memory", 0, PZ_OPT_TEXT, "GB", NULL, 0, 0, RUN | PREPARE | RENDER | EVALUATE, FIELD(memory),
     "latentsync: take at most so much of the device's memory (of main memory on the CPU): fewer pictures at "
     "once, and on a device weights that wait in main memory and travel there in every step. Slower; the "
     "same pictures."},
    {"no-smooth", 0, PZ_OPT_FLAG, NULL, NULL, 0, 0, RUN | PREPARE | RENDER | EVALUATE, FIELD(no_smooth),
     "Make every frame on its own: no filter over time against a shaking mouth (musetalk)."},
    {"threads", 0, PZ_OPT_INT, "N", NULL, 0, 256, WORK, FIELD(threads), "Threads to use; 0 = one per CPU."},
    {"seed", 0, PZ_OPT_INT, "N", NULL, 0, INT64_MAX, WORK, FIELD(seed),
     "Every random choice derives from it; 1 when not given."},
    {"models-dir", 0, PZ_OPT_TEXT, "DIR", NULL, 0, 0, ALL, FIELD(models_dir),
     "Where the weights are; else $PERSONALIZE_MODELS, else the user's cache."},
    {"accept-licence", 0, PZ_OPT_FLAG, NULL, NULL, 0, 0, MODELS, FIELD(accept_licence),
     "Accept the licence of the weights to be downloaded without being asked; it is noted once."},
    {"cache-dir", 0, PZ_OPT_TEXT, "DIR", NULL, 0, 0, WORK, FIELD(cache_dir),
     "Where prepared films are kept; else the user's cache."},
    {"crf", 0, PZ_OPT_INT, "N", NULL, 1, 40, MAKE, FIELD(crf),
     "Quality of frames that must be encoded, x264 scale, smaller is better."},
    {"preset", 0, PZ_OPT_CHOICE, "NAME",
     "ultrafast|superfast|veryfast|faster|fast|medium|slow|slower|veryslow", 0, 0, MAKE, FIELD(preset),
     "Effort of the encoder, x264 names."},

    {"consent", 0, PZ_OPT_TEXT, "FILE", NULL, 0, 0, RUN | PREPARE, FIELD(consent),
     "Consent record of the speaker (JSON), carried in the template and named in the report."},
    {"hide-values", 0, PZ_OPT_FLAG, NULL, NULL, 0, 0, MAKE, FIELD(hide_values),
     "Leave the customer's values out of the report."},
    {"judge", 0, PZ_OPT_CHOICE, "NAME", "embedded|mediapipe", 0, 0, EVALUATE, FIELD(judge),
     "Whose face networks measure the figures; without it those of --face-detector."},
    {"strip", 0, PZ_OPT_TEXT, "FILE.png", NULL, 0, 0, EVALUATE, FIELD(strip),
     "Also write a picture for human eyes: true mouths above, made ones below."},
    {"json", 0, PZ_OPT_FLAG, NULL, NULL, 0, 0, ALL, FIELD(json),
     "Print the report on standard output as JSON."},
    {"profile", 0, PZ_OPT_TEXT, "FILE", NULL, 0, 0, WORK, FIELD(profile),
     "Write where the networks' time went: a trace for chrome://tracing, and a table to FILE.txt."},
    {"quiet", 'q', PZ_OPT_FLAG, NULL, NULL, 0, 0, ALL, FIELD(quiet), "No progress, no warnings."},
    {"verbose", 'v', PZ_OPT_FLAG, NULL, NULL, 0, 0, ALL, FIELD(verbose), "Say more about what is done."},
    {"help", 'h', PZ_OPT_FLAG, NULL, NULL, 0, 0, ALL, FIELD(help), "Show this help."},
    {"version", 0, PZ_OPT_FLAG, NULL, NULL, 0, 0, ALL, FIELD(version), "Show the version."},
    {"help-man", 0, PZ_OPT_FLAG, NULL, NULL, 0, 0, RUN, FIELD(help_man), NULL},
};
const int pz_cli_n_options = sizeof pz_cli_options / sizeof pz_cli_options[0];
