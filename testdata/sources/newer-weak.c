/* newer/libweak.so.1: it does without strlcpy where there is none. */
unsigned long strlen(const char *);
__attribute__((weak)) unsigned long strlcpy(char *, const char *, unsigned long);
long __isoc23_strtol(const char *, char **, int);

unsigned long copy(char *to, const char *from)
{
    return (strlcpy ? strlcpy(to, from, 8) : strlen(from)) + __isoc23_strtol(from, 0, 10);
}
