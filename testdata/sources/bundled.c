/* lib/libbundled.so.1.2.3 and lib/libbundled.a: the first link of the chain; it is in the tree. */
const char *chain(void);

const char *bundled(void)
{
    return chain();
}
