/** What the films of the speech bench say, who says it, and in which rooms. Two halves that share neither
 * sentences nor voices: thresholds of src/speech are set on the first (`--tune`), figures are reported from
 * the second. A third part (`--fresh`), made when the second had been looked at often, has the second's
 * voices at other sizes and paces and sentences of its own. */
#ifndef PZ_BENCH_SPEECH_SCRIPTS_H
#define PZ_BENCH_SPEECH_SCRIPTS_H

#include "speech_sound.h"

struct script {
    const char *lines[3];
    const char *vars[5][2]; /* name, words */
    const char *absent;     /* words nobody says, near to some that are said */
};

static const struct script told[] = {
    {{"Hello Anuj, this is Maria from the travel desk.", "We saved two tickets to Lisbon for you.",
      "Please write to me, Anuj, before Friday evening."},
     {{"customer_name", "Anuj"}, {"destination", "Lisbon"}, {"day", "Friday"}},
     "Priya"},
    {{"Good morning Catherine, thank you for your order.", "The blue jacket ships from Rotterdam tomorrow.",
      "Your discount is forty percent, Catherine."},
     {{"customer_name", "Catherine"}, {"product", "blue jacket"}, {"city", "Rotterdam"}},
     "Hamburg"},
    {{"Dear Oyelaran, your visit to Hyderabad is confirmed.", "Bring your passport and ask for Venkatesh.",
      "We look forward to meeting you in October."},
     {{"customer_name", "Oyelaran"}, {"city", "Hyderabad"}, {"guide", "Venkatesh"}, {"month", "October"}},
     "Singapore"},
    {{"Hi Sophie, your table for six is ready at Harvest House.", "Ask Felix for the window seat.",
      "See you on Thursday, Sophie, and do bring the kids."},
     {{"customer_name", "Sophie"},
      {"count", "six"},
      {"place", "Harvest House"},
      {"host", "Felix"},
      {"day", "Thursday"}},
     "Monday"},
    {{"Welcome Theodore, I am glad that you joined Riverside Gym.",
      "Your first lesson with Hannah is at seven.", "Just say Hannah at the desk and they will let you in."},
     {{"customer_name", "Theodore"}, {"club", "Riverside Gym"}, {"trainer", "Hannah"}, {"hour", "seven"}},
     "Vanessa"},
    {{"Good evening Yuki, we hope you enjoyed your stay in Edinburgh.",
      "Next time you can save fifty euros on a room with a view of Oslo.", "Take care, Yuki."},
     {{"customer_name", "Yuki"}, {"city", "Edinburgh"}, {"sum", "fifty euros"}, {"next", "Oslo"}},
     "Vienna"},
    {{"Hello Mister Whitfield, your car needs new brakes.", "We can fix that on Wednesday for you.",
      "The price is ninety dollars, Mister Whitfield."},
     {{"customer_name", "Whitfield"}, {"part", "brakes"}, {"day", "Wednesday"}, {"price", "ninety dollars"}},
     "Tuesday"},
    {{"Great news Elizabeth, the apartment on Park Street is yours.", "You can move in on the third of June.",
      "Your agent Charles will call you from Boston."},
     {{"customer_name", "Elizabeth"},
      {"street", "Park Street"},
      {"month", "June"},
      {"agent", "Charles"},
      {"office", "Boston"}},
     "Chicago"},
};
static const struct script tuned[] = {
    {{"Hi Priya, I can help you plan your trip to Bali.", "The hotel in Bali is close to the sea.",
      "Call me on Monday if you have any questions."},
     {{"customer_name", "Priya"}, {"destination", "Bali"}, {"day", "Monday"}},
     "Lisbon"},
    {{"Welcome back Jonathan, your loan has been approved.",
      "Send the signed papers to our Manchester office.",
      "We will pay the money out on the first of August."},
     {{"customer_name", "Jonathan"}, {"city", "Manchester"}, {"month", "August"}},
     "Winchester"},
    {{"Hey Kshitij, the green bicycle is back in stock.", "We deliver to Bangalore within three days.",
      "Thank you Kshitij, and have a nice weekend."},
     {{"customer_name", "Kshitij"}, {"product", "green bicycle"}, {"city", "Bangalore"}},
     "Toronto"},
    {{"Hello Francis, the shoes you like are half price this week.",
      "Come to our shop in Heathfield and ask for Ruth.", "The sale ends on Saturday, Francis."},
     {{"customer_name", "Francis"},
      {"product", "shoes"},
      {"town", "Heathfield"},
      {"helper", "Ruth"},
      {"day", "Saturday"}},
     "Sunday"},
    {{"Good afternoon Abigail, your flight to Athens leaves at eleven.",
      "Gate twelve is next to the coffee bar.", "We wish you a good trip, Abigail."},
     {{"customer_name", "Abigail"}, {"city", "Athens"}, {"hour", "eleven"}, {"gate", "twelve"}},
     "Berlin"},
    {{"Hi Zachary, this is a short note about your garden.",
      "The yellow roses will arrive from Holland in March.",
      "If it rains, Zachary, we will come one day later."},
     {{"customer_name", "Zachary"}, {"product", "yellow roses"}, {"country", "Holland"}, {"month", "March"}},
     "April"},
    {{"Dear Missis Hughes, your doctor moved the visit to Tuesday.",
      "Please be at West Clinic at half past eight.", "Nurse Olivia will look after you."},
     {{"customer_name", "Hughes"},
      {"day", "Tuesday"},
      {"place", "West Clinic"},
      {"hour", "eight"},
      {"nurse", "Olivia"}},
     "Oliver"},
    {{"Hello Vincent, thank you for giving thirty pounds to Safe Harbour.",
      "With it we built a school in Kenya.", "Your friend Lucy told us how much you love music."},
     {{"customer_name", "Vincent"},
      {"sum", "thirty pounds"},
      {"charity", "Safe Harbour"},
      {"country", "Kenya"},
      {"friend", "Lucy"}},
     "Uganda"},
};
static const struct script fresh[] = {
    {{"Hi Gabriel, your kitchen is ready for a first look.", "Our designer Naomi drew it in olive green.",
      "Visit us in Portland before the end of July, Gabriel."},
     {{"customer_name", "Gabriel"},
      {"designer", "Naomi"},
      {"colour", "olive green"},
      {"city", "Portland"},
      {"month", "July"}},
     "Seattle"},
    {{"Dear Shreya, the results of your eye test are here.", "You can pick up new glasses on Sunday.",
      "Thank you for choosing Bright Vision, Shreya."},
     {{"customer_name", "Shreya"}, {"day", "Sunday"}, {"shop", "Bright Vision"}},
     "Thursday"},
    {{"Hello Benedict, you have earned two hundred points.", "Use them for a weekend in Valencia.",
      "This offer, Benedict, is only for members in Norway."},
     {{"customer_name", "Benedict"}, {"points", "two hundred"}, {"city", "Valencia"}, {"country", "Norway"}},
     "Sweden"},
    {{"Good morning Isabelle, this is your bank in Leicester.",
      "We changed the limit of your card to nine thousand.", "Ask for Graham if this was not your wish."},
     {{"customer_name", "Isabelle"}, {"city", "Leicester"}, {"limit", "nine thousand"}, {"clerk", "Graham"}},
     "Chester"},
    {{"Hey Tobias, we found the sofa you wanted.", "A driver brings it to Maple Avenue on Friday morning.",
      "Please have the door open at eight, Tobias."},
     {{"customer_name", "Tobias"}, {"street", "Maple Avenue"}, {"day", "Friday"}, {"hour", "eight"}},
     "Monday"},
    {{"Welcome to Copenhagen, Mister Ferguson.",
      "Your room looks out over the harbour, and breakfast is at half past six.",
      "Our chef Josephine has made fish soup today."},
     {{"city", "Copenhagen"},
      {"customer_name", "Ferguson"},
      {"hour", "six"},
      {"chef", "Josephine"},
      {"dish", "fish soup"}},
     "Helsinki"},
    {{"Hi Ravi, the next class in yoga starts in September.", "Your teacher Beth has kept a place for you.",
      "See you soon at Willow Studio, Ravi."},
     {{"customer_name", "Ravi"},
      {"course", "yoga"},
      {"month", "September"},
      {"teacher", "Beth"},
      {"place", "Willow Studio"}},
     "December"},
    {{"Dear Margaret, happy birthday from all of us in Cardiff.",
      "As a gift you get thirty percent off your next pair of boots.", "Love from Lucas and the team."},
     {{"customer_name", "Margaret"},
      {"city", "Cardiff"},
      {"discount", "thirty percent"},
      {"product", "boots"},
      {"sender", "Lucas"}},
     "Bristol"},
};
static const struct speaker told_by[] = {
    {"slt", "slt", 1.0, 1.0},           {"awb", "awb", 1.0, 1.0},
    {"slt, larger", "slt", 1.1, 1.0},   {"awb, smaller", "awb", 0.92, 1.0},
    {"slt, smaller", "slt", 0.94, 1.0}, {"awb, larger", "awb", 1.08, 1.0}};
