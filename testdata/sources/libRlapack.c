/* R/lib/R/lib/libRlapack.so: needs a library that only the build machine has. */
const char *far(void);

const char *solve(void)
{
    return far();
}
