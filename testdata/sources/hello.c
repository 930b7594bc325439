/* bin/hello: prints the line that comes from the far end of a chain of libraries. */
#include <string.h>
#include <unistd.h>

const char *bundled(void);
int debugged(void);

/* Without the C start files nobody else aligns the stack. */
__attribute__((force_align_arg_pointer)) void _start(void)
{
    const char *line = bundled();
    ssize_t written = write(1, line, strlen(line));
    _exit(written < 0 ? 1 : debugged());
}
