#ifndef R_H
#define R_H

const char *greeting(void);

#endif
