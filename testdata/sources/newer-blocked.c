/* newer/libblocked.so.1: two functions that no older glibc has, and one that it has. */
double cospi(double);
double hypot(double, double);
unsigned long strlcpy(char *, const char *, unsigned long);

double blocked(char *to, const char *from)
{
    return hypot(cospi((double) strlcpy(to, from, 8)), 1);
}
