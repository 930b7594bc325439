/* R/lib/R/library/tcltk/libs/tcltk.so: needs libtcl8.6.so, which neither the tree nor Lambda has. */
const char *greeting(void);
void Tcl_Init(void);

const char *tcltk(void)
{
    Tcl_Init();
    return greeting();
}
