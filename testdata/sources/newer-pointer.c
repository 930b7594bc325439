/* newer/pointer: a program whose own entry for strtol is the function's address in the whole process. */
long __isoc23_strtol(const char *, char **, int);
long (*volatile parse)(const char *, char **, int);

void _start(void)
{
    parse = __isoc23_strtol;
    parse("1", 0, 10);
    __builtin_trap();
}
