/* Makes sentences. Source: fact sheet synth.md §6. */
#include "phrases.h"

#include <stdio.h>
#include <string.h>

static const char *const kName[] = {
    "Anna",    "Peter", "Priya",   "Mohammed", "Bob",     "Pamela", "Fatima", "Wei",    "Juan",   "Sophie",
    "Thomas",  "Amara", "Vikram",  "Elena",    "Michael", "Beth",   "Hugo",   "Yusuf",  "Mabel",  "Olivia",
    "Rahul",   "Chloe", "David",   "Zoe",      "Philip",  "Maya",   "George", "Thandi", "Boris",  "Ruth",
    "Matthew", "Farah", "William", "Joshua",   "Emma",    "Victor", "Paul",   "Abby",   "Hassan", "Wendy"};
static const char *const kPlace[] = {"Bali",   "Paris",     "Mumbai",   "New York", "Tokyo",     "Berlin",
                                     "Rome",   "Cape Town", "Bombay",   "Vienna",   "Lima",      "Budapest",
                                     "Prague", "Sydney",    "Phuket",   "Vermont",  "the beach", "Wales",
                                     "Oslo",   "Boston",    "Goa",      "Zanzibar", "Morocco",   "Portugal",
                                     "Peru",   "Dubai",     "Toulouse", "Jaipur",   "Bath",      "Venice"};
static const char *const kThing[] = {"trip",    "holiday",    "order",     "booking", "new phone",
                                     "policy",  "membership", "meeting",   "project", "report",
                                     "payment", "birthday",   "interview", "lesson",  "house",
                                     "boat",    "wedding",    "package",   "bike",    "home loan"};
static const char *const kTime[] = {
    "this week", "tomorrow",       "on Monday",    "on Friday afternoon", "next month",         "at five",
    "tonight",   "in the morning", "by Wednesday", "before summer",       "at half past three", "very soon"};
static const char *const kFrame[] = {
    "Hi #n, I'm #n from the travel team, and I'll help plan your #p #t.",
    "Hello #n! It would be lovely to talk #w, so pick a time that suits you.",
    "Good morning #n, your #t is ready, and we will ship it #w.",
    "Dear #n, thank you for choosing us for your #t in #p.",
    "#n, have you ever thought about moving to #p?",
    "We found a room for #d people in #p, #n, and the price is only #d dollars.",
    "My name is #n, and I would like to show you what we built for you #w.",
    "Happy birthday #n! We hope you have a wonderful day in #p.",
    "Please remember to bring your passport #w, #n.",
    "I just wanted to say how much we value your business, #n.",
    "Did you know that #p is full of music, food and beaches?",
    "Your #t number is #d, #d, #d. Please keep it safe.",
    "If you have a question about the #t, call me #w.",
    "That's why #d out of #d people in #p prefer our #t.",
    "Welcome back #n! Your favourite #t from #p is waiting for you.",
    "My biggest wish is to make your #t simple, safe and fun.",
    "Let me know whether #w works, or whether we should move it.",
    "Oh wow, #n, what a beautiful #t!",
    "We've put together five ideas for your #t, and I think you'll love them.",
    "Thanks for your time #n, and see you #w in #p."};
static const char *const kDigit[] = {"one",   "two",   "three", "four",   "five",  "six",
                                     "seven", "eight", "nine",  "twenty", "fifty", "ninety"};
static const char *const kWord[] = {
    "map",    "bob",     "moon",  "bubble", "pump",    "maybe",  "five",   "very",    "favour", "above",
    "off",    "thin",    "both",  "mother", "this",    "choose", "judge",  "measure", "ship",   "sea",
    "zoo",    "these",   "rain",  "hour",   "worry",   "water",  "why",    "quick",   "yellow", "you",
    "loud",   "low",     "all",   "tall",   "open",    "boat",   "boy",    "coin",    "now",    "house",
    "day",    "make",    "time",  "five",   "cat",     "back",   "hot",    "got",     "sit",    "big",
    "see",    "keep",    "put",   "good",   "blue",    "food",   "bed",    "yes",     "up",     "come",
    "sing",   "long",    "hair",  "hope",   "dog",     "gate",   "king",   "cake",    "ten",    "not",
    "did",    "lamp",    "paper", "happy",  "problem", "people", "member", "number",  "summer", "family",
    "coffee", "love",    "view",  "move",   "woman",   "away",   "wool",   "would",   "purple", "bird",
    "early",  "fashion", "rouge", "garage", "thumb",   "breathe"};

#define PICK(r, a) (a)[pz_rng_below(r, sizeof(a) / sizeof *(a))]

static void put(char *out, size_t cap, const char *s)
{
    size_t n = strlen(out);
    snprintf(out + n, cap - n, "%s", s);
}

void pz_syn_phrase(struct pz_rng *r, char *out, size_t cap)
{
    out[0] = 0;
    if (pz_rng_uniform(r) < .33f) {
        int n = 5 + (int)pz_rng_below(r, 9);
        for (int i = 0; i < n; i++) {
            put(out, cap, PICK(r, kWord));
            put(out, cap, i + 1 == n ? "." : pz_rng_uniform(r) < .12f ? ", " : " ");
        }
        return;
    }
    for (const char *p = PICK(r, kFrame); *p; p++) {
        char one[2] = {*p, 0};
        if (*p != '#') {
            put(out, cap, one);
            continue;
        }
        p++;
        put(out, cap,
            *p == 'n'   ? PICK(r, kName)
            : *p == 'p' ? PICK(r, kPlace)
            : *p == 't' ? PICK(r, kThing)
            : *p == 'w' ? PICK(r, kTime)
                        : PICK(r, kDigit));
    }
}
