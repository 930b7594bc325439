/* A program that does nothing: what the loader maps before it runs is all that matters. */
int main(void)
{
    return 0;
}
