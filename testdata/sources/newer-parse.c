/* newer/libparse.so.1: functions with new names, whose old ones are the ends of the new ones, or as long, or shorter. */
long __isoc23_strtol(const char *, char **, int);
long __isoc23_strtol_l(const char *, char **, int, void *);
int __isoc23_sscanf(const char *, const char *, ...);
int __memcmpeq(const void *, const void *, unsigned long);
unsigned long strlen(const char *);
double fmod(double, double);

double parse(const char *text)
{
    int number = 0;
    __isoc23_sscanf(text, "%d", &number);
    long other = __isoc23_strtol(text, 0, 10) + __isoc23_strtol_l(text, 0, 10, 0);
    return fmod(number, (double) other + strlen(text)) + __memcmpeq(text, text, 1);
}
