/* Every library of the cases: its file name, soname and needs come from the linker's command line. */
int library;
