/* R/lib/R/library/stats/libs/stats.so: the shared object of a package. */
const char *greeting(void);
const char *solve(void);

const char *stats(void)
{
    return solve() ? greeting() : 0;
}
