/* A program that opens the plugin PLUGIN and then prints the path of every object that is mapped. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>

int main(void)
{
    if (dlopen(PLUGIN, RTLD_NOW) == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    for (struct link_map *map = _r_debug.r_map; map != NULL; map = map->l_next)
        printf("%s\n", map->l_name);
    return 0;
}
