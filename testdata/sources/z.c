/* lib/libz.so.1: Lambda has a library of this name in front of it, so nobody ever misses libnowhere.so.9. */
void nowhere(void);

void deflate(void)
{
    nowhere();
}
