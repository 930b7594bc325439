/* lib/libchain.so.1: the second link of the chain; it is in the tree. */
const char *far(void);

const char *chain(void)
{
    return far();
}
