/* Reading that goes on elsewhere: in the background, paused, gone on with. */
#ifndef APP_READING_H
#define APP_READING_H

#include "app/cli.h"
#include "base/background.h"

#define READING_LOG "reading.log" /* in the home folder: what background readers have to say */

/* "complete", "reading", "paused" or "interrupted". */
const char *reading_state(shelf *s, const shelf_info *info);

/* Waits until a process in the background reads, or has said why not, and says what came of it. */
int reading_await(const cli *c, background *b);
int reading_pause(const cli *c, const char *name);
/* Whether there is an entry of the name to go on with that nobody reads now; else says so, with the exit code in *code. */
bool reading_can_resume(const cli *c, const char *name, int *code);

#endif
