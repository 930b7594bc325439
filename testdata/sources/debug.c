/* lib/libdebug.so.1: keeps its debug information. */
struct result {
    int exit_code;
};

int debugged(void)
{
    struct result result = {0};
    return result.exit_code;
}
