/* newer/libspare.so.1: one function is asked of a libc of which no older version is named. */
long __isoc23_strtoul(const char *, char **, int);

long spare(const char *text)
{
    return __isoc23_strtoul(text, 0, 10);
}
