#ifndef HELLO_H
#define HELLO_H

/* The line that hello prints. */
const char *bundled(void);

#endif
