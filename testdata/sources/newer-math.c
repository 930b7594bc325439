/* newer/libmath.so.1: hypot is all that it asks of libm, in a version of which the older name is among those of libc. */
double hypot(double, double);
unsigned long strlen(const char *);

double distance(double x, const char *y)
{
    return hypot(x, (double) strlen(y));
}
