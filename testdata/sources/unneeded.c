/* lib/plugins/unneeded.so: nothing in the tree names it. */
int unneeded(void)
{
    return 0;
}