static const struct speaker tuned_by[] = {
    {"rms", "rms", 1.0, 1.0},          {"kal16", "kal16", 1.0, 1.0},
    {"rms, smaller", "rms", 0.9, 1.0}, {"kal16, smaller", "kal16", 0.9, 1.0},
    {"rms, larger", "rms", 1.08, 1.0}, {"kal16, larger", "kal16", 1.06, 1.0}};
static const struct speaker fresh_by[] = {{"slt, small and quick", "slt", 0.9, 0.88},
                                          {"awb, small and slow", "awb", 0.86, 1.2},
                                          {"slt, large and slow", "slt", 1.16, 1.12},
                                          {"awb, large", "awb", 1.15, 0.95},
                                          {"slt, slow", "slt", 0.97, 1.2},
                                          {"awb, quick", "awb", 0.97, 0.85}};
/* espeak-ng does not tell its word times: what is found is counted, edges are not. */
static const struct speaker told_other[] = {{"espeak en-us", "espeak:en-us", 1.0, 1.0},
                                            {"espeak en-gb+f3", "espeak:en-gb+f3", 1.0, 1.0},
                                            {"espeak en-us+m3", "espeak:en-us+m3", 1.0, 1.0},
                                            {"espeak en-gb-x-rp+f4", "espeak:en-gb-x-rp+f4", 1.0, 1.0}};
