/* lib/libz.so.1: Lambda's library of this name is found first, so nobody ever misses libnowhere.so.9. */
void nowhere(void);

void deflate(void)
{
    nowhere();
}
