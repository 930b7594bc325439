#ifndef STATS_H
#define STATS_H

const char *stats(void);

#endif
