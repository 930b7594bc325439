/* R/lib/R/lib/libR.so: loads the shared objects whose paths it gets, as R does with those of packages. */
#include <dlfcn.h>
#include <stdio.h>

const char *greeting(void)
{
    return "This is not R";
}

int run(int count, char **paths)
{
    int failures = 0;
    dprintf(1, "%s\n", greeting());
    for (int i = 0; i < count; i++) {
        if (dlopen(paths[i], RTLD_NOW) == NULL) {
            dprintf(2, "%s\n", dlerror());
            failures++;
        } else {
            dprintf(1, "loaded %s\n", paths[i]);
        }
    }
    return failures;
}
