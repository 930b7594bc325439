/* host/libfar.so.1: the third link of the chain; only the build machine has it. */
#include <stdlib.h>

const char *farther(void);

const char *far(void)
{
    const char *line = farther();
    if (line == NULL)
        abort();
    return line;
}