static const struct speaker tuned_other[] = {
    {"espeak en-gb", "espeak:en-gb", 1.0, 1.0},
    {"espeak en-us+f2", "espeak:en-us+f2", 1.0, 1.0},
    {"espeak en-us+m7", "espeak:en-us+m7", 1.0, 1.0},
    {"espeak en-gb-scotland+f5", "espeak:en-gb-scotland+f5", 1.0, 1.0}};

static const struct speaker fresh_other[] = {{"espeak en-us+Alicia", "espeak:en-us+Alicia", 1.0, 1.0},
                                             {"espeak en-gb+m6", "espeak:en-gb+m6", 1.0, 1.0},
                                             {"espeak en-us+david", "espeak:en-us+david", 1.0, 1.0},
                                             {"espeak en-gb+aunty", "espeak:en-gb+aunty", 1.0, 1.0}};

static const struct {
    const char *name;
    enum room room;
    double snr_db;
} rooms[] = {
    {"clean", ROOM_CLEAN, 0},      {"noise25", ROOM_NOISE, 25},   {"noise20", ROOM_NOISE, 20},
    {"noise15", ROOM_NOISE, 15},   {"noise10", ROOM_NOISE, 10},   {"white25", ROOM_WHITE, 25},
    {"white15", ROOM_WHITE, 15},   {"pink25", ROOM_PINK, 25},     {"pink15", ROOM_PINK, 15},
    {"babble25", ROOM_BABBLE, 25}, {"babble15", ROOM_BABBLE, 15}, {"music25", ROOM_MUSIC, 25},
    {"music20", ROOM_MUSIC, 20},   {"music15", ROOM_MUSIC, 15},   {"music10", ROOM_MUSIC, 10},
    {"reverb20", ROOM_REVERB, 20}, {"reverb15", ROOM_REVERB, 15}, {"reverb10", ROOM_REVERB, 10},
};

#define COUNT(a) ((int)(sizeof(a) / sizeof *(a)))

#endif
