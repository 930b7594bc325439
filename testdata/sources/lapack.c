/* R/lib/R/modules/lapack.so: a module of R. */
const char *greeting(void);
const char *solve(void);

const char *lapack(void)
{
    return greeting() ? solve() : 0;
}
