/* host/libfarther.so.1: the end of the chain; only the build machine has it. */
const char *farther(void)
{
    return "Hello from the far end of the chain\n";
}
