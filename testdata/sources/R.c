/* R/lib/R/bin/exec/R: hands its arguments to libR.so. */
#include <unistd.h>

int run(int count, char **paths);

/* The kernel leaves the number of arguments and then the arguments on the stack. */
__asm__(".globl _start\n"
        "_start: mov %rsp, %rdi\n"
        "        call start\n");

__attribute__((used)) static void start(long *stack)
{
    char **arguments = (char **)(stack + 1);
    _exit(run((int)*stack - 1, arguments + 1));
}
